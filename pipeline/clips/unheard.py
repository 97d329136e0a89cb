"""Words that the nets of a fold never learn, so that they can be judged on words that they never heard."""

from collections.abc import Iterable

import numpy as np

from pipeline.clips.labels import NO_WORDS
from pipeline.errors import PipelineError


def deal(words: Iterable[str], commands: Iterable[str], share: float, folds: int, seed: int) -> list[list[str]]:
    """Return for each fold the words that its nets never learn: `share` of those that are no command, one at least.

    The folds have different words as far as there are enough; of a share of 0 they have none. Raises PipelineError if
    nothing would be left to learn `unknown` from.
    """
    if not share:
        return [[] for _ in range(folds)]
    dealt = sorted(set(words) - {*commands, *NO_WORDS})
    count = max(1, round(share * len(dealt)))
    if count >= len(dealt):
        raise PipelineError(
            f"prepare.unheard_words: {share:g} leaves no unknown word to learn from: the training clips have "
            f"{len(dealt)} beside the commands{': ' if dealt else ''}{', '.join(dealt)}.\n"
            "Set it to 0 in params.yaml, or to a smaller share."
        )
    order = np.random.default_rng([seed, 41]).permutation(len(dealt))
    turns = [order[np.arange(fold * count, (fold + 1) * count) % len(dealt)] for fold in range(folds)]
    return [sorted(dealt[word] for word in turn) for turn in turns]
