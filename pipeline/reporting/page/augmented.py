"""Examples of each augmentation, to be heard: one clip as it is, by each transform alone, and by all of them."""

import base64
from typing import Any

import numpy as np

from pipeline.clips.corpus import Corpus
from pipeline.examples.augmentation import Augmentation, Augmenter
from pipeline.examples.background import background_of
from pipeline.reporting.page.clipbook import ClipBook


def made(corpus: Corpus, row: int, entries: list[Any] | None, fold: int) -> list[dict[str, Any]]:
    """Return each transform's name, its arguments, and the row's clip after it: int16 samples in base64.

    `entries` is the list of params.yaml; without one, that of `Augmentation` itself.
    """
    augmentation = Augmentation() if entries is None else Augmentation(entries)
    samples = corpus.samples(np.array([row]))
    background = background_of(corpus, fold)
    steps = [
        (name, _told(arguments), [{name: {**arguments, "p": 1.0}}])
        for each in augmentation.root
        for name, arguments in each.items()
    ]
    if len(steps) > 1:
        steps.append(("all of them", "one after another", [entry for *_, entries in steps for entry in entries]))
    found: list[dict[str, Any]] = []
    for number, (name, arguments, alone) in enumerate(steps, 1):
        heard = Augmenter(Augmentation(alone), background)(samples, [np.random.default_rng(number)])[0]
        data = np.round(heard * 32767).astype("<i2").tobytes()
        found.append({"name": name, "arguments": arguments, "samples": base64.b64encode(data).decode()})
    return found


def examples(made: list[dict[str, Any]], row: int, book: ClipBook) -> list[dict[str, Any]]:
    """Return the name of each transform with the number of its clip and its arguments; `row` is the clip's."""
    found: list[dict[str, Any]] = []
    original = book.carry(row)
    said = book.entries[original]["said"]
    if str(original) in book.media:
        found.append({"name": "as it is", "clip": original, "arguments": said})
    for each in made:
        number = book.carry_made(np.frombuffer(base64.b64decode(each["samples"]), "<i2"), each["name"], said)
        if number is not None:
            found.append({"name": each["name"], "clip": number, "arguments": each["arguments"]})
    return found


def _told(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in arguments.items() if key != "p")
