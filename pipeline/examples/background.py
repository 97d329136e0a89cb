"""What is added to training clips from memory: background noise, and what other training clips say."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE_WORDS

Recordings = Sequence[NDArray[np.int16]]  # [samples] each


class Background(NamedTuple):
    """Recordings of `noises`, for AddNoise, and of `speech`, for AddBabble."""

    noises: Recordings = ()
    speech: Recordings = ()


class Clips(Sequence[NDArray[np.int16]]):
    """Clips of the corpus, int16 [16000] each, by row number; read when they are asked for."""

    def __init__(self, corpus: Corpus, rows: NDArray[np.int64]) -> None:
        self._corpus, self._rows = corpus, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> NDArray[np.int16]:  # type: ignore[override]  # no slices
        return self._corpus.samples(self._rows[number : number + 1])[0]


def background_of(corpus: Corpus, fold: int) -> Background:
    """Return what the nets of a fold may hear beside a clip: nothing that judges them. `corpus` holds samples."""
    rows = corpus.training_rows(fold)
    speech = rows[~corpus.rows["word"].iloc[rows].isin(SILENCE_WORDS).to_numpy()]
    return Background([noise.samples for noise in corpus.training_noises(fold)], Clips(corpus, speech))
