import numpy as np
import pytest
import torch

from pipeline.features import log_mel
from pipeline.features.filtered_power import FilteredPower


@pytest.mark.parametrize("samples", [400, 512, 90])
def test_it_is_the_power_spectrum_through_the_filters(samples: int) -> None:
    rng = np.random.default_rng(1)
    filters = torch.from_numpy(rng.uniform(0, 1, (257, 7))).float()
    frames = torch.from_numpy(rng.normal(0, 0.1, (3, 5, samples))).float()
    expected = torch.fft.rfft(frames.double(), n=512).abs().square() @ filters.double()
    torch.testing.assert_close(FilteredPower(filters, samples)(frames).double(), expected, rtol=1e-5, atol=1e-6)


def test_each_line_of_the_spectrum_counts_once() -> None:
    frames = torch.from_numpy(np.random.default_rng(2).normal(0, 1, (1, 2, 400))).float()
    lines = FilteredPower(torch.eye(257), 400)(frames)
    torch.testing.assert_close(lines, torch.fft.rfft(frames, n=512).abs().square(), rtol=1e-4, atol=1e-4)


def test_an_exported_front_end_has_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = torch.arange(16_000) / 16_000
    clips = torch.stack(
        [
            0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(1)),
            0.9 * torch.sin(2 * torch.pi * 1_000 * seconds),  # quiet bands beside a pure tone
            torch.zeros(16_000),
        ]
    )
    front_end = log_mel.LogMel(num_mel_bins=40, max_length=98, mean=0.0, std=0.5)
    expected = front_end(clips)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    found = front_end(clips)
    assert (found[0] - expected[0]).abs().max() < 1e-4
    assert (found[1] - expected[1]).abs().max() < 1e-1
    assert torch.equal(found[2], expected[2])
