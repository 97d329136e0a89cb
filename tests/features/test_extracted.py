import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor, SeamlessM4TFeatureExtractor, WhisperFeatureExtractor

from pipeline.features.extracted import Extracted


@pytest.mark.parametrize(
    ("extractor", "shape", "time", "sounding"),
    [
        (WhisperFeatureExtractor(chunk_length=2), (80, 200), 2, 100),
        (SeamlessM4TFeatureExtractor(), (49, 160), 1, None),
        (ASTFeatureExtractor(max_length=128), (128, 128), 1, 98),
        (ASTFeatureExtractor(max_length=90), (90, 128), 1, 90),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_gives_what_the_extractor_gives_one_by_one(extractor, shape, time, sounding):
    heard = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 16_000)).astype(np.float32)
    front_end = Extracted(extractor)
    found = front_end(torch.from_numpy(heard))
    assert (front_end.time, front_end.sounding) == (time, sounding)
    frames = found.movedim(time, 1)
    if isinstance(extractor, ASTFeatureExtractor):  # of Whisper's, some reach over the ends
        assert (frames[:, sounding:] == frames[:, -1:]).all()  # padding
    assert (frames[:, :sounding].std(dim=2) > 0).all()
    assert (found.shape, found.dtype) == ((2, *shape), torch.float32)
    for clip, features in zip(heard, found, strict=True):
        (expected,) = extractor(clip, sampling_rate=16_000, return_tensors="np")[extractor.model_input_names[0]]
        np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)
