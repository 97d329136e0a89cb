"""The convolutional encoder: gates and attention exact on small numbers, then learning, resuming, saving, restoring."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.learners.training import Training
from pipeline.models import convs2s
from pipeline.models.convs2s import ConvS2S, Params, attend
from tests.tones import DATA, LABELS, TRAIN, VALIDATION

SMALL = {"num_mel_bins": 16, "stack": 4, "blocks": 2, "channels": 16, "kernel": 3}


def build(examples: Examples = TRAIN, params=SMALL, **training):
    torch.manual_seed(5)
    settings = Training(**{"epochs": 4, "batch_size": 16, "learning_rate": 0.01, **training})
    return convs2s.build(Params(**params), settings, LABELS, examples, store=None)


def test_attention_weighs_the_steps_by_their_likeness_to_the_query() -> None:
    encoded = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])  # [1 clip, 2 steps, width 2]
    embedded = torch.tensor([[[10.0, 0.0], [0.0, 10.0]]])
    queries = torch.tensor([[np.log(3.0), 0.0], [0.0, 50.0]]).float()
    read, weights = attend(queries, encoded, embedded)
    # Scores of the first head are log 3 and 0, so its weights 3/4 and 1/4; the second sees only the second step.
    assert weights[0].flatten().tolist() == pytest.approx([0.75, 0.25, 0, 1], abs=1e-6)
    assert read[0].flatten().tolist() == pytest.approx([0.75 * 11, 0.25 * 12, 0, 12], abs=1e-4)


def test_a_block_adds_the_gated_half_to_what_came_in_and_keeps_the_scale() -> None:
    net = ConvS2S(Params(num_mel_bins=8, stack=1, blocks=1, channels=2, kernel=1, dropout=0), frames=1, labels=2).eval()
    with torch.no_grad():
        net.embedding.weight.zero_()
        net.embedding.bias.copy_(torch.tensor([1.0, -1.0]))
        net.positions.fill_(0.5)  # the one step is then (1.5, -0.5)
        net.blocks[0].weight.zero_()
        net.blocks[0].bias.copy_(torch.tensor([4.0, 8.0, 0.0, np.log(3.0)]))  # values 4, 8; gates 1/2, 3/4
        net.head.weight.copy_(torch.eye(2))
        net.head.bias.zero_()
    encoded = np.array([1.5 + 4 * 0.5, -0.5 + 8 * 0.75]) * np.sqrt(0.5)
    expected = encoded + np.array([1.5, -0.5])  # of one step, attention reads all, and its embedding with it
    assert net(torch.randn(1, 1, 8))[0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_step_is_several_frames_and_the_last_is_filled_up() -> None:
    net = ConvS2S(Params(**{**SMALL, "stack": 4}), frames=98, labels=3).eval()
    assert net.positions.shape == (25, 16)
    assert net(torch.randn(2, 98, 16)).shape == (2, 3)


def test_at_the_start_each_block_keeps_the_variance() -> None:
    torch.manual_seed(0)
    net = ConvS2S(Params(blocks=1, channels=256, kernel=5, dropout=0), frames=98, labels=3)
    signal = torch.randn(20, 256, 200)
    out = (signal + nn.functional.glu(net.blocks[0](signal), dim=1)) * convs2s.SCALE
    assert out[..., 2:-2].var().item() == pytest.approx(1, abs=0.25)


def test_it_learns_and_what_is_saved_gives_the_same_probabilities(tmp_path) -> None:
    classifier = build(epochs=8)
    classifier.fit(DATA, tmp_path / "work", tmp_path / "live")
    samples = VALIDATION.read(VALIDATION.rows)
    probabilities = classifier.predict_proba(samples)
    assert (probabilities.argmax(axis=1) == VALIDATION.targets).mean() > 0.9
    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    restored = convs2s.restore(tmp_path / "model", Training())
    assert restored.labels == LABELS
    assert restored.predict_proba(samples) == pytest.approx(probabilities, abs=1e-6)


@pytest.mark.parametrize("variant", [("mse", "rmsprop"), ("cross_entropy", "adam")])
def test_interrupted_it_ends_with_the_same_weights(variant, tmp_path) -> None:
    loss, optimizer = variant
    whole = build(loss=loss, optimizer=optimizer, learning_rate=0.001)
    whole.fit(DATA, tmp_path / "work", tmp_path / "live")
    reads = iter(range(100))

    class InterruptionError(Exception):
        pass

    def read(rows: np.ndarray) -> np.ndarray:
        if next(reads) == 7:  # in the third of four epochs
            raise InterruptionError
        return TRAIN.read(rows)

    settings = {"loss": loss, "optimizer": optimizer, "learning_rate": 0.001}
    with pytest.raises(InterruptionError):
        build(**settings).fit(replace(DATA, train=replace(TRAIN, read=read)), tmp_path / "torn", tmp_path / "again")
    resumed = build(**settings)
    resumed.fit(DATA, tmp_path / "torn", tmp_path / "again")
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.model.state_dict().items())


def test_clips_with_several_labels_are_taken_unless_the_loss_is_for_one() -> None:
    several = replace(TRAIN, targets=np.eye(3, dtype=np.float32)[TRAIN.targets], exclusive=False)
    probabilities = build(several).predict_proba(TRAIN.read(TRAIN.rows[:4]))
    assert probabilities.shape == (4, 3)
    assert not np.allclose(probabilities.sum(axis=1), 1)
    with pytest.raises(PipelineError, match="exactly one label a clip"):
        build(several, loss="mse")


@pytest.mark.parametrize("bad", [{"kernel": 4}, {"blocks": 0}, {"dropout": 1}, {"stack": 9}, {"gates": 2}])
def test_bad_parameters_are_refused(bad) -> None:
    with pytest.raises(ValidationError):
        Params(**bad)
