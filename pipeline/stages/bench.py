"""bench: measure the pipeline against its peers and limits on this machine, in one table."""

import io
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from pipeline import params
from pipeline.benchmarks import clips, preparing, repro, table
from pipeline.benchmarks.table import Finding
from pipeline.clips.corpus import Corpus
from pipeline.clips.recording import Recording
from pipeline.errors import PipelineError
from pipeline.files import replacing, write_json
from pipeline.layout import Layout
from pipeline.sources import SourceFile, archives, demo
from pipeline.stages import prepare

REAL_CLIPS = Path("../shared/data/mini-competition")
TINY_DEMO: dict[str, Any] = {
    "train_voices": 6, "validation_share": 0.2, "test_voices": 2, "background_seconds": 3,
    "clips_per_command": 6, "clips_per_other_word": 2, "test_clips_per_label": 4,
}  # fmt: skip
DEMO: dict[str, Any] = {"clips_per_command": 100, "clips_per_other_word": 30, "test_clips_per_label": 50}


def main(layout: Layout, folder: Path | None = None, rounds: int = 3, quick: bool = False) -> None:
    """Print the table and write docs/bench.md.

    `folder` holds train.7z and test.7z; without one, the mini-competition beside the project is taken, or a demo is
    made and compressed. `quick` is for trying it out: a tiny demo and few clips, whose numbers mean little.
    Raises PipelineError if `folder` lacks the archives, or a step that is measured fails.
    """
    console = Console()
    command = "python -m pipeline bench" + (f" --archives {folder}" if folder else "")
    command += f" --rounds {rounds}" + (" --quick" if quick else "")
    if folder is None and not quick and (layout.root / REAL_CLIPS).is_dir():
        folder = layout.root / REAL_CLIPS
    layout.artifacts.mkdir(parents=True, exist_ok=True)
    for left in layout.artifacts.glob("bench-*"):  # by a process that was killed
        shutil.rmtree(left)
    # On the project's own disk, where copying it is but linking.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=layout.artifacts) as temporary:
        room = Path(temporary).resolve()
        console.print("bench: archives and prepare")
        origin = f"archives of {folder}" if folder else "a demo made on the spot, compressed by LZMA2"
        findings, corpus, files = _of_prepare(room, folder or _demo(room, quick), rounds, 200 if quick else 1500)
        console.print("bench: clips and front end")
        test = next(Path(file.path) for file in files if file.role == "test")
        findings.append(clips.decoding([clip.data for clip in islice(archives.test(test), 1000)], rounds))
        findings.append(clips.reading(corpus, rounds))
        findings += clips.log_mel(corpus.samples(corpus.select("train")[: 64 if quick else 512]), rounds)
        console.print("bench: dvc repro")
        findings += _of_repro(layout, room / "project", rounds)
    notes = [f"Clips: {origin}.", f"Timed {rounds} times, ours and the other in turns: median (smallest to largest)."]
    page = layout.root / "docs" / "bench.md"
    with replacing(page) as part:
        part.write_text(table.markdown(findings, command, notes), encoding="utf-8")
    console.print(table.printed(findings))
    print(f"Written to {page}")


def _of_prepare(
    room: Path, folder: Path, rounds: int, clips_wanted: int
) -> tuple[list[Finding], Corpus, list[SourceFile]]:
    """Return what was found of `prepare`, the corpus of the whole archive, and the archive's files."""
    whole, files = _project(room / "whole", folder)
    paths = [Path(file.path) for file in files if file.role in ("train", "test")]
    if strange := [path for path in paths if path.suffix != ".7z"]:
        raise PipelineError(f"{strange[0]} is no .7z archive. --archives needs a folder with train.7z and test.7z.")
    _prepare(whole)
    corpus = Corpus.open(whole.prepare)
    count = int((corpus.rows["word"] != "_silence_").sum())
    speed = preparing.against_decompressing(paths, count, lambda: _prepare(whole), rounds)

    # Noises do not grow with an archive, so few are taken: else the small one would be mostly noise.
    some = _recordings(files, every=max(1, count // clips_wanted), noises=2)
    both = preparing.pack(room / "packed1", some), preparing.pack(room / "packed4", some, times=4)
    # The archive's lists do not know the copies.
    small, large = (_project(room / f"times{n}", room / f"packed{n}", splits="grouped")[0] for n in (1, 4))
    growth = preparing.linear(lambda: _prepare(small), lambda: _prepare(large), both, rounds)
    return [speed, growth, preparing.memory(small.root, large.root, both)], corpus, files


def _of_repro(layout: Layout, copy: Path, rounds: int) -> list[Finding]:
    if not repro.copy_of(layout.root, copy):
        return repro.unfinished()
    changed = Layout(copy)
    tree = params.read(changed.params)

    def change(number: int) -> None:
        # Each round a value of its own: for one that was there before, DVC would take the results from its cache.
        rule = {"rule": "published", "unknown_below": 0.4137 + 0.01 * number}
        text = yaml.safe_dump({**tree, "decide": {**(tree.get("decide") or {}), **rule}}, sort_keys=False)
        changed.params.write_text(text, encoding="utf-8")

    return repro.repro(copy, change, rounds)


def _demo(room: Path, quick: bool) -> Path:
    """Return a folder with the demo's archives compressed as a competition's are; the demo itself stores them."""
    files = demo.fetch(demo.Params(folder=room / "demo", **(TINY_DEMO if quick else DEMO)), seed=1)
    preparing.pack(room / "compressed", _recordings(files))
    return room / "compressed"


def _recordings(files: list[SourceFile], every: int = 1, noises: int | None = None) -> list[Recording]:
    """Return every `every`th clip and the `noises` shortest noises, or all."""
    items = (item for item in archives.read(files) if isinstance(item, Recording))
    chosen = [item for index, item in enumerate(items) if item.is_noise or index % every == 0]
    found = sorted((item for item in chosen if item.is_noise), key=lambda item: len(item.data))
    return found[:noises] + [item for item in chosen if not item.is_noise]


def _project(root: Path, folder: Path, **section: Any) -> tuple[Layout, list[SourceFile]]:
    """Make a project that has downloaded `folder` and is about to prepare; return it and its files."""
    layout = Layout(root)
    files = archives.fetch(archives.Params(folder=folder.resolve()), seed=1)
    write_json(layout.manifest, {"source": "archives", "files": [asdict(file) for file in files]})
    write_json(layout.params, {"seed": 1, "prepare": section})  # JSON is YAML
    return layout, files


def _prepare(layout: Layout) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        prepare.main(layout)
