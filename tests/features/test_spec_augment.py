import pytest
import torch
from pydantic import ValidationError

from pipeline.features.spec_augment import SpecAugment, SpecAugmentParams
from pipeline.models import convs2s, gru, resnet, timm


def masked(params: SpecAugmentParams, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return SpecAugment(params)(torch.ones(50, 98, 64)) == 0


def test_masks_are_single_stretches_within_their_widths() -> None:
    zeros = masked(SpecAugmentParams(frequency_masks=1, frequency_width=10, time_masks=0))
    bins = zeros.all(dim=1)  # [clips, bins]: a masked bin is masked in every frame
    assert torch.equal(bins[:, None].expand_as(zeros), zeros)
    widths = bins.sum(dim=1)
    assert widths.max() <= 10
    assert widths.max() > 5
    starts = (bins.int().diff(dim=1) == 1).sum(dim=1) + bins[:, 0]
    assert starts.max() == 1


def test_masks_of_time_lie_where_there_is_sound() -> None:
    torch.manual_seed(0)
    params = SpecAugmentParams(frequency_masks=0, time_width=20)
    zeros = SpecAugment(params, sounding=98)(torch.ones(50, 1024, 8)) == 0
    assert not zeros[:, 98:].any()
    assert zeros.any(dim=(1, 2)).sum() > 40


def test_every_clip_has_its_own_mask_and_the_seed_gives_it_back() -> None:
    params = SpecAugmentParams(frequency_masks=0, time_masks=2, time_width=30)
    assert torch.equal(masked(params), masked(params))
    assert not torch.equal(masked(params), masked(params, seed=1))
    assert len({tuple(clip[:, 0].tolist()) for clip in masked(params)}) > 30


def test_nothing_is_masked_when_judging() -> None:
    features = torch.ones(3, 98, 64)
    assert torch.equal(SpecAugment(SpecAugmentParams()).eval()(features), features)


def test_a_width_that_is_not_given_is_that_of_the_net() -> None:
    for params in (resnet.Params, gru.Params, convs2s.Params, timm.Params):
        own = params().spec_augment
        given = params.model_validate({"spec_augment": {"time_masks": 2}}).spec_augment
        assert given == own.model_copy(update={"time_masks": 2})
    with pytest.raises(ValidationError, match=r"spec_augment\.time_mask\b"):
        gru.Params.model_validate({"spec_augment": {"time_mask": 2}})


def test_masks_of_time_are_as_many_and_as_wide_as_asked_for_anywhere() -> None:
    frames = masked(SpecAugmentParams(frequency_masks=0, time_masks=1, time_width=30, frequency_width=5)).all(dim=2)
    widths = frames.sum(dim=1)
    assert 25 < widths.max() <= 30
    assert len(set(widths.tolist())) > 10  # each clip's own
    assert frames.any(dim=0).all()  # the first frame and the last as well
    twice = masked(SpecAugmentParams(frequency_masks=0, time_masks=2, time_width=30)).all(dim=2)
    assert twice.sum(dim=1).max() > 30
