"""Synthetic speech as training clips: how much of it, and where it stands in the corpus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from pipeline.settings import Settings

FOLDER = "_synthetic_"


class Synthetic(Settings):
    """How many clips a speech synthesiser adds to those of the source; they train, and are never judged.

    `clips` of the words that the training clips hold, each as often; `other_clips` of other words, all of them called
    unknown. `voices` speak them, each of which is a speaker of its own. They are English voices, and so are the other
    words: leave this section out for recordings in another language. How many an epoch holds is said by a run's
    rebalancing.synthetic.
    """

    clips: int = Field(0, ge=0, le=1_000_000)
    other_clips: int = Field(0, ge=0, le=1_000_000)
    voices: int = Field(300, ge=1, le=10_000)

    @property
    def total(self) -> int:
        return self.clips + self.other_clips


@dataclass(frozen=True)
class Spoken:
    """A synthetic clip: `samples` int16 [at most 16000], and who says which word."""

    samples: np.ndarray
    word: str
    speaker: str


# Words of the corpus, settings and seed -> clips; those whose word is none of the corpus's are of other words.
Speak = Callable[[list[str], Synthetic, int], Iterator[Spoken]]
