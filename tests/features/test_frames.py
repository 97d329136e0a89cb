import numpy as np
import pytest
import torch

from pipeline.features.frames import Frames, frames_for, spread
from pipeline.features.log_mel import LogMel, statistics

ROWS = np.arange(30)


def samples(clips: int = 30) -> np.ndarray:
    loudness = np.linspace(100, 10_000, clips)[:, None]
    return (np.random.default_rng(0).uniform(-1, 1, (clips, 16_000)) * loudness).astype(np.int16)


def test_embeddings_stay_as_they_are() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (30, 10, 128)).astype(np.uint8)
    front_end = frames_for(lambda rows: stored[rows], ROWS, frames=24)
    assert front_end.frames == 10
    floats = torch.from_numpy(stored).float()
    assert torch.equal(front_end(floats), floats)


def test_audio_becomes_averages_of_log_mel_on_the_scale_of_embeddings() -> None:
    stored = samples()
    front_end = frames_for(lambda rows: stored[rows], ROWS, frames=14)
    waveforms = torch.from_numpy(stored / np.float32(32_768))
    frames = front_end(waveforms)
    assert frames.shape == (30, 14, 128)
    assert frames.min() >= 0
    assert frames.max() <= 255

    mean, std = statistics(stored, num_mel_bins=128)
    log_mel = LogMel(max_length=98, mean=mean, std=std / 2)(waveforms)  # in deviations
    pooled = log_mel.reshape(30, 14, 7, 128).mean(dim=2)  # 98 spectra in 14 stretches of 7
    expected = ((pooled + 2) / 4 * 255).clamp(0, 255)
    assert (frames - expected).abs().max() < 0.05
    assert abs(float(frames.mean()) - 127.5) < 10


def test_it_is_rebuilt_from_its_options() -> None:
    stored = samples()
    front_end = frames_for(lambda rows: stored[rows], ROWS, frames=10)
    waveforms = torch.from_numpy(stored / np.float32(32_768))
    assert torch.equal(Frames(**front_end.options)(waveforms), front_end(waveforms))


def test_spread_gives_what_the_bytes_stood_for() -> None:
    assert spread(torch.tensor([0.0, 127.5, 255.0])).tolist() == pytest.approx([-2, 0, 2])
