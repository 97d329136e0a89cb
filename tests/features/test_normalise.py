import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from pipeline.features.normalise import UnitVariance


def test_numbers_of_the_published_extractor() -> None:
    clips = (np.random.default_rng(1).normal(size=(4, 16_000)) * [[0.5], [0.1], [1e-3], [0]] + 0.01).astype(np.float32)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    expected = np.stack(extractor(list(clips), sampling_rate=16_000)["input_values"])
    np.testing.assert_allclose(UnitVariance()(torch.from_numpy(clips)).numpy(), expected, atol=1e-3)


def test_digital_silence_stays_silent() -> None:
    assert not UnitVariance()(torch.zeros(2, 16_000)).any()
