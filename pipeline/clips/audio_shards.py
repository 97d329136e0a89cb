"""The samples of a corpus, in files of so many clips each: any process may write any clip, at its place.

`audio-00000.npy` holds the first clips, `audio-00001.npy` those after them, and so on: NumPy's own format, [clips,
*shape], so that the place of a clip follows from its row alone.
"""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

SHARD_CLIPS = 50_000  # 1.6 GB of audio
_HEADER_BYTES = 128


class AudioShards:
    """Writes clips of one kind, `dtype` [*shape], into the shards of a folder. Several processes may do so at once.

    One of them calls `finish` when all have written. Use it as a context manager.
    """

    def __init__(self, folder: Path, dtype: np.dtype, shape: tuple[int, ...], shard_clips: int) -> None:
        self.shard_clips = shard_clips
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self._folder = folder
        self._clip_bytes = self.dtype.itemsize * int(np.prod(shape))
        self._number = -1
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the shard that was written last."""
        if self._file is not None:
            self._file.close()
        self._file, self._number = None, -1

    def write(self, row: int, clips: Sequence[np.ndarray] | np.ndarray) -> None:
        """Write the clips of row `row` and of those after it; they are C-contiguous, `dtype` [*shape] each."""
        while len(clips):
            number, place = divmod(row, self.shard_clips)
            fitting = clips[: self.shard_clips - place]
            file = self._shard(number)
            file.seek(_HEADER_BYTES + place * self._clip_bytes)
            for clip in fitting:
                file.write(clip.data)
            file.flush()
            row, clips = row + len(fitting), clips[len(fitting) :]

    def finish(self, rows: int) -> None:
        """Write what a shard begins with, and cut it to its length: the corpus has `rows` clips."""
        for number, name in enumerate(shards_of(rows, self.shard_clips)):
            clips = min(self.shard_clips, rows - number * self.shard_clips)
            header = io.BytesIO()
            told = {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (clips, *self.shape),
            }
            np.lib.format.write_array_header_1_0(header, told)
            if len(header.getvalue()) != _HEADER_BYTES:
                raise ValueError(f"the header of {name} has {len(header.getvalue())} bytes, not {_HEADER_BYTES}")
            file = self._shard(number)
            file.seek(0)
            file.write(header.getvalue())
            file.truncate(_HEADER_BYTES + clips * self._clip_bytes)
        self.close()

    def _shard(self, number: int) -> BinaryIO:
        if self._file is None or self._number != number:
            self.close()
            path = self._folder / _name(number)
            # Neither "wb", which empties it, nor "r+b", which does not make it: whoever comes first makes it.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            self._file, self._number = os.fdopen(descriptor, "wb"), number
        return self._file


def shards_of(rows: int, shard_clips: int) -> list[str]:
    """Return the names of the files that hold `rows` clips, one at least."""
    return [_name(number) for number in range(max(1, -(-rows // shard_clips)))]


def open_shard(path: Path) -> np.ndarray:
    """Return a shard, `dtype` [clips, *shape], as a view into the mapped file.

    Raises OSError if it is not there, ValueError if it is cut short or of another format.
    """
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def digest_of(clip: np.ndarray) -> bytes:
    """Return the SHA-256 of a clip's samples."""
    return hashlib.sha256(np.ascontiguousarray(clip).data).digest()


def _name(number: int) -> str:
    return f"audio-{number:05}.npy"
