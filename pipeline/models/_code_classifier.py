"""Bag of codes as a classifier: codes are learnt without labels, then a small network learns from their counts."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm import tqdm

from pipeline.examples.training_data import Examples, TrainingData, as_float
from pipeline.features.bag_of_codes import BagOfCodes, count_codes
from pipeline.features.spectrogram_vectors import FAMILIES, VECTORS, vectors_of
from pipeline.files import replacing, replacing_folder
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training
from pipeline.models._codes import CodeLearning, fit_autoencoder, fit_codebook

CODES = "codes.safetensors"  # autoencoders and centres, beside the head's weights
CHUNK_CLIPS = 64


class CodeClassifier(NetClassifier):
    """`head` is a network from counts [clips, 4 x size] to logits, `front_end` counts the codes of waveforms.

    Learning has five steps, each kept in `work` when it ends, so that a killed training goes on: vectors are drawn from
    the training clips; an autoencoder and a codebook for each family learn from them; all clips are encoded once (286
    bytes each, where their counts would take 16 kB); the head learns from the counts. Only a batch of clips is in
    memory at a time, and the vectors of the autoencoders are mapped from disk.

    Encoding costs more than learning, so clips are not augmented anew in each epoch: each is encoded in `takes`
    differently augmented versions, of which every epoch draws one.
    """

    front_end: BagOfCodes

    def __init__(
        self,
        head: nn.Module,
        spec: NetworkSpec,
        front_end: BagOfCodes,
        training: Training,
        feature_augment: nn.Module | None,
        learning: CodeLearning,
        takes: int,
    ) -> None:
        super().__init__(head, spec, front_end, training, feature_augment)
        self.learning = learning
        self.takes = takes

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Learn codes, then the head, as NeuralClassifier.fit does and with what it raises."""
        work.mkdir(parents=True, exist_ok=True)
        self.front_end.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        with FileLock(work / "codes.lock"):  # of several processes, the first learns the codes
            self._learn_codes(data, work)
            train = self._encode(work / "train.codes", len(data.train.rows), self.takes, _augmented(data))
            validation = self._encode(work / "validation.codes", len(data.validation.rows), 1, _plain(data.validation))
        head = NetClassifier(self.model, self.spec, nn.Identity(), self.training, self.feature_augment)
        head.watch = self.watch
        head.fit(
            replace(
                data,
                train=replace(data.train, read=train, rows=np.arange(len(data.train.rows))),
                validation=replace(
                    data.validation,
                    read=partial(_counts_of, validation, self.front_end.size),
                    rows=np.arange(len(data.validation.rows)),
                ),
                augment=partial(_counts_of_a_take, self.front_end.size),
            ),
            work,
            live,
        )
        self.model = head.model

    def save(self, folder: Path) -> None:
        """Write model.safetensors (the head), codes.safetensors and network.json."""
        super().save(folder)
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in self.front_end.state_dict().items()}, folder / CODES
        )

    def load(self, folder: Path) -> Self:
        """Take over what `save` wrote, and return the classifier."""
        self.front_end.load_state_dict(load_file(folder / CODES))
        return super().load(folder)

    def _learn_codes(self, data: TrainingData, work: Path) -> None:
        if not (work / "vectors").exists():
            with replacing_folder(work / "vectors") as folder:
                self._draw_vectors(data, folder)
        for place, name in enumerate(FAMILIES):
            vectors = np.load(work / "vectors" / f"{name}.npy", mmap_mode="r+")
            autoencoder: Any = self.front_end.autoencoders[name]
            stored = work / f"autoencoder-{name}.safetensors"
            if not stored.exists():
                fit_autoencoder(autoencoder, vectors, self.learning, np.random.default_rng([data.seed, 1, place]), name)
                with replacing(stored) as temporary:
                    save_file(autoencoder.state_dict(), temporary)
            autoencoder.load_state_dict(load_file(stored))
            stored = work / f"centres-{name}.safetensors"
            if not stored.exists():
                centres = fit_codebook(
                    self._bottlenecks(name, vectors),
                    self.front_end.size,
                    np.random.default_rng([data.seed, 2, place]),
                )
                with replacing(stored) as temporary:
                    save_file({"centres": torch.from_numpy(centres)}, temporary)
            self.front_end.centres(name).copy_(load_file(stored)["centres"])

    @torch.inference_mode()
    def _draw_vectors(self, data: TrainingData, folder: Path) -> None:
        """Write float32 [vectors, length] a family, of training clips as the head will hear them."""
        rng = np.random.default_rng([data.seed, 0])
        positions = np.arange(len(data.train.rows))
        if len(positions) > self.learning.vectors:
            positions = np.sort(rng.choice(positions, self.learning.vectors, replace=False))
        shares = {
            name: min(count, -(-self.learning.vectors // len(positions))) for name, (count, _) in FAMILIES.items()
        }
        files = {
            name: np.lib.format.open_memmap(
                folder / f"{name}.npy", "w+", np.float32, (share * len(positions), FAMILIES[name][1])
            )
            for name, share in shares.items()
        }
        read = _augmented(data)
        for start in tqdm(range(0, len(positions), CHUNK_CLIPS), desc="vectors", unit="chunk", mininterval=1):
            waveforms = torch.from_numpy(read(positions[start : start + CHUNK_CLIPS], 0)).to(self._device)
            for name, vectors in vectors_of(self.front_end.spectrogram(waveforms)).items():
                clips, count, length = vectors.shape
                chosen = rng.random((clips, count)).argsort(axis=1)[:, : shares[name]]
                some = vectors.cpu().numpy()[np.arange(clips)[:, None], chosen].reshape(-1, length)
                files[name][start * shares[name] : start * shares[name] + len(some)] = some

    @torch.inference_mode()
    def _bottlenecks(self, family: str, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = np.array_split(vectors, -(-len(vectors) // 4096))
        return np.concatenate(
            [
                self.front_end.bottlenecks(family, torch.from_numpy(part).to(self._device)).cpu().numpy()
                for part in parts
            ]
        )

    @torch.inference_mode()
    def _encode(
        self, path: Path, clips: int, takes: int, read: Callable[[NDArray[np.int64], int], NDArray[np.float32]]
    ) -> "_StoredCodes":
        """Write the codes of all clips to `path`; a killed encoding goes on from the last chunk."""
        if not path.exists():
            part = path.with_suffix(".part")
            chunk_bytes = CHUNK_CLIPS * takes * VECTORS * 2
            with part.open("ab") as file:
                done = file.tell() // chunk_bytes
                file.truncate(done * chunk_bytes)
                with tqdm(total=clips, initial=done * CHUNK_CLIPS, desc=path.name, unit="clip", mininterval=1) as bar:
                    for start in range(done * CHUNK_CLIPS, clips, CHUNK_CLIPS):
                        positions = np.arange(start, min(start + CHUNK_CLIPS, clips))
                        found = [
                            self.front_end.codes(torch.from_numpy(read(positions, take)).to(self._device)).cpu().numpy()
                            for take in range(takes)
                        ]
                        file.write(np.stack(found, axis=1).astype(np.uint16).tobytes())
                        bar.update(len(positions))
            os.replace(part, path)
        return _StoredCodes(path, (clips, takes, VECTORS))

    @property
    def _device(self) -> torch.device:
        return self.front_end.spectrogram.window.device


def _augmented(data: TrainingData) -> Callable[[NDArray[np.int64], int], NDArray[np.float32]]:
    """Return what reads training clips by position, in the augmentation that epoch `take` would give them."""

    def read(positions: NDArray[np.int64], take: int) -> NDArray[np.float32]:
        generators = [np.random.default_rng([data.seed, take, int(position)]) for position in positions]
        return data.augment(data.train.read(data.train.rows[positions]), generators)

    return read


def _plain(examples: Examples) -> Callable[[NDArray[np.int64], int], NDArray[np.float32]]:
    return lambda positions, take: as_float(examples.read(examples.rows[positions]))


@dataclass(frozen=True)
class _StoredCodes:
    """Codes in a file, read by the position of the clip: uint16 [clips, takes, 143]. Pickled, it is a path and a shape.

    It is mapped anew for each batch, so that no loader process gets a copy.
    """

    path: Path
    shape: tuple[int, int, int]

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.uint16]:
        return np.memmap(self.path, np.uint16, "r", shape=self.shape)[positions]


def _counts_of(stored: _StoredCodes, size: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return how often each code occurs, float32 [clips, families x size], in the first take."""
    return _counts(stored(positions)[:, 0], size)


def _counts_of_a_take(
    size: int, codes: NDArray[np.uint16], generators: list[np.random.Generator]
) -> NDArray[np.float32]:
    """Return the counts of one take of each clip, that its generator draws, of codes [clips, takes, 143]."""
    drawn = [int(generator.integers(codes.shape[1])) for generator in generators]
    return _counts(codes[np.arange(len(codes)), drawn], size)


def _counts(codes: NDArray[np.uint16], size: int) -> NDArray[np.float32]:
    return count_codes(torch.from_numpy(codes.astype(np.int64)), size).numpy()
