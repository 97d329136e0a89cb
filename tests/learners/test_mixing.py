"""Mixing: which clips are in a mixture, and that the targets say how much of each."""

import numpy as np
import pytest
import torch

from pipeline.learners.mixing import cutmix, cuts, mixup

CLIPS, TIME = 8, 20
# Each clip is its own number throughout, each has a label of its own: both then tell who is in a mixture.
INPUTS = torch.arange(CLIPS).float()[:, None, None].repeat(1, TIME, 3)
TARGETS = torch.eye(CLIPS)


def seeded(seed: int) -> None:
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.mark.parametrize("seed", range(5))
def test_mixup_adds_two_clips_and_their_targets_by_the_same_share(seed):
    seeded(seed)
    inputs, targets = mixup(INPUTS, TARGETS, 0.5)
    told = targets @ torch.arange(CLIPS).float()
    assert torch.allclose(inputs, told[:, None, None].expand_as(inputs), atol=1e-5)
    assert torch.allclose(targets.sum(dim=1), torch.ones(CLIPS))
    assert (targets > 0).sum() > CLIPS


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_replaces_a_stretch_of_time_and_the_targets_tell_its_length(seed):
    seeded(seed)
    inputs, targets = cutmix(INPUTS, TARGETS, 1.0)
    assert (inputs == inputs[:, :, :1]).all()
    for clip in range(CLIPS):
        heard = torch.bincount(inputs[clip, :, 0].long(), minlength=CLIPS) / TIME
        assert torch.allclose(heard, targets[clip], atol=1e-6)
        other = inputs[clip, :, 0] != clip
        assert (other[1:] != other[:-1]).sum() <= 2  # one stretch
    assert torch.equal(INPUTS, torch.arange(CLIPS).float()[:, None, None].repeat(1, TIME, 3))


def test_time_may_be_the_last_dimension():
    seeded(1)
    wanted, _ = cutmix(INPUTS, TARGETS, 1.0)
    seeded(1)
    inputs, _ = cutmix(INPUTS.mT, TARGETS, 1.0, time=2)
    assert torch.equal(inputs, wanted.mT)


def test_padding_is_neither_cut_nor_counted():
    clips, targets = torch.zeros(2, 50, 3), torch.eye(2)
    clips[1, :10] = 1.0
    for seed in range(20):
        torch.manual_seed(seed)
        np.random.seed(seed)
        cut, mixed = cutmix(clips, targets, 1.0, sounding=10)
        assert not cut[:, 10:].any()
        torch.testing.assert_close(mixed[0, 1], cut[0, :10, 0].mean())


def test_with_both_a_batch_is_mixed_one_way_or_the_other():
    seeded(0)
    assert {cuts(0.5, 1.0) for _ in range(20)} == {True, False}


def test_what_leaves_no_choice_draws_nothing():
    seeded(0)
    assert (cuts(0.0, 0.0), cuts(0.5, 0.0), cuts(0.0, 1.0)) == (False, False, True)
    drawn = np.random.random()
    seeded(0)
    assert drawn == np.random.random()


def test_cutmix_cuts_anywhere():
    starts = set()
    for seed in range(20):
        seeded(seed)
        inputs, _ = cutmix(INPUTS, TARGETS, 1.0)
        starts |= set((inputs != INPUTS).any(dim=2).any(dim=0).nonzero()[:1, 0].tolist())
    assert len(starts) > 5
