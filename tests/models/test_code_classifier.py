"""Codes, then a head: five steps that a kill may interrupt anywhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.examples.training_data import Examples, TrainingData, as_float
from pipeline.features.bag_of_codes import BagOfCodes
from pipeline.features.code_masking import CodeMasking
from pipeline.features.spectrogram_vectors import FAMILIES
from pipeline.learners.network import NetworkSpec
from pipeline.learners.training import Training
from pipeline.models import _code_classifier as code_classifier
from pipeline.models._code_classifier import CodeClassifier
from pipeline.models._codes import CodeLearning

SIZE = 6
CLIPS, JUDGED, CHUNK = 40, 20, 16


class InterruptionError(Exception):
    """Stands for a kill."""


def sounds(clips: int, seed: int) -> Examples:
    """Low tones, high tones and noise."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    hertz = np.where(targets == 0, rng.uniform(200, 400, clips), rng.uniform(2000, 3000, clips))
    waves = np.sin(2 * np.pi * hertz[:, None] * np.arange(16_000) / 16_000)
    waves[targets == 2] = rng.uniform(-1, 1, (np.sum(targets == 2), 16_000))
    samples = (waves * rng.uniform(2000, 20_000, (clips, 1))).astype(np.int16)
    return Examples(read=lambda rows: samples[rows - 100], rows=np.arange(clips) + 100, targets=targets)


def louder(samples: np.ndarray, generators: list[np.random.Generator]) -> np.ndarray:
    return as_float(samples) * np.array([[generator.uniform(0.3, 1)] for generator in generators], "f")


DATA = TrainingData(sounds(CLIPS, 1), sounds(JUDGED, 2), lambda epoch: np.arange(CLIPS), louder, seed=3)


def interrupted(examples: Examples, read: int) -> Examples:
    """Return the examples, interrupted when they are read for the `read`-th time."""
    reads = iter(range(1, 10_000))

    def interrupt(rows: np.ndarray) -> np.ndarray:
        if next(reads) == read:
            raise InterruptionError
        return examples.read(rows)

    return replace(examples, read=interrupt)


def at_call(number: int, function):
    """Return the function, interrupted at its `number`-th call."""
    calls = iter(range(1, 10_000))

    def interrupt(*arguments):
        if next(calls) == number:
            raise InterruptionError
        return function(*arguments)

    return interrupt


def build(takes: int = 2, vectors: int = 200) -> CodeClassifier:
    torch.manual_seed(5)
    learning = CodeLearning(width=16, dropout=0.1, vectors=vectors, epochs=2, batch_size=32)
    head = nn.Sequential(nn.Linear(4 * SIZE, 32), nn.ReLU(), nn.Dropout(0.4), nn.Linear(32, 3))
    front_end = BagOfCodes(size=SIZE, shrink=20, width=16, dropout=0.1, mean=-14, std=5)
    training = Training(epochs=3, batch_size=16, learning_rate=0.01, loss="huber", mixup_alpha=0.2)
    spec = NetworkSpec(["low", "high", "noise"], False, {})
    return CodeClassifier(head, spec, front_end, training, CodeMasking(0.35), learning, takes)


def weights(classifier: CodeClassifier) -> dict[str, torch.Tensor]:
    return {**classifier.model.state_dict(), **classifier.front_end.state_dict()}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(code_classifier, "CHUNK_CLIPS", CHUNK)


@pytest.fixture
def uninterrupted(tmp_path) -> CodeClassifier:
    classifier = build()
    classifier.fit(DATA, tmp_path / "whole", tmp_path / "live")
    return classifier


def test_interrupted_in_each_step_it_ends_with_the_same_weights(uninterrupted, tmp_path, monkeypatch):
    work = tmp_path / "work"

    def attempt(data: TrainingData = DATA) -> CodeClassifier:
        classifier = build()
        # A new process has other weights in its autoencoders until it has learnt or read them.
        nn.init.zeros_(classifier.front_end.autoencoders["bands"].encoder[0].weight)
        classifier.fit(data, work, tmp_path / "again")
        return classifier

    def attempt_in_vain(data: TrainingData = DATA) -> None:
        with pytest.raises(InterruptionError):
            attempt(data)

    attempt_in_vain(replace(DATA, train=interrupted(DATA.train, 2)))
    assert not (work / "vectors").exists()
    for name in ("fit_autoencoder", "fit_codebook"):
        with monkeypatch.context() as patch:
            patch.setattr(code_classifier, name, at_call(2, getattr(code_classifier, name)))
            attempt_in_vain()
    assert {path.stem for path in work.glob("*.safetensors")} == {
        *("autoencoder-patches", "autoencoder-bands", "autoencoder-envelopes"),
        *("centres-patches", "centres-bands"),
    }
    attempt_in_vain(replace(DATA, train=interrupted(DATA.train, 4)))
    with (work / "train.part").open("ab") as file:
        file.write(b"half a chunk")
    # Two of three chunks are read again: the second, which was cut off, and the third.
    attempt_in_vain(replace(DATA, train=interrupted(DATA.train, 5), validation=interrupted(DATA.validation, 2)))
    with monkeypatch.context() as patch:
        patch.setattr(code_classifier, "_counts_of_a_take", at_call(5, code_classifier._counts_of_a_take))
        attempt_in_vain()
    assert [folder.name for folder in work.glob("checkpoint-*")] == ["checkpoint-3"]
    # Only the head is left to learn: no clip is read again.
    last = attempt(replace(DATA, train=interrupted(DATA.train, 1), validation=interrupted(DATA.validation, 1)))
    expected, found = weights(uninterrupted), weights(last)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_every_epoch_draws_one_of_the_takes(tmp_path):
    classifier = build(takes=3)
    classifier.fit(DATA, tmp_path, tmp_path / "live")
    codes = np.fromfile(tmp_path / "train.codes", np.uint16).reshape(CLIPS, 3, 143)
    for take in range(3):
        generators = [np.random.default_rng([3, take, position]) for position in range(CLIPS)]
        heard = torch.from_numpy(louder(DATA.train.read(DATA.train.rows), generators))
        assert np.mean(codes[:, take] == classifier.front_end.codes(heard).numpy()) > 0.999
    assert 0 < np.mean(codes[:, 0] != codes[:, 1]) < 0.9
    drawn = [
        code_classifier._counts_of_a_take(SIZE, codes[:9], [np.random.default_rng([epoch, i]) for i in range(9)])
        for epoch in (0, 1)
    ]
    assert (drawn[0] != drawn[1]).any()
    takes = np.stack([code_classifier._counts(codes[:9, take], SIZE) for take in range(3)], axis=1)
    assert all((takes[clip] == counts).all(axis=1).any() for clip, counts in enumerate(drawn[1]))


@pytest.mark.parametrize(("wanted", "clips", "each"), [(25, 25, 1), (90, CLIPS, 3), (10**6, CLIPS, 120)])
def test_vectors_are_spread_over_the_clips(wanted, clips, each, tmp_path):
    classifier = build(vectors=wanted)
    classifier._draw_vectors(DATA, tmp_path)
    for name, (count, length) in FAMILIES.items():
        vectors = np.load(tmp_path / f"{name}.npy")
        assert vectors.shape == (clips * min(each, count), length), name
        assert len(np.unique(vectors, axis=0)) == len(vectors), name
