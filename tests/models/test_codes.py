import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline.features.autoencoder import Autoencoder
from pipeline.models._codes import CodeLearning, fit_autoencoder, fit_codebook

LEARNING = CodeLearning(width=32, dropout=0.0, vectors=300, epochs=8, batch_size=16, learning_rate=0.01)


def of_two_dimensions(count: int = 300) -> np.ndarray:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(2, 20))
    return (rng.normal(size=(count, 2)) @ plane).astype(np.float32)


def fitted(vectors: np.ndarray, bottleneck: int, seed: int = 1) -> tuple[Autoencoder, float]:
    net = Autoencoder(20, bottleneck, LEARNING.width, LEARNING.dropout)
    return net, fit_autoencoder(net, vectors, LEARNING, np.random.default_rng(seed), "test")


def test_two_numbers_explain_what_has_two_dimensions_and_one_does_not() -> None:
    vectors = of_two_dimensions()
    net, unexplained = fitted(vectors, bottleneck=2)
    assert unexplained < 0.05
    with torch.inference_mode():
        error = (net(torch.from_numpy(vectors)) - torch.from_numpy(vectors)).square().mean()
    assert float(error) / vectors.var() == pytest.approx(unexplained, abs=0.03)
    assert fitted(vectors, bottleneck=1)[1] > 0.15
    assert not net.training


def test_the_generator_alone_decides_the_weights(tmp_path) -> None:
    np.save(tmp_path / "vectors.npy", of_two_dimensions(100))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    first, again, other = (fitted(mapped, 2, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_centres_are_found_and_the_generator_decides_their_order() -> None:
    rng = np.random.default_rng(2)
    means = rng.uniform(-9, 9, (6, 3))
    vectors = np.concatenate([rng.normal(mean, 0.1, (30, 3)) for mean in means]).astype(np.float32)
    centres = fit_codebook(vectors, 6, np.random.default_rng(3))
    assert (centres.shape, centres.dtype) == ((6, 3), np.float32)
    distances = np.linalg.norm(centres[:, None] - means, axis=2)
    assert sorted(distances.argmin(axis=1)) == list(range(6))
    assert distances.min(axis=1).max() < 0.1
    np.testing.assert_array_equal(centres, fit_codebook(vectors, 6, np.random.default_rng(3)))


@pytest.mark.parametrize("bad", [{"width": 0}, {"dropout": 1}, {"vectors": 0}, {"depth": 3}], ids=str)
def test_bad_parameters_are_refused(bad) -> None:
    with pytest.raises(ValidationError):
        CodeLearning(**bad)
