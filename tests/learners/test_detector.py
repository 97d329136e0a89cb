"""A detector beside a classifier: what each learns, how they are put together, and that a kill costs nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData
from pipeline.learners.detector import WithDetector, combine, groups_of, in_groups
from pipeline.learners.training import Training
from pipeline.models import gru

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


def sounds(clips: int, seed: int) -> Examples:
    """Low tones, high tones and faint noise, in turn."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    hertz = np.where(targets == 0, rng.uniform(200, 400, clips), rng.uniform(2000, 3000, clips))
    waveforms = 0.3 * np.sin(2 * np.pi * hertz[:, None] * np.arange(16_000) / 16_000)
    waveforms[targets == 2] = 0.001 * rng.standard_normal((np.sum(targets == 2), 16_000))
    samples = (waveforms * 32_768).astype(np.int16)
    return Examples(read=lambda rows: samples[rows], rows=np.arange(clips), targets=targets)


TRAIN, VALIDATION = sounds(48, seed=1), sounds(24, seed=2)
DATA = TrainingData(
    TRAIN,
    VALIDATION,
    epoch_indices=lambda epoch: np.arange(48),
    augment=lambda samples, generators: samples.astype(np.float32) / 32_768,
    seed=3,
)
PARAMS = gru.Params(num_mel_bins=16, channels=[4], hidden=8, layers=1, dropout=0)


def pair(**training) -> WithDetector:
    torch.manual_seed(5)
    settings = Training(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.03, **training})
    words = gru.build(PARAMS, settings, LABELS, TRAIN, store=None)
    groups, group = groups_of(LABELS)
    return WithDetector(words, gru.build(PARAMS, settings, groups, in_groups(TRAIN, group), store=None))


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
    curve = "plots/metrics/validation/balanced_accuracy.tsv"
    for part in (".", "detector"):
        assert (tmp_path / "live" / part / curve).read_text() == (tmp_path / "again" / part / curve).read_text()

    restored = WithDetector(
        gru.restore(tmp_path / "whole", Training()), gru.restore(tmp_path / "whole" / "detector", Training())
    )
    assert restored.labels == LABELS
    assert restored.predict_proba(VALIDATION.read(VALIDATION.rows)) == pytest.approx(probabilities, abs=1e-6)


def test_one_for_other_labels_and_several_labels_a_clip_are_refused() -> None:
    words = gru.build(PARAMS, Training(), LABELS, TRAIN, store=None)
    with pytest.raises(ValueError, match="the detector's labels are"):
        WithDetector(words, words)
    several = replace(TRAIN, targets=np.eye(3, dtype=np.float32)[TRAIN.targets], exclusive=False)
    tags = gru.build(PARAMS, Training(), LABELS, several, store=None)
    with pytest.raises(PipelineError, match="several labels"):
        WithDetector(tags, words)
