"""The corpus: every clip decoded once, in a few large files that are mapped into memory.

rows.parquet     one row a clip: the columns of `row_table.SCHEMA`, and one for each metadatum (age, accent, ...)
audio-*.npy      the clips, in the order of the rows: int16 [clips, 16000], or uint8 [clips, seconds, 128] where the
                 source has embeddings and no audio; so many clips in each file (`audio_shards`)
noise.arrow      stretches of the background recordings: name, fold, samples
corpus.json      what it is made of; written last, so a folder without it is no corpus
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas
import pyarrow
from pyarrow import parquet

from pipeline.clips.audio_shards import open_shard, shards_of
from pipeline.clips.labels import Vocabulary
from pipeline.clips.noise import Noise, judging, read_stretches
from pipeline.errors import PipelineError
from pipeline.files import read_json

# What becomes of a clip. Which clips judge a net is told by `fold`: the fold's own; -1 judges none.
Split = Literal["train", "validation", "holdout", "test", "synthetic"]

FORMAT = 5
FILES = ("rows.parquet", "noise.arrow", "corpus.json")  # and the shards


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
        self._shard_clips: int = description["shard_clips"]
        # [clips, *shape] each, views into the mapped files
        self._shards = [open_shard(folder / name) for name in shards_of(description["rows"], self._shard_clips)]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the corpus in `folder`. Raises PipelineError if there is none, or one of another format or cut short."""
        cure = "Run: dvc repro prepare"
        description: dict[str, Any] = {}
        try:
            description = read_json(folder / "corpus.json")
            rows = parquet.read_table(folder / "rows.parquet").to_pandas()
            if description["format"] != FORMAT:
                raise PipelineError(f"{folder} holds a corpus of format {description['format']}, not {FORMAT}. {cure}")
            corpus = cls(folder, description, rows)
        except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
            listed = [*FILES, *shards_of(description["rows"], description["shard_clips"])] if description else FILES
            lacking = [name for name in listed if not (folder / name).exists()]
            reason = f"{', '.join(lacking)} missing" if lacking else f"it cannot be read: {error}"
            raise PipelineError(f"There is no finished corpus in {folder} ({reason}). {cure}") from None
        held = {(shard.dtype, shard.shape[1:]) for shard in corpus._shards}
        clips = sum(map(len, corpus._shards))
        if not (len(rows) == description["rows"] == clips and held == {(corpus.dtype, corpus.shape)}):
            raise PipelineError(f"The corpus in {folder} is cut short: rows and samples do not match. {cure}")
        return corpus

    def __len__(self) -> int:
        return len(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.folder,)  # loader processes map the file again instead of copying it

    @property
    def has_audio(self) -> bool:
        """Whether a clip is samples of sound; else it is an embedding, which somebody made of sound."""
        return self.dtype == np.int16

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
        shards, offsets = np.divmod(indices, self._shard_clips)
        for place, (shard, offset) in enumerate(zip(shards.tolist(), offsets.tolist(), strict=True)):
            clips[place] = self._shards[shard][offset]
        return clips

    def training_noises(self, fold: int) -> list[Noise]:
        """Return the stretches of background noise that the nets of a fold learn with."""
        return [noise for its, noise in read_stretches(self.folder / "noise.arrow") if its != fold]

    def judging_noises(self, fold: int) -> list[Noise]:
        """Return the stretches of background noise that the nets of a fold never learn with."""
        return judging(self.folder, fold)

    @cached_property
    def dataset(self) -> Any:
        """A `datasets.Dataset` of rows and samples; the samples stay on disk until they are asked for."""
        # Imported here, because it takes seconds and only explorations use it.
        from datasets import Dataset

        clip = int(np.prod(self.shape))
        shards = [
            pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(each.reshape(-1)), clip) for each in self._shards
        ]
        rows = parquet.read_table(self.folder / "rows.parquet")
        # Named, since the name would else be made of all samples.
        return Dataset(rows.append_column("samples", pyarrow.chunked_array(shards)), fingerprint=self.fingerprint)
