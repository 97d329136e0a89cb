import pytest
import torch

from pipeline.features.spectrogram_vectors import FAMILIES, VECTORS, vectors_of

SPECTROGRAMS = torch.randn(3, 96, 100, generator=torch.Generator().manual_seed(0))


def test_a_second_gives_143_vectors_of_four_families() -> None:
    shapes = {name: tuple(vectors.shape) for name, vectors in vectors_of(SPECTROGRAMS).items()}
    assert shapes == {
        "patches": (3, 120, 80),
        "bands": (3, 12, 800),
        "envelopes": (3, 10, 960),
        "whole": (3, 1, 80),
    }
    assert list(shapes) == list(FAMILIES)
    assert VECTORS == 143


def test_each_vector_is_its_part_of_the_spectrogram() -> None:
    families = vectors_of(SPECTROGRAMS)
    for row in range(12):
        band = SPECTROGRAMS[:, 8 * row : 8 * row + 8]
        assert torch.equal(families["bands"][:, row].sort().values, band.flatten(1).sort().values)
        for column in range(10):
            patch = band[:, :, 10 * column : 10 * column + 10]
            assert torch.equal(families["patches"][:, 10 * row + column], patch.flatten(1))
    for column in range(10):
        envelope = SPECTROGRAMS[:, :, 10 * column : 10 * column + 10]
        assert torch.equal(families["envelopes"][:, column], envelope.flatten(1))


def test_equal_stretches_are_equal_vectors_wherever_they_lie() -> None:
    repeated = SPECTROGRAMS[:, :8, :10].repeat(1, 12, 10)
    for name in ("patches", "bands", "envelopes"):
        vectors = vectors_of(repeated)[name]
        assert torch.equal(vectors, vectors[:, :1].expand_as(vectors)), name


def test_the_whole_is_torch_s_bicubic_shrinking() -> None:
    expected = torch.nn.functional.interpolate(SPECTROGRAMS[:, None], (8, 10), mode="bicubic", antialias=True)
    assert torch.equal(vectors_of(SPECTROGRAMS)["whole"][:, 0], expected.flatten(1))
    # Every value counts: a level stays, and of noise little more than its mean is left.
    assert vectors_of(torch.full((1, 96, 100), 0.7))["whole"] == pytest.approx(0.7)
    assert float(vectors_of(SPECTROGRAMS)["whole"].std()) < 0.15


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \[clips, 96, 100\], got \[3, 96, 101\]"):
        vectors_of(torch.zeros(3, 96, 101))
