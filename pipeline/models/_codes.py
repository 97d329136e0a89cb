"""What codes are learnt with, and without labels: autoencoders, then k-means on their bottlenecks."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.cluster import KMeans
from torch import nn
from tqdm import tqdm

from pipeline.features.autoencoder import Autoencoder
from pipeline.settings import Settings

LLOYD_ROUNDS = 50


class CodeLearning(Settings):
    """How the autoencoders are built and fitted, each on about `vectors` vectors of its family, at least one a clip.

    Of fewer clips than `vectors`, each gives several or all of its vectors; of more, that many clips give one each.
    """

    width: int = Field(2048, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    vectors: int = Field(100_000, ge=1)
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(1e-3, gt=0)


def fit_autoencoder(
    net: Autoencoder, vectors: NDArray[np.float32], learning: CodeLearning, rng: np.random.Generator, title: str
) -> float:
    """Draw the weights of `net` afresh and fit them to `vectors` [count, length], which may be mapped from disk.

    Adam, mean squared error. Returns the share of the variance that the last epoch's reconstructions, with dropout,
    left unexplained.
    """
    torch.manual_seed(int(rng.integers(2**31)))
    device = next(net.parameters()).device
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    optimizer = torch.optim.Adam(net.parameters(), learning.learning_rate)
    net.train()
    unexplained = 1.0
    with tqdm(total=learning.epochs * len(vectors), desc=title, unit="vector", unit_scale=True, mininterval=1) as bar:
        for _ in range(learning.epochs):
            order, error, spread = rng.permutation(len(vectors)), 0.0, 0.0
            for start in range(0, len(order), learning.batch_size):
                batch = torch.from_numpy(vectors[np.sort(order[start : start + learning.batch_size])]).to(device)
                loss = nn.functional.mse_loss(net(batch), batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                error += loss.item() * len(batch)
                spread += batch.var(unbiased=False).item() * len(batch)
                bar.update(len(batch))
            unexplained = error / max(spread, 1e-12)
            bar.set_postfix_str(f"unexplained {unexplained:.3f}")
    net.eval()
    return unexplained


def fit_codebook(vectors: NDArray[Any], size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the centres float32 [size, length] of Lloyd's k-means (k-means++ start) on `vectors` [count, length]."""
    kmeans = KMeans(size, n_init=1, max_iter=LLOYD_ROUNDS, random_state=int(rng.integers(2**31)))
    centres: NDArray[np.float32] = kmeans.fit(vectors).cluster_centers_.astype(np.float32)
    return centres
