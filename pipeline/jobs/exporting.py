"""A trained run as files for a small device: made, held against torch, judged and timed before they are published."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics, params, runs
from pipeline.clips.corpus import Corpus
from pipeline.delivery.commit import commit_of
from pipeline.errors import PipelineError
from pipeline.examples.from_corpus import judged_labels
from pipeline.examples.target import Target, target_of
from pipeline.examples.task import Task
from pipeline.examples.training_data import as_float
from pipeline.export.description import Description
from pipeline.export.graph import graph_of, network_of
from pipeline.export.int8 import CALIBRATION_CLIPS, quantised
from pipeline.export.latency import PRIZE_BYTES, PRIZE_MS, latency
from pipeline.export.runtime import OnnxClassifier
from pipeline.files import read_json, replacing_folder, sha256_of, write_json
from pipeline.jobs.recipes import trained
from pipeline.layout import Layout
from pipeline.learners.classifier import Classifier
from pipeline.learners.judging import mean_average_precision, summed_into
from pipeline.scoring.truth import speakers_of

FARTHEST = 1e-5  # a probability of the exported net may be from torch's


@dataclass(frozen=True)
class Exported:
    """One file: what it weighs, how long a clip takes on one thread, how far it is from torch, how well it does.

    `figure` is accuracy where each label counts alike, with its 95 % interval by speaker; mean average precision,
    without one, where a clip may have several labels. `agreement` is the share of clips with torch's likeliest label.
    """

    file: str
    bytes: int
    median_ms: float
    p99_ms: float
    farthest: float
    agreement: float
    figure: float
    low: float | None
    high: float | None

    @property
    def wins_prize(self) -> bool:
        """Whether it keeps the prize's limits, time on this machine standing in for a Raspberry Pi's."""
        return self.bytes <= PRIZE_BYTES and self.median_ms <= PRIZE_MS


def weights_of(folder: Path) -> str:
    """Return the SHA-256 of a trained network's weights."""
    return sha256_of(folder / "model.safetensors")


def export(layout: Layout, run: str, fold: int | None, int8: bool) -> list[Exported]:
    """Write artifacts/export/<run>/: <run>.onnx, with `int8` <run>.int8.onnx, and report.json; return what they are.

    `fold` is by default the first that is trained. Nothing is written unless all probabilities of the clips that judge
    the fold are within 1e-5 of torch's. Raises PipelineError if they are not, or the run is no trained network over
    audio.
    """
    tree = params.read(layout.params)
    task, corpus = runs.task_of(tree, run), Corpus.open(layout.prepare)
    fold = params.folds(tree)[0] if fold is None else fold
    folder = layout.run(run, run in runs.students(tree)).model(fold)
    classifier, about = trained(folder, tree, run)
    if about["corpus"] != corpus.fingerprint:
        raise PipelineError(f"{folder} was trained on another corpus. Run: dvc repro")
    network = network_of(classifier, run, about["inputs"])
    description = Description.of_run(
        about,
        weights_of(folder),
        commands=list(corpus.vocabulary.commands) if task.is_submitted else [],
        provenance={"commit": commit_of(layout.root)},
        **_decided(layout.submission(run) / "metrics.json"),
    )
    graph = graph_of(network)
    description.write_into(graph.proto)
    judge = _Judge(corpus, task, target_of(corpus, task), corpus.judged_rows(fold))
    judge.hear(network)
    files = {f"{run}.onnx": graph.proto}
    if int8:
        # As many as tell the activations' ranges, evenly drawn from what the net has learnt from.
        rows = np.random.default_rng(params.seed(tree)).permutation(corpus.training_rows(fold))[:CALIBRATION_CLIPS]
        files[f"{run}.int8.onnx"] = quantised(graph, as_float(corpus.samples(np.sort(rows))))
        replace(description, precision="int8").write_into(files[f"{run}.int8.onnx"])
    with replacing_folder(layout.export(run)) as temporary:
        report = []
        for name, proto in files.items():
            (temporary / name).write_bytes(proto.SerializeToString())
            report.append(judge.judged(temporary / name))
        if report[0].farthest > FARTHEST:
            raise PipelineError(
                f"The exported net of '{run}' is not the trained one: probabilities differ by up to "
                f"{report[0].farthest:.1g}, more than {FARTHEST:g}. Nothing was written."
            )
        write_json(temporary / "report.json", {"run": run, "fold": fold, "files": [asdict(each) for each in report]})
    return report


class _Judge:
    """Holds files against torch on the clips that judge a fold."""

    def __init__(self, corpus: Corpus, task: Task, target: Target, rows: NDArray[np.int64]) -> None:
        self.rows = rows[target.known[rows]]
        self.samples = corpus.samples(self.rows)
        self.truth = target.values[self.rows]
        self.speakers = speakers_of(corpus, self.rows)
        self.labels, self.judged_as = target.labels, np.arange(len(target.labels))
        if task.is_submitted:
            self.judged_as = judged_labels(corpus, target.labels)
            self.labels = corpus.vocabulary.submission_labels

    def hear(self, classifier: Classifier) -> None:
        """Note what torch makes of the clips."""
        self.expected = classifier.predict_proba(self.samples)

    def judged(self, path: Path) -> Exported:
        """Return what is found of a file."""
        exported = OnnxClassifier(path, threads=1)
        values = exported.predict_proba(self.samples)
        speed = latency(exported.session)
        figure, low, high = self._figure(values, exported.multi_label)
        return Exported(
            path.name,
            path.stat().st_size,
            speed.median_ms,
            speed.p99_ms,
            float(np.abs(values - self.expected).max()),
            round(float((values.argmax(axis=1) == self.expected.argmax(axis=1)).mean()), 5),
            figure,
            low,
            high,
        )

    def _figure(self, values: NDArray[np.float32], multi_label: bool) -> tuple[float, float | None, float | None]:
        if multi_label:
            return round(mean_average_precision(values, self.truth), 5), None, None
        predicted = summed_into(values, self.judged_as).argmax(axis=1)
        told = metrics.judge(self.judged_as[self.truth], predicted, self.speakers, self.labels)
        return told["prior_accuracy"], told["prior_accuracy_low"], told["prior_accuracy_high"]


def _decided(figures: Path) -> dict[str, Any]:
    """Return the rule and the thresholds that stage decide made of the run, where it has."""
    told = read_json(figures) if figures.is_file() else {}
    return {"rule": told.get("rule", ""), "thresholds": told.get("thresholds") or {}}
