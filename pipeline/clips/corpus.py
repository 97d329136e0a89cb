"""The corpus: every clip decoded once, in a few large files that are mapped into memory.

rows.parquet  one row a clip: the columns of _ROWS_SCHEMA, and one for each metadatum (age, accent, ...) of the source
audio.arrow   the clips, in the order of the rows: Arrow stream, fixed-size list of 16,000 int16 samples, or of
              seconds x 128 uint8 where the source has embeddings and no audio
noise.arrow   stretches of the background recordings: name, fold, samples
corpus.json   what it is made of; written last, so a folder without it is no corpus
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pandas
import pyarrow
from pyarrow import parquet

from pipeline.clips.counts import clips_by_label
from pipeline.clips.labels import Vocabulary
from pipeline.clips.noise import Noise, read_stretches
from pipeline.clips.recording import Part
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json

# What becomes of a clip. Which clips judge a net is told by `fold`: the fold's own; -1 judges none.
Split = Literal["train", "validation", "holdout", "test", "synthetic"]

FORMAT = 4
FILES = ("rows.parquet", "audio.arrow", "noise.arrow", "corpus.json")
BATCH_ROWS = 1000  # 32 MB: large enough to read fast, small enough to hold while writing

_NOISE_SCHEMA = pyarrow.schema(
    [("name", pyarrow.string()), ("fold", pyarrow.int64()), ("samples", pyarrow.list_(pyarrow.int16()))]
)
_ROWS_SCHEMA = pyarrow.schema(
    [
        ("clip", pyarrow.string()),
        ("source", pyarrow.string()),  # which brought it; none for what was made here: silence, synthetic speech
        ("part", pyarrow.string()),
        ("split", pyarrow.string()),
        ("fold", pyarrow.int64()),
        ("word", pyarrow.string()),
        ("speaker", pyarrow.string()),
        ("readable", pyarrow.bool_()),
        ("noise_source", pyarrow.string()),
        ("recording", pyarrow.string()),  # the file that the clip is a segment of; none where it is the whole
        ("tags", pyarrow.list_(pyarrow.string())),  # labels of a clip that may have several
    ]
)
# Other versions of these may give other samples for the same file.
_DECODING_LIBRARIES = ("numpy", "soundfile", "soxr", "audiomentations")


class CorpusWriter:
    """Writes clips as they come; holds one batch of them and the text of the rows.

    Splits are decided when all clips are known: `rows`, then `finish`. Use it as a context manager.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._columns: dict[str, list[Any]] = {name: [] for name in _ROWS_SCHEMA.names}
        self._metadata: list[Mapping[str, str]] = []
        self._batch = np.empty((BATCH_ROWS, CLIP_SAMPLES), np.int16)
        self._audio: pyarrow.RecordBatchStreamWriter | None = None  # opened by the first clip, which tells the shape
        self._filled = 0
        # One pass over the samples serves the fingerprint; a hash of hashes would be no cheaper.
        self._digest = hashlib.sha256()
        self._noise = pyarrow.ipc.new_stream(str(folder / "noise.arrow"), _NOISE_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._audio is not None:
            self._audio.close()
        self._noise.close()

    def add(
        self,
        samples: np.ndarray,  # int16 [16000] or uint8 [seconds, 128], alike for all clips
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
    ) -> None:
        """Append one clip; `split` is None where it is still to be decided.

        Raises ValueError for a clip of another shape, or metadata that is named like a column of every corpus.
        """
        if self._audio is None and samples.dtype == np.uint8 and samples.ndim == 2:
            self._batch = np.empty((BATCH_ROWS, *samples.shape), np.uint8)
        if samples.dtype != self._batch.dtype or samples.shape != self._batch.shape[1:]:
            expected = f"{self._batch.dtype} {list(self._batch.shape[1:])}"
            raise ValueError(f"{clip}: expected {expected}, got {samples.dtype} {list(samples.shape)}")
        if self._audio is None:
            self._audio = self._open()
        if taken := sorted(set(metadata or ()) & set(_ROWS_SCHEMA.names)):
            raise ValueError(
                f"{clip}: metadata cannot be called {', '.join(taken)}: the corpus has columns of these names"
            )
        self._batch[self._filled] = samples
        self._filled += 1
        values = (clip, source, part, split, None, word, speaker, readable, noise_source, recording, tags)
        for name, value in zip(_ROWS_SCHEMA.names, values, strict=True):
            self._columns[name].append(value)
        self._metadata.append(metadata or {})
        if self._filled == BATCH_ROWS:
            self._flush()

    def add_noise(self, noise: Noise, fold: int) -> None:
        """Append one stretch of a background recording, and the fold that it judges."""
        row = [[noise.name], [fold], [noise.samples.astype(np.int16, copy=False)]]
        arrays = [pyarrow.array(value, field.type) for value, field in zip(row, _NOISE_SCHEMA, strict=True)]
        self._digest.update(f"{noise.name}\n{fold}\n".encode() + noise.samples.tobytes())
        self._noise.write_batch(pyarrow.record_batch(arrays, schema=_NOISE_SCHEMA))

    @property
    def rows(self) -> pandas.DataFrame:
        """The rows so far, in the order of the samples."""
        return self._table().to_pandas()

    def end_noise(self) -> None:
        """Close noise.arrow, so that `noises` may read it."""
        self._noise.close()

    def noises(self, fold: int) -> list[Noise]:
        """Return the stretches that judge a fold; call `end_noise` first."""
        return [noise for its, noise in read_stretches(self._folder / "noise.arrow") if its == fold]

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
        self._columns["split"] = [str(split) for split in splits]
        self._columns["fold"] = [int(fold) for fold in folds]
        table = self._table()
        rows = table.to_pandas()
        vocabulary = Vocabulary(commands, tuple(rows["word"].dropna().unique()))
        self._flush()
        (self._audio or self._open()).close()
        self._noise.close()
        parquet.write_table(table, self._folder / "rows.parquet")
        self._digest.update(rows.to_csv(index=False).encode())
        self._digest.update(json.dumps([FORMAT, seed, commands, *([unheard] if unheard else [])]).encode())
        description = {
            "format": FORMAT,
            "source": source,
            "seed": seed,
            "commands": list(vocabulary.commands),
            "words": list(vocabulary.words),
            "rows": len(rows),
            "folds": max(1, int(rows["fold"].max()) + 1) if len(rows) else 1,
            "unheard_words": unheard or [],
            "dtype": str(self._batch.dtype),
            "shape": list(self._batch.shape[1:]),  # of one clip
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "counts": clips_by_label(rows, vocabulary, source),
            "libraries": {name: version(name) for name in _DECODING_LIBRARIES},
            "fingerprint": self._digest.hexdigest(),
        }
        write_json(self._folder / "corpus.json", description)
        return description

    def _table(self) -> pyarrow.Table:
        names = sorted({name for of_clip in self._metadata for name in of_clip})
        schema = pyarrow.schema([*_ROWS_SCHEMA, *((name, pyarrow.string()) for name in names)])
        metadata = {name: [of_clip.get(name) for of_clip in self._metadata] for name in names}
        return pyarrow.table({**self._columns, **metadata}, schema=schema)

    def _open(self) -> pyarrow.RecordBatchStreamWriter:
        clip = pyarrow.list_(pyarrow.from_numpy_dtype(self._batch.dtype), int(np.prod(self._batch.shape[1:])))
        return pyarrow.ipc.new_stream(str(self._folder / "audio.arrow"), pyarrow.schema([("samples", clip)]))

    def _flush(self) -> None:
        if self._filled and self._audio is not None:
            filled = self._batch[: self._filled].reshape(-1)
            self._digest.update(filled.data)
            clip = len(filled) // self._filled
            samples = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(filled), clip)
            self._audio.write_batch(pyarrow.record_batch([samples], names=["samples"]))
            self._filled = 0


