"""What a run learns to tell of a clip: its word, other metadata, all of its tags, or whether something is there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import ABSENT, CLIP, SILENCE_WORDS
from pipeline.errors import PipelineError
from pipeline.examples.task import TAGS, WORD, Presence, Task

# Columns of every corpus that are no property of a clip to learn.
_NOT_LEARNT = {"clip", "source", "part", "split", "fold", "readable", "noise_source", "recording"}


@dataclass(frozen=True)
class Target:
    """The labels, and for each row of the corpus which of them hold.

    `values` is int64 [rows], index of the label, where the labels are `exclusive`; else float32 [rows, labels], 0 or 1.
    `known` is bool [rows]: the corpus tells it of these rows. `absent` are the names of `presence.of` that no training
    clip has, for a misspelt one would otherwise go unnoticed.
    """

    labels: list[str]
    values: NDArray[Any]
    known: NDArray[np.bool_]
    exclusive: bool = True
    absent: tuple[str, ...] = ()

    def among(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of `rows` whose target is known."""
        return rows[self.known[rows]]


def target_of(corpus: Corpus, task: Task) -> Target:
    """Return what the task asks of every row.

    Labels other than words are those of the training clips, sorted; of synthetic clips, the word alone is known.
    Raises PipelineError for a column that the corpus does not have, a label that only clips to judge have, a presence
    of something that no training clip has, or a label that no table of probabilities can have.
    """
    target = _target_of(corpus, task)
    if CLIP in target.labels:
        raise PipelineError(
            f"A label of the target '{task.target}' is called '{CLIP}', as a column of tables of probabilities is.\n"
            "Rename it in the source: the folder of a word, the tag, the speaker, the presence."
        )
    return target


def _target_of(corpus: Corpus, task: Task) -> Target:
    column, kind, presence = task.target, task.vocabulary, task.presence
    rows = corpus.rows
    found = rows[column] if column in rows and column not in _NOT_LEARNT else None
    if found is None or found.isna().all():
        there = [name for name in rows if name not in _NOT_LEARNT and rows[name].notna().any()]
        raise PipelineError(
            f"The corpus in {corpus.folder} does not tell the '{column}' of its clips; it tells: {', '.join(there)}.\n"
            "Change `target` of the run in params.yaml, or take a source that has it."
        )
    known, is_synthetic = found.notna() & (rows["part"] == "train"), rows["split"] == "synthetic"
    known = (known if column == WORD else known & ~is_synthetic).to_numpy()
    is_train = known & (rows["split"] == "train").to_numpy()
    if presence is not None:
        return _presence(corpus, column, presence, known, is_train, known & is_synthetic.to_numpy())
    if column == TAGS:
        labels = sorted({str(tag) for tags in found[is_train] for tag in tags})
        return Target(labels, _held(found, known, labels), known, exclusive=False)
    if column == WORD:
        labels = corpus.vocabulary.labels(kind)
        if kind == "commands" and not corpus.vocabulary.commands:
            raise PipelineError("prepare.commands in params.yaml is empty, so a run cannot learn to tell them apart.")
        names = [
            corpus.vocabulary.label_of(word, kind) if there else None for word, there in zip(found, known, strict=True)
        ]
    else:
        labels = sorted({str(value) for value in found[is_train]})
        names = [str(value) if there else None for value, there in zip(found, known, strict=True)]
        if strange := sorted({name for name in names if name is not None} - set(labels)):
            raise PipelineError(
                f"{len(strange)} values of '{column}' occur in no training clip, such as {', '.join(strange[:3])}: "
                "they cannot be learnt.\nIf the speaker decides it, set prepare.splits: random in params.yaml."
            )
    index = {label: place for place, label in enumerate(labels)}
    return Target(labels, np.array([index.get(name or "", -1) for name in names], np.int64), known)


def _presence(
    corpus: Corpus,
    column: str,
    presence: Presence,
    known: NDArray[Any],
    is_train: NDArray[Any],
    is_synthetic: NDArray[Any],
) -> Target:
    held = corpus.rows[column].to_numpy()

    def names_of(value: Any) -> set[str]:
        return set(value) if column == TAGS else {str(value)}

    def is_there(value: Any) -> bool:
        names = names_of(value)
        if presence.of == "all":
            return bool(names - SILENCE_WORDS)
        return bool(names & set(presence.of))

    values = np.array([int(there and is_there(value)) for value, there in zip(held, known, strict=True)], np.int64)
    for value, meaning in ((1, "has"), (0, "lacks")):
        if not (values[is_train] == value).any():
            raise PipelineError(
                f"No training clip {meaning} '{presence.name}' ({column}: {presence.of}), so it cannot be learnt.\n"
                "Change `presence` of the run in params.yaml."
            )
    absent: tuple[str, ...] = ()
    if presence.of != "all":
        learnt = {name for value in held[is_train | is_synthetic] for name in names_of(value)}
        absent = tuple(name for name in presence.of if name not in learnt)
    return Target([ABSENT, presence.name], values, known, absent=absent)


def _held(tags: Any, known: NDArray[Any], labels: list[str]) -> NDArray[np.float32]:
    """Return float32 [rows, labels], 1 for each tag of a row; tags that no training clip has are not judged."""
    index = {label: place for place, label in enumerate(labels)}
    values = np.zeros((len(known), len(labels)), np.float32)
    for row in np.flatnonzero(known):
        values[row, [index[tag] for tag in tags.iloc[row] if tag in index]] = 1
    return values
