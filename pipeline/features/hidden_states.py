"""Hidden states of every clip of a corpus, pooled over time and stored once for all heads that read them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json

VALUES, ABOUT, PROGRESS = "hidden_states.npy", "hidden_states.json", "progress.json"
NOTHING = "nothing"  # the file that stands in their place where no encoder is asked for
STRETCH_CLIPS = 512  # encoded between two notes of how far it came: a kill costs at most this many
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
        """Open what `write` wrote. Raises PipelineError if there is none, or it was made of another corpus."""
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


def write(
    folder: Path, encode: Callable[[NDArray[np.int64]], NDArray[np.float32]], rows: int, about: dict[str, Any]
) -> None:
    """Write what `encode` gives of the row numbers 0 to `rows`: float32 [clips, layers, hidden] a stretch.

    Memory holds one stretch. Killed, the next call with the same `about` goes on after the last whole stretch.
    `about` is JSON and must name `corpus` (its fingerprint), `layers`, and all else that shapes the values.
    """
    filled = _filled(folder, about)
    mapped = np.load(folder / VALUES, mmap_mode="r+", allow_pickle=False) if filled else None
    with tqdm(total=rows, initial=filled, desc="encode", unit="clip") as progress:
        while filled < rows:
            stretch = encode(np.arange(filled, min(filled + STRETCH_CLIPS, rows)))
            if mapped is None:
                mapped = np.lib.format.open_memmap(
                    folder / VALUES, mode="w+", dtype=np.float32, shape=(rows, *stretch.shape[1:])
                )
            mapped[filled : filled + len(stretch)] = stretch
            mapped.flush()
            filled += len(stretch)
            write_json(folder / PROGRESS, {"filled": filled, "about": about})
            progress.update(len(stretch))
    write_json(folder / ABOUT, about)
    (folder / PROGRESS).unlink(missing_ok=True)


def _filled(folder: Path, about: dict[str, Any]) -> int:
    try:
        progress = read_json(folder / PROGRESS)
    except (FileNotFoundError, ValueError):
        return 0
    return int(progress["filled"]) if progress["about"] == about and (folder / VALUES).exists() else 0
