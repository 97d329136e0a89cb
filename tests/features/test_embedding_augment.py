import pytest
import torch
from pydantic import ValidationError

from pipeline.features.embedding_augment import EmbeddingAugment, EmbeddingAugmentParams

LABELS = ["other", "speech"]


def targets_of(*indices: int, labels: int = 2) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(indices), labels).float()


def augmented(features: torch.Tensor, targets: torch.Tensor, labels=LABELS, seed: int = 0, **params: float):
    torch.manual_seed(seed)
    return EmbeddingAugment(EmbeddingAugmentParams(**params), labels)(features, targets)


def test_a_clip_is_shifted_by_one_constant_and_clipped() -> None:
    features = torch.full((400, 10, 128), 100.0)
    shifts = augmented(features, targets_of(*[0] * 400), shift_share=0.5, largest_shift=40) - features
    assert torch.equal(shifts, shifts[:, :1, :1].expand_as(shifts))
    each = shifts[:, 0, 0]
    assert 150 < (each != 0).sum() < 250
    assert each.abs().max() <= 40
    assert each.min() < -30
    assert each.max() > 30
    assert augmented(torch.full((50, 2, 128), 250.0), targets_of(*[0] * 50), shift_share=1).max() == 255
    assert augmented(torch.full((50, 2, 128), 5.0), targets_of(*[0] * 50), shift_share=1).min() == 0


def test_two_positives_are_averaged_and_never_a_negative() -> None:
    features = torch.tensor([0.0, 255.0, 10.0, 30.0])[:, None, None].expand(4, 10, 128)
    changed = augmented(features, targets_of(0, 0, 1, 1), average_share=1)
    assert torch.equal(changed[:2], features[:2])
    assert (changed[2:] == 20).all()  # of 10 and 30, both ways


def test_an_average_is_of_clips_with_the_same_labels() -> None:
    features = torch.tensor([0.0, 40.0, 80.0, 120.0, 200.0])[:, None, None].expand(5, 10, 128)
    targets = torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [0, 0, 1]])
    changed = augmented(features, targets, ["cat", "dog", "bird"], average_share=1)
    assert changed[:, 0, 0].tolist() == [20, 20, 100, 100, 200]  # the last has no partner


def test_a_share_of_the_positives_and_any_partner() -> None:
    features = torch.arange(300.0).div(2)[:, None, None].expand(300, 10, 128)
    changed = augmented(features, targets_of(*[1] * 300), average_share=0.3)
    is_changed = (changed != features).all(dim=(1, 2))
    assert 60 < is_changed.sum() < 120
    partners = (2 * changed - features)[is_changed, 0, 0]
    assert len(partners.unique()) > 50


def test_the_seed_decides_and_judging_changes_nothing() -> None:
    features, targets = torch.rand(20, 10, 128) * 255, targets_of(*[1] * 20)
    both = {"shift_share": 0.5, "average_share": 0.5}
    assert torch.equal(augmented(features, targets, **both), augmented(features, targets, **both))
    assert not torch.equal(augmented(features, targets, **both), augmented(features, targets, seed=1, **both))
    judging = EmbeddingAugment(EmbeddingAugmentParams(**both), LABELS).eval()
    assert torch.equal(judging(features, targets), features)
    assert torch.equal(augmented(features, targets), features)  # off by default


@pytest.mark.parametrize("bad", [{"shift_share": 1.1}, {"largest_shift": 256}, {"average_share": -1}], ids=str)
def test_bad_values_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        EmbeddingAugmentParams(**bad)
