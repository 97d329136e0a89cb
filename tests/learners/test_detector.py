"""A detector beside a classifier: what each learns, how they are put together, and that a kill costs nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData
from pipeline.learners import epochs
from pipeline.learners.detector import WithDetector, combine, groups_of, in_groups
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training
from tests import vectors

LABELS = ["low", "high", "silence"]


def test_the_groups_are_words_unknown_and_silence() -> None:
    groups, group = groups_of(["yes", "no", "unknown", "silence"])
    assert (groups, group.tolist()) == (["word", "unknown", "silence"], [0, 0, 1, 2])
    groups, group = groups_of(["cat", "silence", "dog"])
    assert (groups, group.tolist()) == (["word", "silence"], [0, 1, 0])


@pytest.mark.parametrize("labels", [["ada", "bob"], ["unknown", "silence"]])
def test_labels_without_words_or_without_silence_and_unknown_are_refused(labels) -> None:
    with pytest.raises(PipelineError, match=r"this run's labels are .*\nDelete `detector`"):
        groups_of(labels)


def test_the_detector_says_how_much_and_the_other_how_it_is_shared() -> None:
    fine = np.array([[0.6, 0.2, 0.1, 0.1], [0.0, 0.0, 0.5, 0.5]], np.float32)  # yes, no, unknown, silence
    coarse = np.array([[0.4, 0.5, 0.1], [0.2, 0.3, 0.5]], np.float32)
    expected = [[0.3, 0.1, 0.5, 0.1], [0.1, 0.1, 0.3, 0.5]]
    found = combine(fine, coarse, np.array([0, 0, 1, 2]))
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array(expected), abs=1e-6)


def test_targets_become_those_of_the_groups_and_the_clips_stay() -> None:
    examples = Examples(read=lambda rows: rows, rows=np.array([7, 8, 9]), targets=np.array([0, 2, 1]))
    grouped = in_groups(examples, np.array([0, 0, 1]))
    assert grouped.targets.tolist() == [0, 1, 0]
    assert grouped.rows is examples.rows


TRAIN, VALIDATION = vectors.examples(48), vectors.examples(24)
DATA = vectors.data(validation=VALIDATION)


def net(labels: list[str], multi_label: bool = False, **training) -> NetClassifier:
    torch.manual_seed(5)
    settings = Training(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.3, **training})
    return NetClassifier(nn.Linear(3, len(labels)), NetworkSpec(labels, multi_label, {}), nn.Identity(), settings)


def pair(**training) -> WithDetector:
    return WithDetector(net(LABELS, **training), net(groups_of(LABELS)[0], **training))


class InterruptionError(Exception):
    """Stands for a kill."""


def test_interrupted_in_either_part_it_ends_with_the_same_weights_and_restores(tmp_path) -> None:
    whole = pair()
    whole.fit(DATA, tmp_path / "work", tmp_path / "live")
    probabilities = whole.predict_proba(VALIDATION.read(VALIDATION.rows))
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(24), abs=1e-5)
    assert (probabilities.argmax(axis=1) == VALIDATION.targets).mean() > 0.9
    # Its word's share is the detector's.
    coarse = whole.detector.predict_proba(VALIDATION.read(VALIDATION.rows))
    assert probabilities[:, 2] == pytest.approx(coarse[:, 1], abs=1e-6)

    reads = 0

    def interrupted_at(batch: int) -> TrainingData:
        def read(rows: np.ndarray) -> np.ndarray:
            nonlocal reads
            reads += 1
            if reads == batch:
                raise InterruptionError
            return TRAIN.read(rows)

        return replace(DATA, train=replace(TRAIN, read=read))

    for batch in (5, 12):  # of nine batches each: once in the words' part, then in the detector's
        with pytest.raises(InterruptionError):
            pair().fit(interrupted_at(batch), tmp_path / "torn", tmp_path / "again")
        assert (tmp_path / "torn" / "detector").exists()
    resumed = pair()
    resumed.fit(DATA, tmp_path / "torn", tmp_path / "again")
    for folder, classifier in (("whole", whole), ("resumed", resumed)):
        (tmp_path / folder).mkdir()
        classifier.save(tmp_path / folder)
    for part in (".", "detector"):
        one, other = (load_file(tmp_path / name / part / "model.safetensors") for name in ("whole", "resumed"))
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert epochs.read(tmp_path / "work").shape == (3, 24, 3)
    assert epochs.read(tmp_path / "work" / "detector").shape == (3, 24, 2)
    for part in (".", "detector"):
        np.testing.assert_array_equal(epochs.read(tmp_path / "work" / part), epochs.read(tmp_path / "torn" / part))
    curve = "plots/metrics/validation/balanced_accuracy.tsv"
    for part in (".", "detector"):
        assert (tmp_path / "live" / part / curve).read_text() == (tmp_path / "again" / part / curve).read_text()

    restored = pair()
    restored.words.load(tmp_path / "whole")
    restored.detector.load(tmp_path / "whole" / "detector")
    assert restored.labels == LABELS
    assert restored.predict_proba(VALIDATION.read(VALIDATION.rows)) == pytest.approx(probabilities, abs=1e-6)


def test_one_for_other_labels_and_several_labels_a_clip_are_refused() -> None:
    words = net(LABELS)
    with pytest.raises(ValueError, match="the detector's labels are"):
        WithDetector(words, words)
    with pytest.raises(PipelineError, match="several labels"):
        WithDetector(net(LABELS, multi_label=True), words)


class Stub:
    """Has learnt `epochs` epochs of some labels."""

    multi_label = False

    def __init__(self, labels: list[str], learnt: int) -> None:
        self.labels = labels
        self.learnt = learnt
        self.data: TrainingData | None = None

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        self.data = data
        for epoch in range(1, self.learnt + 1):
            epochs.record(work, epoch, np.full((len(data.validation.rows), len(self.labels)), 0.5, np.float32))

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        return np.full((len(inputs), len(self.labels)), 0.25, np.float32)


@pytest.mark.parametrize(("words", "detector"), [(2, 3), (2, 0), (0, 2), (0, 0)])
def test_each_part_has_its_epochs_and_one_that_chose_none_its_end(words, detector, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pipeline.learners.classifier.CHUNK_CLIPS", 10)  # of 24
    pair = WithDetector(Stub(LABELS, words), Stub(["word", "silence"], detector))
    pair.fit(DATA, tmp_path, tmp_path / "live")
    for folder, learnt, labels in ((tmp_path, words, 3), (tmp_path / "detector", detector, 2)):
        kept = epochs.read(folder)
        if words == detector == 0:
            assert kept is None
        else:
            assert kept.shape == (learnt or 1, 24, labels)
            assert (kept == (0.5 if learnt else 0.25)).all()


def test_each_part_is_judged_by_what_it_tells(tmp_path) -> None:
    judged = np.array([0, 0, 1])
    words, detector = Stub(LABELS, 1), Stub(["word", "silence"], 1)
    WithDetector(words, detector).fit(replace(DATA, judged=judged), tmp_path, tmp_path / "live")
    assert words.data.judged is judged
    assert detector.data.judged is None


def test_soft_labels_are_refused_before_anything_is_learnt(tmp_path) -> None:
    soft = replace(TRAIN, targets=np.full((len(TRAIN.rows), 3), 1 / 3, np.float32))
    words = Stub(LABELS, 1)
    with pytest.raises(PipelineError, match="Detectors learn one label a clip"):
        WithDetector(words, Stub(["word", "silence"], 1)).fit(replace(DATA, train=soft), tmp_path, tmp_path / "live")
    assert words.data is None
