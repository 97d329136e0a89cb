import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, mel_to_hertz, spectrogram

from pipeline.features.mel_spectrogram import MelSpectrogram, statistics


def test_a_second_is_96_bands_by_100_frames_as_transformers_computes_them() -> None:
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000)
    filters = mel_filter_bank(1025, 96, 0, 8000, 16_000, norm="slaney", mel_scale="slaney")
    expected = spectrogram(
        np.pad(waveform, 160),
        0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480),
        frame_length=480,
        hop_length=160,
        fft_length=2048,
        power=2,
        center=False,
        mel_filters=filters,
        mel_floor=1e-10,
        log_mel="log",
    )
    found = MelSpectrogram(mean=-3, std=2)(torch.from_numpy(waveform[None]).float())[0].numpy()
    assert found.shape == expected.shape == (96, 100)
    assert np.abs(found * 2 - 3 - expected).max() < 1e-3


def test_every_band_hears_its_tone_and_frames_are_centred_on_their_hops() -> None:
    centres = mel_to_hertz(np.linspace(0, 45.245640471924965, 98), "slaney")[1:-1]  # 8 kHz in Slaney's mels
    tones = np.sin(2 * np.pi * centres[:, None] * np.arange(16_000) / 16_000)
    bands = MelSpectrogram()(torch.from_numpy(tones).float()).mean(dim=2)
    assert torch.equal(bands.argmax(dim=1), torch.arange(96))
    click = torch.zeros(1, 16_000)
    click[0, 80 + 160 * 37] = 1
    assert int(MelSpectrogram()(click)[0].mean(dim=0).argmax()) == 37


def test_statistics_make_mean_0_and_deviation_1_and_survive_digital_silence() -> None:
    noise = np.random.default_rng(1).integers(-3000, 3000, (9, 16_000)).astype(np.int16)
    mean, std = statistics(iter([noise[:4], noise[4:]]))
    features = MelSpectrogram(mean=mean, std=std)(torch.from_numpy(noise / np.float32(32768)))
    assert (float(features.mean()), float(features.std())) == pytest.approx((0, 1), abs=1e-3)
    mean, std = statistics(iter([np.zeros((2, 16_000), np.int16)]))
    assert mean == pytest.approx(np.log(1e-10))
    assert torch.isfinite(MelSpectrogram(mean=mean, std=std)(torch.zeros(1, 16_000))).all()


def test_a_deviation_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match="std must be above 0, got 0"):
        MelSpectrogram(std=0)
