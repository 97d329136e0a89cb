"""Losses by hand, and which of them fit which task."""

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.learners.losses import loss_named, loss_of, probabilities_of

LOGITS = torch.tensor([[2.0, 0.0, -1.0]])
SOFTMAX, SIGMOID = torch.softmax(LOGITS, 1), torch.sigmoid(LOGITS)


def test_losses_are_those_of_the_books():
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    assert loss_of("cross_entropy", LOGITS, targets) == pytest.approx(-SOFTMAX[0, 0].log().item())
    assert loss_of("mse", LOGITS, targets) == pytest.approx(((SOFTMAX - targets) ** 2).mean().item())
    assert loss_of("huber", LOGITS, targets) == pytest.approx((0.5 * (SIGMOID - targets) ** 2).mean().item())
    binary = -(SIGMOID[0, 0].log() + (1 - SIGMOID[0, 1:]).log().sum()) / 3
    assert loss_of("binary_cross_entropy", LOGITS, targets) == pytest.approx(binary.item(), rel=1e-5)
    # Smoothed by 0.3, one of three labels is wanted at 0.8 and the others at 0.1.
    smooth = torch.tensor([[0.8, 0.1, 0.1]])
    assert loss_of("mse", LOGITS, targets, 0.3) == pytest.approx(((SOFTMAX - smooth) ** 2).mean().item())


def test_a_distribution_is_a_target_like_any_other():
    soft = torch.tensor([[0.5, 0.3, 0.2]])
    expected = -(soft * SOFTMAX.log()).sum().item()
    assert loss_of("cross_entropy", LOGITS, soft) == pytest.approx(expected)
    pulled = 0.7 * soft + 0.1
    assert loss_of("cross_entropy", LOGITS, soft, 0.3) == pytest.approx(-(pulled * SOFTMAX.log()).sum().item())
    assert loss_of("huber", LOGITS, soft) == pytest.approx((0.5 * (SIGMOID - soft) ** 2).mean().item())


def test_auto_is_the_loss_of_the_task():
    assert loss_named("auto", multi_label=False) == "cross_entropy"
    assert loss_named("auto", multi_label=True) == "binary_cross_entropy"


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_loss_for_one_label_is_refused_where_there_are_several(loss):
    with pytest.raises(PipelineError, match=rf"loss {loss} needs exactly one label"):
        loss_named(loss, multi_label=True)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "huber", "binary_cross_entropy"])
def test_probabilities_of_exclusive_labels_sum_to_one(loss):
    values = probabilities_of(loss, LOGITS, multi_label=False)
    assert values.sum().item() == pytest.approx(1)
    assert values.argsort().tolist() == LOGITS.argsort().tolist()
    if loss in ("huber", "binary_cross_entropy"):
        assert torch.equal(probabilities_of(loss, LOGITS, multi_label=True), SIGMOID)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "huber"])
def test_smoothing_pulls_a_question_of_its_own_towards_one_half(loss):
    targets, smooth = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.85, 0.15, 0.15]])
    assert loss_of(loss, LOGITS, targets, 0.3) == pytest.approx(loss_of(loss, LOGITS, smooth).item())
