"""The figures that judge predicted labels, from a confusion matrix: one module for trainers, stages and tables.

`counts` is always int [labels, labels]: rows are the truth, columns the prediction.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.errors import PipelineError

Z = 1.959964  # the normal 97.5 % quantile
ALONE = 1.5  # fewer speakers alike than so many are one, more or less


def confusion(truth: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """Return the counts of index pairs, int [clips], below `labels`; a clip whose truth is -1 is not counted."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    truth, predicted = truth[truth >= 0], predicted[truth >= 0]
    return np.bincount(truth * labels + predicted, minlength=labels**2).reshape(labels, labels)


def recalls(counts: np.ndarray) -> np.ndarray:
    """Return per label the share of its clips that were recognised, NaN where it has none."""
    judged = counts.sum(axis=1)
    return np.divide(np.diag(counts), judged, out=np.full(len(counts), np.nan), where=judged > 0)


def weights(counts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the share of each label in the judgement: the prior `shares`, renormalised over the labels with clips.

    Raises PipelineError if no label with a share has a clip.
    """
    present = np.where(counts.sum(axis=1) > 0, shares, 0.0)
    if present.sum() <= 0:
        raise PipelineError(
            "None of the labels that the prior gives a share has a clip to judge by.\n"
            "Change decide.prior in params.yaml."
        )
    return present / present.sum()


def accuracy(counts: np.ndarray, shares: np.ndarray | None = None) -> float:
    """Return the share of clips recognised; with `shares` [labels], as if the labels were that frequent."""
    if shares is None:
        return float(np.trace(counts) / counts.sum())
    return float(weights(counts, shares) @ np.nan_to_num(recalls(counts)))


def f1(counts: np.ndarray) -> np.ndarray:
    """Return per label the harmonic mean of precision and recall, NaN where it is neither true nor predicted."""
    occurrences = counts.sum(axis=1) + counts.sum(axis=0)
    return np.divide(2 * np.diag(counts), occurrences, out=np.full(len(counts), np.nan), where=occurrences > 0)


def macro_f1(counts: np.ndarray) -> float:
    """Return the mean F1 over the labels that occur in the truth or the prediction."""
    return float(np.nanmean(f1(counts)))


def average_precisions(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return per label the area under its precision-recall steps, NaN where no clip has it.

    `truth` is bool [clips, labels], `scores` float [clips, labels].
    """
    from sklearn.metrics import average_precision_score  # here, since it takes a second that few need

    return np.array(
        [
            average_precision_score(held, score) if held.any() else np.nan
            for held, score in zip(truth.T, scores.T, strict=True)
        ]
    )


def effective_clips(counts: np.ndarray, shares: np.ndarray) -> float:
    """Return how many equally weighted clips judge as surely (Kish, Survey Sampling, 1965, section 11.7)."""
    share, judged = weights(counts, shares), counts.sum(axis=1)
    return float(1 / np.sum(share[judged > 0] ** 2 / judged[judged > 0]))


def clustered_clips(
    truth: np.ndarray, predicted: np.ndarray, speakers: Sequence[str] | np.ndarray, labels: int, shares: np.ndarray
) -> float:
    """Return how many independent clips judge as surely, where the clips of one speaker are alike.

    That is p (1 - p) over the variance of the accuracy under the prior between speakers, by linearisation of its
    ratios (Kish and Frankel, JRSS B 36, 1974), at most `effective_clips`, over the square of `widening`, as Korn and
    Graubard (Survey Methodology 24, 1998) advise for intervals of small shares. Where nearly all of the judgement is
    one speaker's, it counts as one clip: what it says of another cannot be told, and the residuals of all its clips
    sum to 0. `truth` and `predicted` are int [clips], below `labels`.
    """
    counts = confusion(truth, predicted, labels)
    share, clips = weights(counts, shares), effective_clips(counts, shares)
    expected = accuracy(counts, shares)
    per_clip = (share / np.maximum(counts.sum(axis=1), 1))[truth]
    residuals = per_clip * ((truth == predicted) - np.nan_to_num(recalls(counts))[truth])
    index = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)[1]
    by_speaker = np.bincount(index, residuals)
    owners = alike(np.bincount(index, per_clip))
    if owners < ALONE:
        return 1.0
    variance = np.sum(by_speaker**2) * len(by_speaker) / (len(by_speaker) - 1)
    sure = clips if variance <= 0 else min(clips, expected * (1 - expected) / variance)
    return max(1.0, sure / widening(owners) ** 2)


