"""Which net listens: an exported file, or else a trained run itself; and what `--measure` finds of it."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.export.description import Description
from pipeline.export.runtime import OnnxClassifier, OnnxSteps
from pipeline.files import read_json, replacing_folder, restored, write_json
from pipeline.jobs.exporting import weights_of
from pipeline.jobs.recipes import trained
from pipeline.layout import Layout
from pipeline.listening import measuring
from pipeline.listening.ear import Ear, SlidingSecond, StreamingEar
from pipeline.listening.measuring import Measured
from pipeline.listening.scenes import LEVEL_DB
from pipeline.listening.spotting import Spotting
from pipeline.scoring.truth import speakers_of


@dataclass(frozen=True)
class Listener:
    """What listens: `new_ear` begins to hear anew; `fold` is that of its nets, `engine` what computes them.

    `corpus` is the fingerprint of the corpus that they learnt from. `kind` is what the name of an exported file has
    between the run's and its suffix: what such a file hears is not what the run does.
    """

    run: str
    new_ear: Callable[[], Ear]
    keywords: list[str]
    engine: str
    fold: int
    corpus: str
    kind: str = ""


def listener_of(layout: Layout, run: str | None, model: Path | None, hop_ms: int) -> Listener:
    """Return what listens: the exported file `model`; or `run`, without either the first run that can.

    A run's exported file is taken where there is one of the weights that the run has now; it needs no torch. Raises
    PipelineError if no such run is trained, or it does not take audio.
    """
    if model is not None:
        return _of_export(OnnxClassifier(model, threads=1), hop_ms)
    tree = params.read(layout.params)
    reasons = []
    for name in [run] if run else runs.names(tree):
        try:
            return _of_run(layout, tree, name, hop_ms)
        except PipelineError as error:
            reasons.append(str(error))
    raise PipelineError("\n".join(reasons))


def exported_listeners(layout: Layout, hop_ms: int) -> list[Listener]:
    """Return a listener for each file under artifacts/export. Raises PipelineError if there is none."""
    # Of a folder that begins with a dot, an export that goes on or was killed, nobody knows whether it is the net.
    files = sorted(layout.export("").glob("[!.]*/*.onnx"))
    if not files:
        raise PipelineError(f"There is no exported run in {layout.export('')}. Run: python -m pipeline export RUN")
    return [_of_export(OnnxClassifier(path, threads=1), hop_ms) for path in files]


def _of_export(classifier: OnnxClassifier, hop_ms: int) -> Listener:
    told = classifier.description

    def new_ear() -> Ear:
        if told.step_samples:
            return StreamingEar(OnnxSteps(classifier.session), told.labels, told.step_samples, classifier.multi_label)
        return SlidingSecond(classifier, hop_ms)

    engine = f"onnxruntime, {told.precision}{', streaming' * bool(told.step_samples)}"
    kind = ".streaming" * bool(told.step_samples) + f".{told.precision}" * (told.precision != "float32")
    fold, corpus = told.provenance["fold"], told.provenance["corpus"]
    return Listener(told.run, new_ear, told.keywords, engine, fold, corpus, kind)


def _is_of(told: Description, folder: Path) -> bool:
    """Return whether a file is of the net in `folder`: of another corpus, the same weights may have other commands."""
    corpus = read_json(folder / "run.json")["corpus"]
    return told.weights == weights_of(folder) and told.provenance.get("corpus") == corpus


def _of_run(layout: Layout, tree: dict[str, Any], run: str, hop_ms: int) -> Listener:
    runs.entry(tree, run)  # refuses a run that is not listed
    folder = runs.paths(layout, tree, run).model(params.folds(tree)[0])
    file = restored(layout.export(run)) / f"{run}.onnx"
    if file.is_file():
        try:
            exported = OnnxClassifier(file, threads=1)
        except PipelineError as error:
            told = f"{error}\nThe weights of '{run}' itself are taken. Mend the file: python -m pipeline export {run}"
            print(told, file=sys.stderr)
        else:
            if not (folder / "model.safetensors").is_file() or _is_of(exported.description, folder):
                return _of_export(exported, hop_ms)
    classifier, about = trained(folder, tree, run)
    if about["inputs"] != "samples":
        raise PipelineError(f"The run '{run}' was trained on {about['inputs']} and cannot hear audio.")
    commands = Corpus.open(layout.prepare).vocabulary.commands if runs.task_of(tree, run).is_submitted else ()
    keywords = Description.of_run(about, "", commands=list(commands)).keywords
    return Listener(run, lambda: SlidingSecond(classifier, hop_ms), keywords, "torch", about["fold"], about["corpus"])


def measured(layout: Layout, listener: Listener, spotting: Spotting, hours: float) -> list[Measured]:
    """Return how often a listener finds keywords, and hears some where there are none; write both down.

    The words are the clips that judge the run's fold, the noise is what its nets never learnt with. Writes measure.json
    and curve.png into artifacts/listen/<run>/, of a file that streams or is int8 into <run>.streaming/, <run>.int8/ or
    <run>.streaming.int8/. Raises PipelineError if there is no such noise or clip.
    """
    tree, corpus = params.read(layout.params), Corpus.open(layout.prepare)
    run, fold = listener.run, listener.fold
    if run not in runs.names(tree):
        raise PipelineError(f"params.yaml lists no run '{run}', so it is not known which clips it never learnt from.")
    if listener.corpus != corpus.fingerprint:
        raise PipelineError(
            f"What hears for '{run}' was trained on another corpus than the one in {layout.prepare}, so it may have "
            f"learnt from the clips that would judge it.\nRun: dvc repro, then: python -m pipeline export {run}"
        )
    target = target_of(corpus, runs.task_of(tree, run))
    if not target.exclusive:
        raise PipelineError(f"--measure counts clips of one label each, and the clips of '{run}' may have several.")
    rows = target.among(corpus.judged_rows(fold))
    spoken = [(row, target.labels[target.values[row]]) for row in rows]
    words = [(row, label) for row, label in spoken if label in listener.keywords]
    if not words:
        raise PipelineError(f"The corpus in {layout.prepare} has no clip of a keyword that judges fold {fold}.")
    found = measuring.measure(
        listener.new_ear,
        listener.keywords,
        lambda: ((corpus.samples(np.array([row]))[0], label) for row, label in words),
        speakers_of(corpus, np.array([row for row, _ in words])),
        corpus.judging_noises(fold),
        spotting,
        hours,
        params.seed(tree),
    )
    about = {"run": run, "engine": listener.engine, "hours": hours, "level_db": LEVEL_DB}
    about |= spotting.model_dump(exclude={"threshold"})  # each figure has its own
    with replacing_folder(layout.listening(run + listener.kind)) as folder:
        write_json(folder / "measure.json", {**about, "measured": [asdict(each) for each in found]})
        measuring.drawn(found, run + listener.kind, hours).savefig(folder / "curve.png", dpi=150)
    return found
