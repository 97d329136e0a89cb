"""Examples of each augmentation, to be heard: one clip as it is, by each transform alone, and by all of them."""

from typing import Any

import numpy as np

from pipeline.clips.corpus import Corpus
from pipeline.examples.augmentation import Augmentation, Augmenter
from pipeline.reporting.page.clipbook import ClipBook


def examples(corpus: Corpus, row: int, augmentation: Augmentation, fold: int, book: ClipBook) -> list[dict[str, Any]]:
    """Return the name of each transform with the number of its clip and its arguments; `row` is the clip's."""
    samples = corpus.samples(np.array([row]))
    noises = [noise.samples for noise in corpus.training_noises(fold)]
    steps = [
        (name, _told(arguments), [{name: {**arguments, "p": 1.0}}])
        for each in augmentation.root
        for name, arguments in each.items()
    ]
    if len(steps) > 1:
        steps.append(("all of them", "one after another", [entry for *_, entries in steps for entry in entries]))
    found: list[dict[str, Any]] = []
    original = book.carry(row)
    said = book.entries[original]["said"]
    if str(original) in book.media:
        found.append({"name": "as it is", "clip": original, "arguments": said})
    for name, arguments, entries in steps:
        heard = Augmenter(Augmentation(entries), noises)(samples, [np.random.default_rng(len(found))])[0]
        number = book.carry_made(np.round(heard * 32767).astype(np.int16), name, said)
        if number is not None:
            found.append({"name": name, "clip": number, "arguments": arguments})
    return found


def _told(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in arguments.items() if key != "p")
