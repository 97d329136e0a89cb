import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from pipeline.features.mel_amplitude import MelAmplitude


@pytest.mark.parametrize("bins", [40, 128])
def test_its_numbers_are_those_of_an_amplitude_spectrogram_made_frame_by_frame(bins: int) -> None:
    waveforms = np.random.default_rng(1).uniform(-1, 1, (2, 16_000)).astype(np.float32)
    filters = mel_filter_bank(1025, bins, 0, 8000, 16_000, norm="slaney", mel_scale="slaney")
    found = MelAmplitude(num_mel_bins=bins)(torch.from_numpy(waveforms)).numpy()
    assert found.shape == (2, 32, bins)
    for clip, waveform in zip(found, waveforms, strict=True):
        expected = spectrogram(
            waveform,
            window_function(2048, "hann"),
            frame_length=2048,
            hop_length=512,
            power=1.0,
            pad_mode="constant",
            mel_filters=filters,
            mel_floor=0.0,
        )
        assert np.abs(clip - expected.T).max() < 1e-5 * expected.max()


def test_it_is_an_amplitude_twice_as_loud_is_twice_as_much() -> None:
    waveforms = torch.from_numpy(np.random.default_rng(2).uniform(-0.5, 0.5, (1, 16_000)).astype(np.float32))
    front_end = MelAmplitude(num_mel_bins=40)
    assert torch.allclose(front_end(2 * waveforms), 2 * front_end(waveforms), rtol=1e-4)
    assert (front_end(torch.zeros(1, 16_000)) == 0).all()
