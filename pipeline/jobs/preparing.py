"""From a source's downloaded files to the corpus on disk, or nothing."""

from pathlib import Path
from typing import Any

import pandas
from tqdm import tqdm

from pipeline import sources
from pipeline.clips.extra import Extra
from pipeline.clips.preparation import Prepare, build
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder
from pipeline.layout import Layout
from pipeline.synthesis.speech import synthetic_clips


def prepare(layout: Layout, settings: Prepare, seed: int) -> str:
    """Write the corpus, quarantine.csv, sample.csv and answers.csv; return a table of what is in them.

    Raises PipelineError if the downloaded files have changed, or as `preparation.build`; nothing is written then.
    """
    manifest = _manifest(layout.manifest)
    name, files = manifest["source"], _files(manifest, layout.origin)
    source = sources.find(name)
    extras = [_extra(listed, layout.origin) for listed in manifest.get("extra", [])]
    with replacing_folder(layout.prepare) as folder:
        items = tqdm(source.read(files), desc="prepare", unit=" clips", mininterval=1)
        sample, answers = source.sample(files), source.answers(files)
        description, quarantine = build(folder, items, sample, answers, settings, name, seed, synthetic_clips, extras)
    return _summary(description["counts"], settings.folds, quarantine, layout.prepare)


def _manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise PipelineError(f"There is no {path}. Run: dvc repro download")
    manifest: dict[str, Any] = read_json(path)
    return manifest


def _extra(listed: dict[str, Any], origin: Path) -> Extra:
    """Return what an extra source brings; its test set is not even read."""
    files = [file for file in _files(listed, origin) if file.role == "train"]
    items = tqdm(sources.find(listed["source"]).read(files), desc=listed["label"], unit=" clips", mininterval=1)
    return Extra(listed["label"], items, listed["take"], listed["unknown"])


def _files(listed: dict[str, Any], origin: Path) -> list[sources.SourceFile]:
    """Return a source's files, which must be as the manifest says; `origin` is where it counts from."""
    files = [sources.SourceFile(**{**file, "path": str(origin / file["path"])}) for file in listed["files"]]
    for file in files:
        path = Path(file.path)
        found = "is gone" if not path.exists() else f"has {path.stat().st_size} bytes" if path.is_file() else None
        if found and found != f"has {file.bytes} bytes":
            raise PipelineError(f"{path} {found}; {file.bytes} bytes were downloaded. Run: dvc repro --force download")
    return files


def _summary(counts: dict[str, dict[str, int]], folds: int, quarantine: pandas.DataFrame, folder: Path) -> str:
    judged: dict[str, Any] = {split: counts[split] for split in ("train", "validation", "holdout")}
    table = pandas.DataFrame(judged)
    table.loc["all"] = table.sum()
    made = counts["synthetic"]["all"]
    spoken = [f"synthetic clips, never judged: {made}"] if made else []
    brought = [f"train clips of the extra source {name}: {clips}" for name, clips in counts["extra"].items()]
    lines = [table.to_string(), *brought, *spoken, f"test clips: {counts['test']['all']}"]
    unjudged = [label for label, clips in counts["validation"].items() if not clips and counts["train"][label]]
    if counts["validation"] and folds == 1 and unjudged:
        lines.append(f"Warning: no validation clip is {', '.join(unjudged)}, so nothing tells how well that is heard.")
    for (part, action), count in quarantine.groupby(["part", "action"]).size().items():
        lines.append(f"{part} clips {action}: {count} (see {folder / 'quarantine.csv'})")
    return "\n".join(lines)
