"""A trained run as files for a small device: made, held against torch, judged and timed before they are published."""

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import models, params, runs
from pipeline.clips.corpus import Corpus
from pipeline.delivery.commit import commit_of
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.examples.training_data import as_float
from pipeline.export.description import Description
from pipeline.export.graph import graph_of, network_of, step_graph_of
from pipeline.export.int8 import CALIBRATION_CLIPS, clips_of, quantised, steps_of
from pipeline.export.runtime import OnnxClassifier
from pipeline.files import read_json, replacing_folder, sha256_of, write_json
from pipeline.jobs.judging_exports import Exported, Judge
from pipeline.jobs.recipes import trained
from pipeline.layout import Layout
from pipeline.learners.resuming import WEIGHTS

FARTHEST = 1e-5  # a probability of the exported net may be from torch's


def export(layout: Layout, run: str, fold: int | None, int8: bool, streaming: bool) -> list[Exported]:
    """Write artifacts/export/<run>/: <run>.onnx, as asked <run>.int8.onnx, <run>.streaming.onnx and, if both are,
    <run>.streaming.int8.onnx, and report.json.

    `fold` is by default the first that is trained. Returns what is found of each file. Nothing is written unless the
    float32 files' probabilities are within 1e-5 of torch's. Raises PipelineError if they are not, or the run is no
    trained network over audio, or with `streaming` if it was not trained to.
    """
    tree = params.read(layout.params)
    task, corpus, seed = runs.task_of(tree, run), Corpus.open(layout.prepare), params.seed(tree)
    fold = params.folds(tree)[0] if fold is None else fold
    folder = runs.paths(layout, tree, run).model(fold)
    classifier, about = trained(folder, tree, run)
    if about["corpus"] != corpus.fingerprint:
        raise PipelineError(f"{folder} was trained on another corpus. Run: dvc repro")
    network = network_of(classifier, run, about["inputs"])
    step = _step_of(network, about, run) if streaming else None
    description = Description.of_run(
        about,
        weights_of(folder),
        commands=list(corpus.vocabulary.commands) if task.is_submitted else [],
        provenance={"exported_at_commit": commit_of(layout.root)},
        **_decided(layout.submission(run) / "metrics.json"),
    )
    judge = Judge(corpus, task, target_of(corpus, task), fold, seed)
    graph = graph_of(network)
    # As many as tell the activations' ranges, drawn from what the net has learnt from.
    rows = np.random.default_rng(seed).permutation(corpus.training_rows(fold))[:CALIBRATION_CLIPS]
    calibration = as_float(corpus.samples(np.sort(rows)))
    with replacing_folder(layout.export(run)) as temporary:
        whole = _write(temporary / f"{run}.onnx", graph.proto, description)
        found = [judge.of_clips(whole, network)]
        if int8:
            proto = quantised(graph, clips_of(calibration))
            path = _write(temporary / f"{run}.int8.onnx", proto, replace(description, precision="int8"))
            found.append(judge.of_clips(path, network))
        if step is not None:
            steps, slid = step_graph_of(step), judge.slid(OnnxClassifier(whole, threads=1), step.step_samples)
            told = replace(description, step_samples=step.step_samples)
            path = _write(temporary / f"{run}.streaming.onnx", steps.proto, told)
            found.append(judge.of_steps(path, step, slid))
            if int8:
                proto = quantised(steps, steps_of(steps, calibration[::4]))  # each is many calls
                path = _write(temporary / f"{run}.streaming.int8.onnx", proto, replace(told, precision="int8"))
                found.append(judge.of_steps(path, step, slid))
        for each in found:
            _refuse_another_net(each, run)
        write_json(temporary / "report.json", {"run": run, "fold": fold, "files": [asdict(each) for each in found]})
    return found


def weights_of(folder: Path) -> str:
    """Return the SHA-256 of a trained network's weights."""
    return sha256_of(folder / WEIGHTS)


def _step_of(network: Any, about: dict[str, Any], run: str) -> Any:
    make = models.find(about["model"]).streaming
    if make is None:
        raise PipelineError(
            f"The run '{run}' cannot stream: its model, {about['model']}, reads a second as a whole.\n"
            "The models gru, lstm and resnet can, trained with `streaming: true`."
        )
    return make(network)


def _write(path: Path, proto: Any, description: Description) -> Path:
    description.write_into(proto)
    path.write_bytes(proto.SerializeToString())
    return path


def _refuse_another_net(found: Exported, run: str) -> None:
    if not math.isfinite(found.farthest):
        raise PipelineError(
            f"{found.file}, or the trained net of '{run}' itself, gives probabilities that are no finite numbers. "
            "Nothing was written. Train it anew: dvc repro -f"
        )
    if not found.file.endswith(".int8.onnx") and not found.farthest <= FARTHEST:
        raise PipelineError(
            f"{found.file} is not the trained net of '{run}': its probabilities differ by up to {found.farthest:.1g}, "
            f"more than {FARTHEST:g}. Nothing was written."
        )


def _decided(figures: Path) -> dict[str, Any]:
    """Return the rule and the thresholds that stage decide made of the run, where it has."""
    told = read_json(figures) if figures.is_file() else {}
    return {"rule": told.get("rule", ""), "thresholds": told.get("thresholds") or {}}
