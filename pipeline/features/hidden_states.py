"""Hidden states of every clip of a corpus, pooled over time and stored once for all heads that read them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing, write_json
from pipeline.locks import held

VALUES, ABOUT = "hidden_states.npy", "hidden_states.json"
PROGRESS, DONE, LOCK = "progress.json", "done.npy", "lock"
NOTHING = "nothing"  # the file that stands in their place where no encoder is asked for
STRETCH_CLIPS = 512  # encoded between two notes of how far it came: a kill costs each process at most this many
CURE = "Set the section `encode` in params.yaml, then run: dvc repro encode"


class HiddenStates:
    """float32 [rows, layers, hidden], mapped into memory; row r belongs to row r of the corpus.

    `layers` are the layers' numbers: layer k is what the k-th transformer layer gives (`hidden_states[k]` of
    transformers), 0 what enters the first.
    """

    def __init__(self, values: NDArray[np.float32], about: dict[str, Any]) -> None:
        self._values = values
        self.about = about
        self.layers: tuple[int, ...] = tuple(about["layers"])

    @classmethod
    def open(cls, folder: Path, corpus: str) -> Self:
        """Open a store that `finish` declared whole.

        Raises PipelineError if there is none, or it was made of another corpus.
        """
        try:
            about = read_json(folder / ABOUT)
            values = np.load(folder / VALUES, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise PipelineError(f"There are no hidden states in {folder} ({type(error).__name__}). {CURE}") from None
        if about["corpus"] != corpus:
            raise PipelineError(f"The hidden states in {folder} are of another corpus. Run: dvc repro encode")
        return cls(values, about)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return float32 [rows, layers, hidden] of the corpus's row numbers."""
        return np.ascontiguousarray(self._values[np.asarray(rows)])


def begin(folder: Path, rows: int, about: dict[str, Any]) -> None:
    """Prepare a store of so many rows, unless one of the same `about` was begun there: then that goes on.

    `about` is JSON and must name `corpus` (its fingerprint), `layers`, and all else that shapes the values.
    """
    try:
        if read_json(folder / PROGRESS) == about:
            return
    except (FileNotFoundError, ValueError):
        pass
    for name in (PROGRESS, VALUES, ABOUT):
        (folder / name).unlink(missing_ok=True)
    np.save(folder / DONE, np.zeros(-(-rows // STRETCH_CLIPS), np.uint8), allow_pickle=False)
    write_json(folder / PROGRESS, about)


def fill(
    folder: Path,
    encode: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    rows: int,
    rank: int = 0,
    processes: int = 1,
) -> None:
    """Encode the stretches of process `rank` of so many that are still missing; the others work on the same files.

    `encode` gives float32 [clips, layers, hidden] of row numbers. Memory holds one stretch.
    """
    done = np.load(folder / DONE, mmap_mode="r+", allow_pickle=False)
    mine = range(rank, len(done), processes)
    with tqdm(total=len(mine) * STRETCH_CLIPS, desc="encode", unit="clip") as progress:
        for stretch in mine:
            start, end = stretch * STRETCH_CLIPS, min((stretch + 1) * STRETCH_CLIPS, rows)
            if not done[stretch]:
                values = encode(np.arange(start, end))
                mapped = _mapped(folder, (rows, *values.shape[1:]))
                mapped[start:end] = values
                mapped.flush()
                done[stretch] = 1
                done.flush()
            progress.update(end - start)


def finish(folder: Path, about: dict[str, Any]) -> None:
    """Declare the store whole. Raises ValueError if a stretch is missing."""
    if not np.load(folder / DONE, allow_pickle=False).all():
        raise ValueError(f"{folder}: some clips are not encoded yet")
    write_json(folder / ABOUT, about)
    for name in (PROGRESS, DONE, LOCK):
        (folder / name).unlink(missing_ok=True)


def _mapped(folder: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Return the file of values, mapped; the process that comes first makes it, sparse."""
    path = folder / VALUES
    with held(folder / LOCK, f"Another start of {path}"):
        if not path.exists():
            with replacing(path) as temporary:
                np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape).flush()
    mapped: np.memmap[Any, Any] = np.load(path, mmap_mode="r+", allow_pickle=False)
    return mapped
