"""Soft labels of the test clips by the teachers' vote, from which students learn beside the training clips."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import PipelineError
from pipeline.examples.rebalancing import next_stretch
from pipeline.files import replacing
from pipeline.settings import Settings


class PseudoLabels(Settings):
    """Which of the teachers' labels a student trusts, and how many of these clips it meets.

    Trusted are clips whose likeliest label has at least the probability `minimum`; of these, at most `most` clips of
    each label, the surest first (None: no limit). All words that are no command are one label in this. `hard` takes the
    likeliest label for certain, of these words the likeliest. `share` is how many of the trusted clips an epoch holds
    for each clip of the training archive in it; "all" takes all of them, each epoch.
    `unknown_odds` multiplies the odds of unknown beforehand: teachers take about half the words that no training clip
    holds for commands, and what is then too often called unknown, the recorded commands put right.
    """

    unknown_odds: float = Field(1.0, gt=0)
    minimum: float = Field(0.0, ge=0, le=1)
    most: int | None = Field(None, ge=1)
    hard: bool = False
    share: Annotated[float, Field(ge=0)] | Literal["all"] = "all"


def swayed(values: NDArray[np.float32], is_unknown: NDArray[np.bool_], settings: PseudoLabels) -> NDArray[np.float32]:
    """Return float32 [clips, labels] with the odds of unknown as asked; `is_unknown` [labels] are its words."""
    if settings.unknown_odds == 1:
        return values
    weighted = values * np.where(is_unknown, np.float32(settings.unknown_odds), np.float32(1))
    return weighted / weighted.sum(axis=1, keepdims=True)


def trusted(values: NDArray[np.float32], settings: PseudoLabels) -> NDArray[np.int64]:
    """Return the indices, ascending, of the clips that are learnt from.

    `values` is float32 [clips, labels], words that are no command in one label: of a word that the teachers never
    learnt, none of theirs is likely, and all together may be.
    """
    surest = values.max(axis=1)
    label = values.argmax(axis=1)
    kept = np.flatnonzero(surest >= settings.minimum)
    if settings.most is not None:
        order = kept[np.argsort(-surest[kept], kind="stable")]
        rank = np.zeros(len(values), np.int64)
        for each in np.unique(label[kept]):
            of_label = order[label[order] == each]
            rank[of_label] = np.arange(len(of_label))
        kept = kept[rank[kept] < settings.most]
    return kept


def learnt(
    values: NDArray[np.float32],
    likeliest: NDArray[np.int64],  # [clips], of the labels in which words that are no command are one
    group: NDArray[np.int64],  # [labels], which of those each label is of
    settings: PseudoLabels,
) -> NDArray[np.float32]:
    """Return what is learnt of trusted clips, float32 [clips, labels]; rows sum to 1."""
    if not settings.hard:
        return values / values.sum(axis=1, keepdims=True)
    of_likeliest = np.where(group == likeliest[:, None], values, -1)
    return np.eye(values.shape[1], dtype=np.float32)[of_likeliest.argmax(axis=1)]


def epoch_indices(clips: int, real: int, settings: PseudoLabels, epoch: int, seed: int) -> NDArray[np.int64]:
    """Return which of `clips` pseudo-labelled clips an epoch with `real` training clips holds, ascending.

    None comes back before the others had their turn (`rebalancing.next_stretch`).
    """
    if settings.share == "all" or clips == 0:
        return np.arange(clips)
    # Of another stream than the training clips' draw.
    return next_stretch(clips, round(float(settings.share) * real), epoch, [seed, 31])


def write(path: Path, clips: list[str], labels: list[str], values: NDArray[np.float32]) -> None:
    """Write what the teachers say of trusted clips as Parquet, atomically; `values` is float32 [clips, labels]."""
    with replacing(path) as temporary:
        pandas.DataFrame(values, index=pandas.Index(clips, name="clip"), columns=labels).to_parquet(temporary)


def read(path: Path, labels: list[str]) -> tuple[list[str], NDArray[np.float32]]:
    """Return the clips and float32 [clips, labels] that `write` wrote.

    Raises PipelineError if they are missing, or of other labels.
    """
    try:
        table = pandas.read_parquet(path)
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. Run: dvc repro (stage pseudo_label makes it)") from None
    if list(table.columns) != labels:
        raise PipelineError(f"{path} has other labels than the student: {', '.join(table.columns)}. Run: dvc repro")
    return table.index.tolist(), table.to_numpy(np.float32)
