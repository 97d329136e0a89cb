import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor

from pipeline.features.log_mel import LogMel, enough_for_statistics, frames_of, statistics


def waveforms() -> np.ndarray:
    """float32 [6, 16000]: noise at three levels, a pure tone, digital silence, a clip at full scale."""
    noise = np.random.default_rng(1).normal(size=(3, 16_000)) * np.array([[0.3], [0.01], [0.0001]])
    tone = 0.9 * np.sin(np.arange(16_000) * 0.31)
    full = np.sign(np.sin(np.arange(16_000) * 0.01))
    return np.stack([*noise, tone, np.zeros(16_000), full]).astype(np.float32)


@pytest.mark.filterwarnings("ignore:At least one mel filter")
@pytest.mark.parametrize(("bins", "length"), [(128, 128), (128, 1024), (64, 98), (40, 60)])
def test_numbers_of_the_published_extractor(bins: int, length: int) -> None:
    extractor = ASTFeatureExtractor(num_mel_bins=bins, max_length=length, mean=-5.5, std=3.8)
    expected = np.stack(extractor(list(waveforms()), sampling_rate=16_000)["input_values"])
    ours = LogMel(num_mel_bins=bins, max_length=length, mean=-5.5, std=3.8)(torch.from_numpy(waveforms())).numpy()
    assert ours.shape == expected.shape == (6, length, bins)
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_one_clip_has_the_features_that_it_has_in_a_batch() -> None:
    front_end = LogMel(num_mel_bins=40)
    batch = front_end(torch.from_numpy(waveforms()))
    alone = front_end(torch.from_numpy(waveforms()[3:4]))
    torch.testing.assert_close(alone[0], batch[3], atol=1e-5, rtol=0)


def test_frames_of_one_second() -> None:
    assert frames_of(16_000) == 98
    assert frames_of(400) == 1


def test_statistics_normalise_the_clips_that_they_were_taken_from() -> None:
    samples = (waveforms()[:4] * 32767).astype(np.int16)
    mean, std = statistics(samples, num_mel_bins=40)
    features = LogMel(num_mel_bins=40, max_length=98, mean=mean, std=std)(torch.from_numpy(samples / np.float32(32768)))
    assert float(features.mean()) == pytest.approx(0, abs=1e-4)
    assert float(features.std()) == pytest.approx(0.5, abs=1e-4)  # AST halves the deviation once more


def test_deviation_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="std must be above 0, got 0"):
        LogMel(std=0)


def test_statistics_are_of_clips_from_all_of_the_corpus():
    some = enough_for_statistics(np.arange(10_000))
    assert len(some) >= 2_000
    assert np.histogram(some, 5, (0, 10_000))[0].min() >= len(some) // 5 - 1
