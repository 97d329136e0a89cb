"""Copies among a source's own clips: the very same samples twice, which flatter an estimate or teach two words."""

import numpy as np
import pandas
from numpy.typing import NDArray

from pipeline.clips.audio_shards import digest_of
from pipeline.clips.waveform import CLIP_SAMPLES

_DIGITAL_SILENCE = np.frombuffer(digest_of(np.zeros(CLIP_SAMPLES, np.int16))[:8], np.uint64)[0]


def warnings_of(
    rows: pandas.DataFrame, splits: NDArray[np.str_], folds: NDArray[np.int64], digests: NDArray[np.uint64]
) -> list[str]:
    """Return a warning for copies that train and judge, and one for copies under two words.

    `rows` are the corpus's, `splits` and `folds` [rows] what becomes of them, `digests` [rows] of their samples.
    Clips of digital silence are no copies.
    """
    values, index, counts = np.unique(digests, return_inverse=True, return_counts=True)
    copied = np.flatnonzero((counts[index] > 1) & (values[index] != _DIGITAL_SILENCE))
    if not len(copied):
        return []
    # Nets of a fold learn from all other folds; rows that judge no fold differ by their split.
    places = np.where(folds[copied] >= 0, folds[copied].astype(str), splits[copied])
    found = pandas.DataFrame(
        {
            "clip": rows["clip"].to_numpy()[copied],
            "word": rows["word"].to_numpy()[copied],
            "place": places,
            "trains": splits[copied] == "train",
            "digest": digests[copied],
        }
    )
    learnt = found[found.groupby("digest")["trains"].transform("any")]
    warnings = []
    if apart := _differing(learnt, "place"):
        warnings.append(
            f"Warning: {len(apart)} clips are copies of each other, such as {apart[0]} and {apart[1]}, and some train "
            "where others judge or are the test. What a net has heard is no test of it: delete the copies that train."
        )
    if apart := _differing(found, "word"):
        warnings.append(
            f"Warning: {len(apart)} clips are copies of each other under different words, such as {apart[0]} and "
            f"{apart[1]}. One of the words is wrong."
        )
    return warnings


def _differing(found: pandas.DataFrame, column: str) -> list[str]:
    """Return the clips of which a copy has another value in the column, copies beside each other."""
    apart = found.dropna(subset=[column]).groupby("digest")[column].transform("nunique") > 1
    return found.loc[apart[apart].index].sort_values(["digest", "clip"])["clip"].tolist()
