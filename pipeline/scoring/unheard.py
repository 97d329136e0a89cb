"""How well a run does on what its nets never heard: words that were kept from them, noises of other recordings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.clips.noise import MIXED


def describe(
    corpus: Corpus,
    rows: NDArray[np.int64],  # [clips] of the corpus, judged out of fold
    truth: NDArray[np.int64],  # [clips], index into [*commands, unknown, silence]; -1: not judged
    decided: NDArray[np.int64],  # [clips]
    speakers: Sequence[str],  # [clips]
) -> dict[str, Any]:
    """Return `unheard_recall`, of `unknown` among clips of words that the nets of their fold never learnt.

    And `unheard_noise_recall`, of `silence` made of recordings that these nets never heard. Each with its 95 %
    interval and how many clips it rests on; nothing of what no clip tells. The clips of one word (one noise) are alike
    as those of one speaker are: the wider of both intervals counts. One word or noise alone tells next to nothing.
    """
    labels = corpus.vocabulary.submission_labels
    words = corpus.rows["word"].to_numpy()[rows].astype(str)
    noises = corpus.rows["noise_source"].fillna("").to_numpy()[rows].astype(str)
    is_word, is_noise = _is_unheard(corpus, rows, noises)
    found: dict[str, Any] = {}
    for name, label, inside, of, kinds in (
        ("unheard", UNKNOWN, is_word, words, "unheard_words"),
        ("unheard_noise", SILENCE, is_noise, noises, "unheard_noises"),
    ):
        column = labels.index(label)
        clips = np.flatnonzero(inside & (truth == column))
        if not len(clips):
            continue
        recall, low, high = recall_of(decided[clips] == column, np.asarray(speakers, dtype=str)[clips], of[clips])
        found |= {f"{name}_recall": recall, f"{name}_recall_low": low, f"{name}_recall_high": high}
        found |= {f"{name}_clips": len(clips), kinds: len(set(of[clips]))}
    return {key: round(value, 5) for key, value in found.items()}


def recall_of(right: NDArray[np.bool_], speakers: NDArray[Any], kinds: NDArray[Any]) -> tuple[float, float, float]:
    """Return the recall of clips of one label, and its 95 % interval; both others [clips] say whose each clip is."""
    label, only = np.zeros(len(right), np.int64), np.array([1.0, 0.0])
    decided = np.where(right, 0, 1)
    sure = min(metrics.clustered_clips(label, decided, owners, 2, only) for owners in (speakers, kinds))
    recall = float(np.mean(right))
    return recall, *metrics.wilson(recall, min(sure, _clips_of_kinds(right, kinds)))


def _clips_of_kinds(right: NDArray[np.bool_], kinds: NDArray[Any]) -> float:
    """Return how many independent clips judge as surely, where the clips of one of `kinds` [clips] are alike.

    As `metrics.clustered_clips`, but with half a word that is always recognised and half a one that never is beside
    those there: where hardly a clip is missed, they do not tell how much words differ. Of five to twenty words of 15 to
    30 clips, whose recalls were drawn from eleven Beta distributions, 92 to 100 % of the intervals held the mean;
    without, 66 to 99 %.
    """
    index = np.unique(kinds, return_inverse=True)[1]
    clips = np.bincount(index).astype(float)
    half = clips.mean() / 2
    hits, clips = np.append(np.bincount(index, right), [half, 0]), np.append(clips, [half, half])
    recall = hits.sum() / clips.sum()
    residuals = (hits - recall * clips) / clips.sum()
    variance = np.sum(residuals**2) * len(clips) / (len(clips) - 1)
    owners = max(metrics.alike(clips[:-2]), metrics.ALONE)
    return float(max(1.0, recall * (1 - recall) / variance / metrics.widening(owners) ** 2))


def _is_unheard(
    corpus: Corpus, rows: NDArray[np.int64], noises: NDArray[Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return of each clip whether its word, and whether all noise that it is made of, is new to its fold's nets."""
    fold_of = corpus.rows["fold"].to_numpy()[rows]
    is_word, is_noise = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for fold in np.unique(fold_of[fold_of >= 0]).tolist():
        inside = np.flatnonzero(fold_of == fold)
        is_word[inside] = corpus.is_unheard(fold)[rows[inside]]
        heard = {noise.name for noise in corpus.training_noises(fold)}
        is_noise[inside] = [
            noises[clip] not in ("", "digital") and not heard & set(noises[clip].split(MIXED)) for clip in inside
        ]
    return is_word, is_noise
