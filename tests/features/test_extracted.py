import numpy as np
import pytest
import torch
from transformers import ASTFeatureExtractor, SeamlessM4TFeatureExtractor, WhisperFeatureExtractor

from pipeline.features.extracted import Extracted


@pytest.mark.parametrize(
    ("extractor", "shape"),
    [
        (WhisperFeatureExtractor(chunk_length=1), (80, 100)),
        (SeamlessM4TFeatureExtractor(), (49, 160)),
        (ASTFeatureExtractor(max_length=98), (98, 128)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_gives_what_the_extractor_gives_one_by_one(extractor, shape):
    heard = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 16_000)).astype(np.float32)
    found = Extracted(extractor)(torch.from_numpy(heard))
    assert (found.shape, found.dtype) == ((2, *shape), torch.float32)
    for clip, features in zip(heard, found, strict=True):
        (expected,) = extractor(clip, sampling_rate=16_000, return_tensors="np")[extractor.model_input_names[0]]
        np.testing.assert_allclose(features.numpy(), expected, atol=1e-5)