class Corpus:
    """A finished corpus, opened without reading its samples; made by `Corpus.open`."""

    def __init__(self, folder: Path, description: dict[str, Any], rows: pandas.DataFrame) -> None:
        self.folder = folder
        self.description = description
        self.rows = rows
        self.vocabulary = Vocabulary(tuple(description["commands"]), tuple(description["words"]))
        self.fingerprint: str = description["fingerprint"]
        self.seed: int = description["seed"]
        self.folds: int = description["folds"]
        self.unheard_words: list[list[str]] = description.get("unheard_words", [])  # by fold; empty: none anywhere
        self.shape: tuple[int, ...] = tuple(description["shape"])
        self.dtype = np.dtype(description["dtype"])
        with pyarrow.ipc.open_stream(pyarrow.memory_map(str(folder / "audio.arrow"))) as stream:
            # [rows, *shape] each, views into the mapped file
            self._batches = [
                batch.column(0).flatten().to_numpy(zero_copy_only=True).reshape(-1, *self.shape) for batch in stream
            ]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the corpus in `folder`. Raises PipelineError if there is none, or one of another format or cut short."""
        cure = "Run: dvc repro prepare"
        try:
            description = read_json(folder / "corpus.json")
            rows = parquet.read_table(folder / "rows.parquet").to_pandas()
            if description["format"] != FORMAT:
                raise PipelineError(f"{folder} holds a corpus of format {description['format']}, not {FORMAT}. {cure}")
            corpus = cls(folder, description, rows)
        except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
            lacking = [name for name in FILES if not (folder / name).exists()]
            reason = f"{', '.join(lacking)} missing" if lacking else f"it cannot be read: {error}"
            raise PipelineError(f"There is no finished corpus in {folder} ({reason}). {cure}") from None
        if not len(rows) == description["rows"] == sum(map(len, corpus._batches)):
            raise PipelineError(f"The corpus in {folder} is cut short: rows and samples do not match. {cure}")
        return corpus

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.folder,)  # loader processes map the file again instead of copying it

    def select(self, split: Split) -> np.ndarray:
        """Return the row numbers of a split, ascending."""
        return np.flatnonzero(self.rows["split"].to_numpy() == split)

    def training_rows(self, fold: int) -> np.ndarray:
        """Return the row numbers, ascending, that the nets of a fold learn from; none of a word that they shall not."""
        splits, folds = self.rows["split"].to_numpy(), self.rows["fold"].to_numpy()
        return np.flatnonzero((splits == "train") & (folds != fold) & ~self.is_unheard(fold))

    def synthetic_rows(self, fold: int) -> np.ndarray:
        """Return the row numbers, ascending, of the synthetic clips that the nets of a fold may learn from."""
        return np.flatnonzero((self.rows["split"].to_numpy() == "synthetic") & ~self.is_unheard(fold))

    def is_unheard(self, fold: int) -> np.ndarray:
        """Return bool [rows]: the clip's word is one that the nets of the fold never learn."""
        return self.rows["word"].isin(self.unheard_words[fold] if self.unheard_words else []).to_numpy()

    def judged_rows(self, fold: int) -> np.ndarray:
        """Return the row numbers, ascending, that judge the nets of a fold. Their speakers are in no training row."""
        return np.flatnonzero(self.rows["fold"].to_numpy() == fold)

    def samples(self, indices: np.ndarray) -> np.ndarray:
        """Return int16 [indices, 16000] (or `dtype` [indices, *shape]) of the rows `indices`, in that order."""
        indices = np.asarray(indices)
        clips = np.empty((len(indices), *self.shape), self.dtype)
        batches, offsets = np.divmod(indices, BATCH_ROWS)
        for place, (batch, offset) in enumerate(zip(batches.tolist(), offsets.tolist(), strict=True)):
            clips[place] = self._batches[batch][offset]
        return clips

    def training_noises(self, fold: int) -> list[Noise]:
        """Return the stretches of background noise that the nets of a fold learn with."""
        return [noise for its, noise in read_stretches(self.folder / "noise.arrow") if its != fold]

    def judging_noises(self, fold: int) -> list[Noise]:
        """Return the stretches of background noise that the nets of a fold never learn with."""
        return [noise for its, noise in read_stretches(self.folder / "noise.arrow") if its == fold]

    @cached_property
    def dataset(self) -> Any:
        """A `datasets.Dataset` of rows and samples; the samples stay on disk until they are asked for."""
        # Imported here, because it takes seconds and only explorations use it.
        from datasets import Dataset, concatenate_datasets

        rows = Dataset(parquet.read_table(self.folder / "rows.parquet"))
        return concatenate_datasets([rows, Dataset.from_file(str(self.folder / "audio.arrow"))], axis=1)
