"""From a source's downloaded files to the corpus on disk, or nothing."""

from pathlib import Path
from typing import Any

import pandas
from tqdm import tqdm

from pipeline import sources
from pipeline.clips.preparation import Prepare, build
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder
from pipeline.layout import Layout
from pipeline.synthesis.speech import synthetic_clips


def prepare(layout: Layout, settings: Prepare, seed: int) -> str:
    """Write the corpus, quarantine.csv, sample.csv and answers.csv; return a table of what is in them.

    Raises PipelineError if the downloaded files have changed, or as `preparation.build`; nothing is written then.
    """
    name, files = _downloaded(layout.manifest, layout.origin)
    source = sources.find(name)
    with replacing_folder(layout.prepare) as folder:
        items = tqdm(source.read(files), desc="prepare", unit=" clips", mininterval=1)
        sample, answers = source.sample(files), source.answers(files)
        description, quarantine = build(folder, items, sample, answers, settings, name, seed, synthetic_clips)
    return _summary(description["counts"], settings.folds, quarantine, layout.prepare)


def _downloaded(manifest: Path, origin: Path) -> tuple[str, list[sources.SourceFile]]:
    """Return the source's name and its files, which must be as the manifest says; `origin` is where it counts from."""
    if not manifest.exists():
        raise PipelineError(f"There is no {manifest}. Run: dvc repro download")
    content = read_json(manifest)
    files = [sources.SourceFile(**{**file, "path": str(origin / file["path"])}) for file in content["files"]]
    for file in files:
        path = Path(file.path)
        found = "is gone" if not path.exists() else f"has {path.stat().st_size} bytes" if path.is_file() else None
        if found and found != f"has {file.bytes} bytes":
            raise PipelineError(f"{path} {found}; {file.bytes} bytes were downloaded. Run: dvc repro --force download")
    return content["source"], files


def _summary(counts: dict[str, dict[str, int]], folds: int, quarantine: pandas.DataFrame, folder: Path) -> str:
    judged: dict[str, Any] = {split: counts[split] for split in ("train", "validation", "holdout")}
    table = pandas.DataFrame(judged)
    table.loc["all"] = table.sum()
    made = counts["synthetic"]["all"]
    spoken = [f"synthetic clips, never judged: {made}"] if made else []
    lines = [table.to_string(), *spoken, f"test clips: {counts['test']['all']}"]
    unjudged = [label for label, clips in counts["validation"].items() if not clips and counts["train"][label]]
    if counts["validation"] and folds == 1 and unjudged:
        lines.append(f"Warning: no validation clip is {', '.join(unjudged)}, so nothing tells how well that is heard.")
    for (part, action), count in quarantine.groupby(["part", "action"]).size().items():
        lines.append(f"{part} clips {action}: {count} (see {folder / 'quarantine.csv'})")
    return "\n".join(lines)
