"""Measuring the whole pipeline: projects that are made for it, prepared, repeated, and thrown away."""

import io
import itertools
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pipeline import params, runs
from pipeline.benchmarks import clips, networks, preparing, repro
from pipeline.benchmarks.table import Finding
from pipeline.clips.corpus import Corpus
from pipeline.clips.preparation import Prepare
from pipeline.clips.recording import Recording, bytes_of
from pipeline.errors import PipelineError
from pipeline.examples.from_corpus import training_data_of
from pipeline.examples.target import target_of
from pipeline.examples.training_data import TrainingData
from pipeline.export.graph import network_of
from pipeline.files import write_json, yaml_text
from pipeline.jobs.preparing import prepare
from pipeline.jobs.recipes import Run, build, input_kind, read_run, reader_of, recipes_of
from pipeline.layout import Layout
from pipeline.models import resnet
from pipeline.sources import SourceFile, archives, demo

TINY_DEMO: dict[str, Any] = {
    "train_voices": 6, "validation_share": 0.2, "test_voices": 2, "background_seconds": 3,
    "clips_per_command": 6, "clips_per_other_word": 2, "test_clips_per_label": 4,
}  # fmt: skip
DEMO: dict[str, Any] = {"clips_per_command": 100, "clips_per_other_word": 30, "test_clips_per_label": 50}


def of_prepare(
    room: Path, folder: Path, rounds: int, clips_wanted: int
) -> tuple[list[Finding], Corpus, list[SourceFile]]:
    """Return what was found of `prepare`, the corpus of the whole archive, and the archive's files.

    `folder` holds train.7z and test.7z; `room` is for what is made. Raises PipelineError if it lacks the archives.
    """
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
    # As many as the competition's own training archive has: among fewer, the start of the processes would count most.
    many = preparing.unpack(room / "folder", some, times=40)
    one, two = (_project(room / f"processes{n}", room / "folder", splits="hash", processes=n)[0] for n in (1, 2))
    shared = preparing.shared(lambda: _prepare(one), lambda: _prepare(two), many, rounds)
    return [speed, growth, shared, preparing.memory(small.root, large.root, both)], corpus, files


def of_clips(corpus: Corpus, files: list[SourceFile], rounds: int, clips_wanted: int) -> list[Finding]:
    """Return what was found of decoding, of reading the corpus, and of the front end."""
    test = next(Path(file.path) for file in files if file.role == "test")
    return [
        clips.decoding([bytes_of(clip.data) for clip in itertools.islice(archives.test(test), 1000)], rounds),
        clips.reading(corpus, rounds),
        *clips.log_mel(corpus.samples(corpus.select("train")[:clips_wanted]), rounds),
    ]


def of_repro(layout: Layout, copy: Path, rounds: int) -> list[Finding]:
    """Return what was found of `dvc repro` in `copy`, a copy of the project that is made for it."""
    if not repro.copy_of(layout.root, copy):
        return repro.unfinished()
    changed = Layout(copy)
    tree = params.read(changed.params)

    def change(number: int) -> None:
        # Each round a value of its own: for one that was there before, DVC would take the results from its cache.
        rule = {"rule": "published", "unknown_below": 0.4137 + 0.01 * number}
        text = yaml_text({**tree, "decide": {**(tree.get("decide") or {}), **rule}})
        changed.params.write_text(text, encoding="utf-8")

    return repro.repro(copy, change, rounds)


def made_demo(room: Path, quick: bool) -> Path:
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
    tree = params.read(layout.params)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        prepare(layout, params.section(tree, "prepare", Prepare), params.seed(tree))


def of_many_runs(layout: Layout, project: Path, rounds: int, runs: int, folds: int) -> Finding:
    """Return how long `dvc repro` takes with nothing to do, where there are many runs and folds."""
    if not (layout.root / "dvc.yaml").exists():
        return Finding(repro.NOTHING_TO_DO, f"not measured: there is no {layout.root / 'dvc.yaml'}")
    repro.fresh_copy_of(layout.root, project)
    net = {"model": "linear", "training": {"epochs": 1}}
    tree = {
        "seed": 1,
        "folds": list(range(folds)),
        **{section: {} for section in ("prepare", "encode", "decide", "vote", "ensemble")},
        "download": {"source": "demo"},
        "runs": {f"run-{number}": net for number in range(runs)},
        "students": {},
    }
    write_json(Layout(project).params, tree)
    return repro.many(project, runs, folds, rounds)


def of_networks(layout: Layout, corpus: Corpus, rounds: int, clips: int, spotter: Path | None) -> list[Finding]:
    """Return what was found of the networks that params.yaml lists, on `corpus`, and of the ONNX file `spotter`.

    Runs that cannot be built on it (another target, no network over audio, a checkpoint that is not here) are named.
    """
    if not layout.params.exists():
        return [Finding("training and predicting", f"not measured: there is no {layout.params}")]
    tree = params.read(layout.params)
    findings: list[Finding] = []
    for name in runs.teachers(tree):
        try:
            run = read_run(tree, name)
            make, data = _untrained(layout, corpus, run, name, params.seed(tree))
            samples = corpus.samples(corpus.select("train")[:clips])
            network_of(make(), name, input_kind(corpus, run.model))
            findings += networks.of_run(name, make, data, samples, rounds)
        except PipelineError as error:
            findings.append(Finding(f"training and predicting, {name}", f"not measured: {str(error).splitlines()[0]}"))
    return [*findings, *([networks.spotter(spotter, rounds)] if spotter else [])]


def of_streaming(layout: Layout, corpus: Corpus, rounds: int, widths: tuple[int, ...]) -> list[Finding]:
    """Return what was found of residual nets that hear on and on, so many times as wide as the model is."""
    plain = resnet.Params()
    findings = []
    for times in widths:
        sizes = {"stem_channels": times * plain.stem_channels, "channels": [times * each for each in plain.channels]}
        run = Run(model="resnet", parameters={"streaming": True, **sizes})
        classifier = _untrained(layout, corpus, run, "resnet", seed=1)[0]()
        findings.append(networks.streaming("resnet", classifier, resnet.streaming(classifier), rounds))
    return findings


def _untrained(
    layout: Layout, corpus: Corpus, run: Run, name: str, seed: int
) -> tuple[Callable[[], Any], TrainingData]:
    """Return what builds the classifier of a run, and the clips that it would learn from. Raises PipelineError."""
    recipes, target = recipes_of(run, f"runs.{name}"), target_of(corpus, run)
    read = reader_of(layout.encode, corpus, run.model)
    data = training_data_of(corpus, 0, run, target, read, run.augmentation, run.rebalancing, seed)

    def make() -> Any:
        torch.manual_seed(0)
        return build(recipes, target.labels, data.train, layout.checkpoints)

    return make, data
