"""Where a run fails: the clips that are worth to be heard first."""

from typing import Any

import numpy as np

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.reporting.page.clipbook import ClipBook
from pipeline.reporting.page.evidence import JudgedRun

WORST, TORN, WORDS, SPEAKERS, CLIPS_OF_EACH = 12, 8, 8, 6, 3
LEAST_CLIPS = 5  # of a speaker of whom a share is told


def worst(evidence: JudgedRun, book: ClipBook, runs: list[JudgedRun]) -> list[dict[str, Any]]:
    """Return the clips of which the run was surest, and wrong."""
    if evidence.decided is None:
        return _worst_tags(evidence, book, runs)
    index = np.arange(len(evidence.rows))
    decided, true = evidence.values[index, evidence.decided], evidence.values[index, evidence.truth]
    order = np.argsort(-(decided - true), kind="stable")
    places = order[evidence.wrong[order]][:WORST].tolist()
    return [
        {
            "clip": book.carry(int(evidence.rows[place]), runs),
            "true": evidence.labels[evidence.truth[place]],
            "decided": evidence.labels[evidence.decided[place]],
            "probability": float(decided[place]),
        }
        for place in places
    ]


def torn(evidence: JudgedRun, book: ClipBook, runs: list[JudgedRun]) -> list[dict[str, Any]]:
    """Return the clips whose two likeliest labels are nearest to each other."""
    if evidence.decided is None or len(evidence.labels) < 2:
        return []
    best = np.argsort(-evidence.values, axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(evidence.values, best, axis=1).T
    # Halves of nothing are no conflict: both must be likely.
    order = np.argsort((first - second) - 0.5 * second, kind="stable")[:TORN]
    return [
        {
            "clip": book.carry(int(evidence.rows[place]), runs),
            "true": evidence.labels[evidence.truth[place]],
            "between": [
                [evidence.labels[one], round(float(evidence.values[place, one]), 3)] for one in best[place].tolist()
            ],
        }
        for place in order.tolist()
    ]


def passing(evidence: JudgedRun, corpus: Corpus, book: ClipBook, runs: list[JudgedRun]) -> list[dict[str, Any]]:
    """Return the words of `unknown` that pass for commands most often, with what they pass for and clips of each."""
    if evidence.decided is None or UNKNOWN not in evidence.labels:
        return []
    unknown = evidence.labels.index(UNKNOWN)
    kept = {unknown, evidence.labels.index(SILENCE)} if SILENCE in evidence.labels else {unknown}
    words = corpus.rows["word"].to_numpy()[evidence.rows].astype(str)
    is_unknown = evidence.truth == unknown
    passes = is_unknown & ~np.isin(evidence.decided, list(kept))
    found = []
    there, clips = np.unique(words[is_unknown], return_counts=True)
    clips_of = dict(zip(there.tolist(), clips.tolist(), strict=True))
    passed = np.flatnonzero(passes)
    passed = passed[np.argsort(words[passed], kind="stable")]
    for places in np.split(passed, np.flatnonzero(words[passed][1:] != words[passed][:-1]) + 1):
        if len(places):
            word = str(words[places[0]])
            surest = places[np.argsort(-evidence.values[places, evidence.decided[places]], kind="stable")]
            names, times = np.unique(evidence.decided[places], return_counts=True)
            order = np.argsort(-times, kind="stable")
            found.append((len(places), word, surest, [(evidence.labels[names[one]], int(times[one])) for one in order]))
    found.sort(key=lambda each: (-each[0], each[1]))
    return [
        {
            "word": word,
            "passed": count,
            "clips": clips_of[word],
            "as": taken[:3],
            "heard": [book.carry(int(evidence.rows[place]), runs) for place in surest[:CLIPS_OF_EACH].tolist()],
        }
        for count, word, surest, taken in found[:WORDS]
    ]


def speakers(evidence: JudgedRun, book: ClipBook, runs: list[JudgedRun]) -> list[dict[str, Any]]:
    """Return the speakers that are understood worst, by what is sure of it: the upper end of the interval."""
    names, index, clips = np.unique(np.asarray(evidence.speakers, dtype=str), return_inverse=True, return_counts=True)
    wrong, found = evidence.wrong, []
    for number in np.flatnonzero(clips >= LEAST_CLIPS).tolist():
        places = np.flatnonzero(index == number)
        right = int((~wrong[places]).sum())
        if right < len(places):
            low, high = metrics.wilson(right / len(places), len(places))
            found.append((high, str(names[number]), right, places, low))
    found.sort(key=lambda each: (each[0], each[1]))
    result = []
    for high, name, right, places, low in found[:SPEAKERS]:
        missed = places[wrong[places]]
        result.append(
            {"speaker": name, "right": right, "clips": len(places), "low": low, "high": high}
            | {"heard": [book.carry(int(evidence.rows[place]), runs) for place in missed[:CLIPS_OF_EACH].tolist()]}
        )
    return result


def _worst_tags(evidence: JudgedRun, book: ClipBook, runs: list[JudgedRun]) -> list[dict[str, Any]]:
    """Return the pairs of clip and label that are furthest from the truth, one a clip."""
    gap = np.abs(evidence.values - np.asarray(evidence.truth, np.float32))
    label = gap.argmax(axis=1)
    furthest = gap.max(axis=1)
    places = [place for place in np.argsort(-furthest, kind="stable").tolist() if furthest[place] > 0.5][:WORST]
    return [
        {
            "clip": book.carry(int(evidence.rows[place]), runs),
            "true": evidence.labels[label[place]] if evidence.truth[place, label[place]] else "",
            "decided": "" if evidence.truth[place, label[place]] else evidence.labels[label[place]],
            "probability": float(evidence.values[place, label[place]]),
        }
        for place in places
    ]