def alike(owned: np.ndarray) -> float:
    """Return how many speakers who say as much as each other are worth these (Kish); `owned` [speakers] is how much.

    Many with a clip of silence each say little beside a few who spoke the rest.
    """
    return float(owned.sum() ** 2 / np.sum(owned**2))


def widening(owners: float) -> float:
    """Return by how much an interval is wider whose standard error was itself estimated, from so many speakers alike.

    That is Student's 97.5 % quantile, of one degree of freedom less than these, over the normal one: by its expansion
    (Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 26.7.5), within 1 % from 2 degrees of freedom on.
    """
    free, z2 = owners - 1, Z**2
    terms = (
        (z2 + 1) / 4,
        (5 * z2**2 + 16 * z2 + 3) / 96,
        (3 * z2**3 + 19 * z2**2 + 17 * z2 - 15) / 384,
        (79 * z2**4 + 776 * z2**3 + 1482 * z2**2 - 1920 * z2 - 945) / 92160,
    )
    return 1 + sum(term / free**power for power, term in enumerate(terms, start=1))


def bootstrap_widening(owners: float) -> float:
    """Return by how much an interval is wider than the percentiles of a bootstrap over so many speakers alike."""
    return widening(owners) * float(np.sqrt(owners / (owners - 1)))  # as s over sqrt(n) is of n - 1


def wilson(share: float, clips: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval (Wilson, JASA 22, 1927)."""
    centre = share + Z**2 / (2 * clips)
    spread = Z * np.sqrt(share * (1 - share) / clips + Z**2 / (4 * clips**2))
    scale = 1 + Z**2 / clips
    return max(0.0, float((centre - spread) / scale)), min(1.0, float((centre + spread) / scale))


def count(truth: Iterable[str], predicted: Iterable[str], labels: Sequence[str]) -> np.ndarray:
    """Return int [labels, labels]: rows are the truth, columns the prediction. Raises KeyError for a strange label."""
    index = {label: number for number, label in enumerate(labels)}
    return confusion(
        np.array([index[label] for label in truth], dtype=int),
        np.array([index[label] for label in predicted], dtype=int),
        len(labels),
    )


def judge(
    truth: np.ndarray,
    predicted: np.ndarray,
    speakers: Sequence[str],
    labels: Sequence[str],
    shares: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return `describe` of int [clips], with an interval that knows that the clips of a speaker are alike.

    Clips whose truth is -1 are not judged.
    """
    prior = np.full(len(labels), 1 / len(labels)) if shares is None else shares
    known = np.asarray(truth) >= 0
    truth, predicted, own = truth[known], predicted[known], np.asarray(speakers, dtype=str)[known]
    counts = confusion(truth, predicted, len(labels))
    return describe(counts, labels, prior, clustered_clips(truth, predicted, own, len(labels), prior))


def describe(
    counts: np.ndarray, labels: Sequence[str], shares: np.ndarray | None = None, clips: float | None = None
) -> dict[str, Any]:
    """Return the figures of a confusion matrix; a recall is None where the label has no clip.

    `prior_accuracy` is the accuracy if the labels were as frequent as `shares` [labels] says, None for all alike: then
    it is the mean recall. It has its 95 % interval, Wilson's for `clips` independent clips, None where each clip is.
    `accuracy` is the plain share of clips that were recognised.
    """
    prior = np.full(len(labels), 1 / len(labels)) if shares is None else shares
    expected = accuracy(counts, prior)
    low, high = wilson(expected, effective_clips(counts, prior) if clips is None else clips)
    by_label = {
        label: None if np.isnan(recall) else _rounded(recall)
        for label, recall in zip(labels, recalls(counts), strict=True)
    }
    return {
        "prior_accuracy": _rounded(expected),
        "prior_accuracy_low": _rounded(low),
        "prior_accuracy_high": _rounded(high),
        "accuracy": _rounded(accuracy(counts)),
        "macro_f1": _rounded(macro_f1(counts)),
        **{f"{label}_recall": by_label[label] for label in (UNKNOWN, SILENCE) if label in by_label},
        "clips": int(counts.sum()),
        "recalls": by_label,
    }


def _rounded(value: float) -> float:
    return round(float(value), 5)
