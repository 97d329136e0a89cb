"""Writing a corpus (`pipeline.clips.corpus`) clip by clip, as they come; memory holds the rows, and no samples."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas
import pyarrow
from pyarrow import parquet

from pipeline.clips import audio_shards, row_table
from pipeline.clips.audio_shards import AudioShards, digest_of
from pipeline.clips.corpus import FORMAT, Split
from pipeline.clips.counts import clips_by_label
from pipeline.clips.labels import Vocabulary
from pipeline.clips.noise import Noise, judging
from pipeline.clips.recording import Part
from pipeline.clips.row_table import RowTable
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.files import write_json

_ROWS_AT_ONCE = 50_000  # of rows.parquet: its row groups, and what is turned into text for the fingerprint
_NOISE_SCHEMA = pyarrow.schema(
    [("name", pyarrow.string()), ("fold", pyarrow.int64()), ("samples", pyarrow.list_(pyarrow.int16()))]
)
# Other versions of these may give other samples for the same file.
_DECODING_LIBRARIES = ("numpy", "soundfile", "soxr")


class CorpusWriter:
    """Writes clips as they come.

    Splits are decided when all clips are known: `rows`, then `finish`. Use it as a context manager.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows = RowTable()
        self._shards: AudioShards | None = None  # made for the first clip, which tells the shape
        # Of the clips' own digests, in the order of the rows: each process may make those of the clips that it writes.
        self._digest = hashlib.sha256()
        self._noise_digest = hashlib.sha256()
        self._noise = pyarrow.ipc.new_stream(str(folder / "noise.arrow"), _NOISE_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._shards is not None:
            self._shards.close()
        self._noise.close()

    def add(self, samples: np.ndarray, **about: Any) -> None:
        """Append one clip, int16 [16000] or uint8 [seconds, 128], alike for all clips; `about` as in `add_row`.

        Raises ValueError for a clip of another shape, or as `add_row`.
        """
        if self._shards is None and samples.dtype == np.uint8 and samples.ndim == 2:
            self._shards = AudioShards(self.folder, samples.dtype, samples.shape, audio_shards.SHARD_CLIPS)
        expected = self._open()
        if samples.dtype != expected.dtype or samples.shape != expected.shape:
            raise ValueError(
                f"{about.get('clip')}: expected {expected.dtype} {list(expected.shape)}, "
                f"got {samples.dtype} {list(samples.shape)}"
            )
        samples = np.ascontiguousarray(samples)
        self.write(self.add_row(digest_of(samples), **about), samples)

    def add_row(
        self,
        digest: bytes,
        *,
        clip: str,
        part: Part,
        source: str | None = None,
        split: Split | None = None,
        word: str | None = None,
        speaker: str | None = None,
        readable: bool = True,
        noise_source: str | None = None,
        recording: str | None = None,
        tags: tuple[str, ...] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Append the row of a clip with the samples' `digest_of`; return its number, where its samples are to be put.

        `split` is None where it is still to be decided. Raises ValueError for metadata that is named like a column of
        every corpus.
        """
        if metadata and (taken := sorted(set(metadata) & set(row_table.SCHEMA.names))):
            raise ValueError(
                f"{clip}: metadata cannot be called {', '.join(taken)}: the corpus has columns of these names"
            )
        self._digest.update(digest)
        values = (clip, source, part, split, None, word, speaker, readable, noise_source, recording, tags)
        self._rows.append(values, metadata or {})
        return len(self._rows) - 1

    def write(self, row: int, samples: np.ndarray) -> None:
        """Put the samples of a row that `add_row` gave to their place; another process may do it too (AudioShards)."""
        self._open().write(row, [samples])

    def add_noise(self, noise: Noise, fold: int) -> None:
        """Append one stretch of a background recording, and the fold that it judges."""
        row = [[noise.name], [fold], [noise.samples.astype(np.int16, copy=False)]]
        arrays = [pyarrow.array(value, field.type) for value, field in zip(row, _NOISE_SCHEMA, strict=True)]
        self._noise_digest.update(f"{noise.name}\n{fold}\n".encode() + noise.samples.tobytes())
        self._noise.write_batch(pyarrow.record_batch(arrays, schema=_NOISE_SCHEMA))

    @property
    def rows(self) -> pandas.DataFrame:
        """The rows so far, in the order of the samples."""
        return self.columns(None)

    def columns(self, names: Iterable[str] | None) -> pandas.DataFrame:
        """Return columns of the rows so far; None: all."""
        return row_table.plain(self._rows.table(names)).to_pandas()

    def noises(self, fold: int) -> list[Noise]:
        """Return the stretches that judge a fold; none can be added afterwards."""
        self._noise.close()
        return judging(self.folder, fold)

    def finish(
        self,
        splits: np.ndarray,
        folds: np.ndarray,
        *,
        source: str,
        seed: int,
        commands: tuple[str, ...],
        unheard: list[list[str]] | None = None,
    ) -> dict[str, Any]:
        """Write what is left and return the content of corpus.json; `splits` is str [rows], `folds` int [rows].

        `unheard` lists for each fold the words that its nets never learn.
        Raises PipelineError if a command is among no training clips.
        """
        table = row_table.with_fates(self._rows.table(), splits, folds)
        told = row_table.plain(table.select(["split", "word", "source"])).to_pandas()
        vocabulary = Vocabulary(commands, tuple(told["word"].dropna().unique()))
        shards = self._open()
        shards.finish(len(table))
        self._noise.close()
        self._digest.update(self._noise_digest.digest())
        self._write_rows(table)
        self._digest.update(json.dumps([FORMAT, seed, commands, *([unheard] if unheard else [])]).encode())
        description = {
            "format": FORMAT,
            "source": source,
            "seed": seed,
            "commands": list(vocabulary.commands),
            "words": list(vocabulary.words),
            "rows": len(table),
            "shard_clips": shards.shard_clips,
            "folds": max(1, int(folds.max()) + 1) if len(table) else 1,
            "unheard_words": unheard or [],
            "dtype": str(shards.dtype),
            "shape": list(shards.shape),  # of one clip
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "counts": clips_by_label(told, vocabulary, source),
            "libraries": {name: version(name) for name in _DECODING_LIBRARIES},
            "fingerprint": self._digest.hexdigest(),
        }
        write_json(self.folder / "corpus.json", description)
        return description

    def _write_rows(self, table: pyarrow.Table) -> None:
        """Write rows.parquet piece by piece, each of which goes into the fingerprint."""
        with parquet.ParquetWriter(self.folder / "rows.parquet", row_table.plain(table.slice(0, 0)).schema) as writer:
            for start in range(0, len(table), _ROWS_AT_ONCE):
                piece = row_table.plain(table.slice(start, _ROWS_AT_ONCE))
                writer.write_table(piece)
                self._digest.update(piece.to_pandas().to_csv(index=False, header=start == 0).encode())

    def _open(self) -> AudioShards:
        if self._shards is None:
            self._shards = AudioShards(self.folder, np.dtype(np.int16), (CLIP_SAMPLES,), audio_shards.SHARD_CLIPS)
        return self._shards
