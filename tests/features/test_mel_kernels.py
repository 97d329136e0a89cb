import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.features.mel_kernels import mel_kernels


def response(kernel: np.ndarray, hertz: float) -> float:
    """Return the largest output of a kernel for a tone of amplitude 1."""
    tone = np.sin(2 * np.pi * hertz * np.arange(4_000) / 16_000)
    return float(np.abs(np.convolve(tone, kernel, mode="valid")).max())


def test_each_band_answers_to_tones_in_its_own_range_and_bands_rise() -> None:
    kernels = mel_kernels(80, 400).reshape(20, 4, 400)
    tones = np.arange(100, 7_600, 50)
    best = [tones[int(np.argmax([response(band[0], hertz) for hertz in tones]))] for band in kernels]
    assert best == sorted(best)
    assert best[0] < 250
    assert best[-1] > 6_500


def test_the_four_phases_of_a_band_rectified_and_summed_are_a_magnitude() -> None:
    band = mel_kernels(160, 400).reshape(40, 4, 400)[20]
    centre_hz = np.abs(np.fft.rfft(band[0], 16_000)).argmax()
    tone = np.sin(2 * np.pi * centre_hz * np.arange(8_000) / 16_000)
    outputs = np.stack([np.convolve(tone, kernel, mode="valid") for kernel in band])
    summed = np.maximum(outputs, 0).sum(axis=0)
    assert summed.min() > 0.65 * summed.max()  # |cos| + |sin| lies between 1 and 1.42
    np.testing.assert_allclose(band[0], -band[1])


def test_channels_that_do_not_make_whole_bands_are_refused() -> None:
    with pytest.raises(PipelineError, match="multiple of 4; found 30"):
        mel_kernels(30, 400)
