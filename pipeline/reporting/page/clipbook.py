"""The clips that the page names, and those of them that it carries: each once, as many as `report.clips` allows."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.examples.task import TAGS
from pipeline.reporting.page import sound
from pipeline.reporting.page.evidence import JudgedRun
from pipeline.scoring.truth import names_of


class ClipBook:
    """Numbers the clips in the order in which they are asked for; what is asked for first is carried."""

    def __init__(self, corpus: Corpus, clips: int, audio: bool) -> None:
        self._corpus = corpus
        self._left = clips if audio and corpus.has_audio else 0
        self._names = names_of(corpus)
        self._number: dict[int, int] = {}
        self._places: dict[int, dict[int, int]] = {}  # of a JudgedRun, by its id: the place of each row
        self.entries: list[dict[str, Any]] = []
        self.media: dict[str, dict[str, str]] = {}

    def name(self, row: int) -> int:
        """Return the number of the clip in `entries`, without carrying it."""
        if row not in self._number:
            about = self._corpus.rows.iloc[row]
            tags = about[TAGS]
            said = about["word"] if isinstance(about["word"], str) else None
            speaker = about["speaker"] if isinstance(about["speaker"], str) else ""
            entry = {"name": str(self._names[row]), "said": said or _listed(tags), "speaker": speaker, "by": {}}
            self._number[row] = len(self.entries)
            self.entries.append(entry)
        return self._number[row]

    def carry(self, row: int, said_by: Iterable[JudgedRun] = ()) -> int:
        """Return the number of the clip, with what the runs say of it, to be heard while there is room."""
        number = self.name(row)
        entry = self.entries[number]
        for evidence in said_by:
            if evidence.run not in entry["by"] and (place := self._place(evidence, row)) is not None:
                entry["by"][evidence.run] = _said(evidence, place)
        if self._left and str(number) not in self.media:
            self._left -= 1
            self.media[str(number)] = _medium(self._corpus.samples(np.array([row]))[0])
        return number

    def carry_made(self, samples: NDArray[np.int16], name: str, said: str) -> int | None:
        """Return the number of a clip that is in no corpus, None where there is no room for it."""
        if not self._left:
            return None
        self._left -= 1
        self.entries.append({"name": name, "said": said, "speaker": "", "by": {}})
        self.media[str(len(self.entries) - 1)] = _medium(samples)
        return len(self.entries) - 1

    @property
    def has_room(self) -> bool:
        return self._left > 0

    def _place(self, evidence: JudgedRun, row: int) -> int | None:
        places = self._places.get(id(evidence))
        if places is None:
            places = self._places[id(evidence)] = {int(at): place for place, at in enumerate(evidence.rows)}
        return places.get(row)


def _medium(samples: NDArray[np.int16]) -> dict[str, str]:
    return {"wav": sound.wav(samples), "png": sound.spectrogram(samples)}


def _said(evidence: JudgedRun, place: int) -> list[Any]:
    """Return the decided label, its probability, the true label and its probability; of several labels, the three
    likeliest with their probabilities."""
    values = evidence.values[place]
    if evidence.decided is None:
        best = np.argsort(-values)[:3]
        return [[evidence.labels[one], _short(values[one])] for one in best.tolist()]
    decided, true = int(evidence.decided[place]), int(evidence.truth[place])
    return [evidence.labels[decided], _short(values[decided]), evidence.labels[true], _short(values[true])]


def _short(value: Any) -> float:
    return round(float(value), 3)


def _listed(tags: Any) -> str:
    return ", ".join(map(str, tags)) if tags is not None and not isinstance(tags, float) else ""
