"""Which clips of the Multilingual Spoken Words Corpus are taken: words by name or number, so many clips of each."""

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas
from pydantic import Field, model_validator

from pipeline.clips.labels import CLIP, SILENCE, SILENCE_WORD, UNKNOWN, UNKNOWN_WORD
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources._tar_csv import tar_csv

# Of a line in the list of the chosen clips; `fixed` is 1 where the corpus's own split holds.
COLUMNS = ("language", "link", "word", "speaker", "gender", "set", "fixed")
_LISTED = ("SET", "LINK", "WORD", "VALID", "SPEAKER", "GENDER")
_UNTOLD = ("", "NA", "NAN")
_LABELS = {SILENCE, SILENCE_WORD, UNKNOWN, UNKNOWN_WORD, CLIP}


class Language(Settings):
    """`words` by name; `other_words` by name too, or so many that are drawn among those of `min_clips` or more."""

    words: tuple[str, ...] = ()
    other_words: Annotated[int, Field(ge=0)] | tuple[str, ...] = 0
    min_clips: int = Field(50, ge=1)

    @model_validator(mode="after")
    def _asks_for_words(self) -> Self:
        if not self.words and not self.other_words:
            raise ValueError("name words, or say how many other_words")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        return self.words + (self.other_words if isinstance(self.other_words, tuple) else ())


def digest_of(params: dict[str, Any], seed: int, sha256: list[str]) -> str:
    """Return what names a selection: it differs where another one would be made."""
    return hashlib.sha256(json.dumps([params, seed, sha256], sort_keys=True).encode()).hexdigest()[:12]


def select(
    lists: Mapping[str, Path], languages: Mapping[str, Language], clips_per_word: int, published: bool, seed: int
) -> list[list[str]]:
    """Return the chosen clips as rows of COLUMNS, sorted by language and link; the lists are read twice, line by line.

    Clips that the corpus itself calls invalid are none. Where a word has more than `clips_per_word`, those of as many
    speakers as possible are drawn. Raises PipelineError for words that a language lacks, or too few others.
    """
    taken = {word for language in languages.values() for word in language.named}
    chosen: list[pandas.DataFrame] = []
    for index, (name, wanted) in enumerate(languages.items()):
        generator = np.random.default_rng([seed, index])
        words = _words(lists[name], name, wanted, taken, generator)
        rows = [row for row in _valid(lists[name], name) if row[2] in words]
        table = pandas.DataFrame(rows, columns=list(_LISTED), dtype=str).drop(columns="VALID")
        table.insert(0, "language", name)
        apart = _apart(table) if published else table
        chosen.append(_capped(apart, clips_per_word, generator))
        left_out = f"; {len(table) - len(apart)} left out, since their speakers judge" if published else ""
        print(f"mswc, {name}: {len(chosen[-1])} of {len(table)} clips of {len(words)} words{left_out}")
    table = pandas.concat(chosen).sort_values(["language", "LINK"], kind="stable")
    speaker = table["SPEAKER"].where(~table["SPEAKER"].isin(_UNTOLD), "")
    gender = table["GENDER"].where(~table["GENDER"].isin(_UNTOLD), "").str.lower()
    fixed = np.full(len(table), "1" if published else "")
    columns = (table["language"], table["LINK"], table["WORD"], speaker, gender, table["SET"], fixed)
    return [list(row) for row in zip(*columns, strict=True)]


def _valid(path: Path, language: str) -> Iterable[list[str]]:
    for row in tar_csv(path, f"{language}_splits.csv", _LISTED):
        if row[0] not in ("TRAIN", "DEV", "TEST"):
            raise PipelineError(f"{path}: the split of {row[1]} is '{row[0]}'; expected TRAIN, DEV or TEST.")
        if row[3] == "True":
            yield row


def _words(path: Path, name: str, wanted: Language, taken: set[str], generator: np.random.Generator) -> set[str]:
    """Return the words to take of a language, and add to `taken` those that are drawn."""
    counts = Counter(row[2] for row in _valid(path, name))
    if missing := [word for word in wanted.named if word not in counts]:
        near = {near for word in missing for near in difflib.get_close_matches(word, counts, n=3)}
        hint = f" Near are: {', '.join(sorted(near))}." if near else ""
        raise PipelineError(
            f"{path} lists no clip of {', '.join(missing)}, among {len(counts)} words.{hint}\n"
            f"Change download.languages.{name} in params.yaml."
        )
    words = set(wanted.named)
    if isinstance(wanted.other_words, int) and wanted.other_words:
        left = sorted(w for w, count in counts.items() if count >= wanted.min_clips and w not in taken | _LABELS)
        if len(left) < wanted.other_words:
            raise PipelineError(
                f"{path} lists {len(left)} other words with {wanted.min_clips} clips or more; asked for are "
                f"{wanted.other_words}.\nLower other_words or min_clips of download.languages.{name} in params.yaml."
            )
        words |= {left[place] for place in generator.choice(len(left), wanted.other_words, replace=False)}
        taken |= words
    return words


def _apart(table: pandas.DataFrame) -> pandas.DataFrame:
    """Return the rows without those whose speaker is in a list that judges later: TRAIN, DEV, TEST, in this order."""
    speakers = table["SPEAKER"]
    told = ~speakers.isin(_UNTOLD)
    of = {split: set(speakers[told & (table["SET"] == split)]) for split in ("DEV", "TEST")}
    late = (table["SET"] != "TEST") & speakers.isin(of["TEST"]) | (table["SET"] == "TRAIN") & speakers.isin(of["DEV"])
    return table[~late]


def _capped(table: pandas.DataFrame, clips_per_word: int, generator: np.random.Generator) -> pandas.DataFrame:
    """Return at most so many rows of each word, of as many speakers as possible; which ones is drawn."""
    shuffled = table.iloc[generator.permutation(len(table))]
    turn = shuffled.groupby(["WORD", "SPEAKER"]).cumcount()
    in_turn = shuffled.iloc[np.argsort(turn.to_numpy(), kind="stable")]
    return in_turn[in_turn.groupby("WORD").cumcount().to_numpy() < clips_per_word]
