import torch

from pipeline.features.deltas import deltas


def test_a_slope_is_found_whatever_the_level():
    frames = torch.arange(10.0)
    rising, still = 3 * frames + 5, torch.full((10,), 7.0)
    found = deltas(torch.stack([rising, still])[None, None])  # [1, 1, 2 bins, 10 frames]
    assert found.shape == (1, 1, 2, 10)
    assert torch.allclose(found[0, 0, 0, 2:-2], torch.full((6,), 3.0))
    assert torch.equal(found[0, 0, 1], torch.zeros(10))


def test_the_ends_are_repeated():
    # At the first frame of 0, 1, 2, ...: (1 * (1 - 0) + 2 * (2 - 0)) / 10
    assert torch.allclose(deltas(torch.arange(8.0)[None, None, None])[0, 0, 0, 0], torch.tensor(0.5))
