"""Which clips train and which judge: a function of the speaker, unless the speaker is what is learnt."""

import hashlib
import re
import warnings
from typing import Literal

import numpy as np
import pandas

from pipeline.clips.noise import NEVER_JUDGED
from pipeline.clips.recording import SplitList
from pipeline.clips.split_lists import named_by
from pipeline.errors import PipelineError

Method = Literal["auto", "lists", "hash", "grouped", "random"]
TestingList = Literal["train", "validation", "holdout"]

SHARE = 0.1  # of the speakers for validation, and again for testing
# The speaker hash is of use only where the archive's speakers are many and not chosen by it.
HASH_SHARES_ALLOWED = (0.05, 0.20)
_MAX_NUM_WAVS_PER_CLASS = 2**27 - 1
_FIXED = "The source itself says which clips train and which judge: change what it is asked for (section download)."
_NAMED_SPEAKER = re.compile(r"([^/_]+)_nohash_")


def assign(
    rows: pandas.DataFrame,
    lists: list[SplitList],
    method: Method,
    testing_list: TestingList,
    seed: int,
    folds: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return str [rows], what becomes of each row, and int [rows], the fold whose nets it judges; -1 judges none.

    Rows of part test are "test". Of the others, with one fold, "validation" rows judge fold 0 and "train" rows train
    it; "holdout" rows do neither. With more, all rows that would train or validate are "train": each judges its own
    fold and trains the others; speakers are kept together, and the folds are alike in words.

    `rows` has the columns clip, part, split, word, speaker, recording; a split that is already there wins. Methods:
    "lists" takes the archive's lists; "hash" takes `which_set`; "grouped" takes scikit-learn's StratifiedGroupKFold
    (parts alike in words, speakers kept together, the parts nearest to a tenth of the clips judge); "auto" takes the
    lists, and where none is for validation, the hash for the clips that are not listed, if it makes 5-20 % of them
    validate, else the groups; "random" draws clips, alike in words and speakers, for runs that learn to tell the
    speakers themselves. A clip without a speaker counts as a speaker of its own; where the source has said the split of
    some clips of a speaker, the others follow. `testing_list` says what becomes of the clips that the method calls
    testing; "holdout" leaves them out of training and validation.

    Raises PipelineError if a method cannot be applied, if nothing is left to train or to judge a fold with, if a
    speaker is in two splits or folds, or if clips that are also the test set (`SplitList.is_test_set`) are not held
    out.
    """
    own = rows[rows["part"] == "train"]
    is_open = folds > 1 or own["split"].isna().any()
    if method == "random" and is_open and own["recording"].dropna().duplicated().any():
        raise PipelineError(
            "prepare.splits: random would part the segments of a recording. Set it to auto or grouped in params.yaml."
        )
    splits = rows["split"].to_numpy(dtype=object, na_value=None, copy=True)
    splits[rows["part"].to_numpy() == "test"] = "test"
    if method != "random":
        splits = _following(rows, splits)
    open_rows = np.flatnonzero([split is None for split in splits])
    if len(open_rows):
        found = _by_method(rows.iloc[open_rows], lists, method, seed, folds)
        if testing_list != "holdout":
            found[found == "testing"] = testing_list
        splits[open_rows] = found
    splits[splits == "testing"] = "holdout"
    _check_test_set(_recordings(rows).to_numpy(), splits, lists)
    if folds > 1:
        splits[splits == "validation"] = "train"
        fold_of = _dealt(rows, splits == "train", folds, method == "random", seed)
    else:
        fold_of = np.where(splits == "validation", 0, NEVER_JUDGED)
    for lacking, where in [
        (not (splits == "train").any(), "train"),
        *((not (fold_of == fold).any(), "validation" if folds == 1 else f"fold {fold}") for fold in range(folds)),
    ]:
        if lacking:
            found = _speakers(rows[splits != "test"]).nunique()
            raise PipelineError(
                f"No clip is left for {where} (prepare.splits: {method}, prepare.testing_list: {testing_list}, "
                f"prepare.folds: {folds}); {found} speaker{' was' if found == 1 else 's were'} found.\n"
                + _advice(rows, found, method, folds, is_fixed=not len(open_rows))
            )
    if method != "random":
        judged = splits if folds == 1 else np.where(splits == "train", fold_of.astype(str), splits)
        has_testing_list = any(given.split == "testing" and given.names for given in lists)
        check_speakers(rows, judged, is_fixed=bool(rows["split"].notna().any()), has_testing_list=has_testing_list)
    judging, training = (splits == "validation").sum(), (splits == "train").sum()
    if judging > training:
        print(
            f"Warning: {judging:,} clips judge and only {training:,} train. If that is not meant, set prepare.folds: "
            "then each clip does both."
        )
    return splits.astype(str), fold_of


def _advice(rows: pandas.DataFrame, speakers: int, method: Method, folds: int, is_fixed: bool) -> str:
    """Return what to do where nothing is left to train or to judge with; `is_fixed`: the source has said the splits."""
    if is_fixed and folds == 1:
        return _FIXED
    if speakers == 1 and not is_fixed and method != "random":
        whole = " and prepare.segments: false" if rows["recording"].notna().any() else ""
        return (
            f"One speaker cannot both train and judge: record another, or set prepare.splits: random{whole}, whose "
            "figures hold for this speaker only."
        )
    tries = ["prepare.splits: grouped"] if not is_fixed and method not in ("grouped", "random") else []
    tries += ["a smaller number in prepare.folds"] if folds > 1 else []
    told = f"Try {', or '.join(tries)} in params.yaml, or record more" if tries else "Record more"
    return f"{told}: each fold needs a speaker of its own, one fold two, a holdout one more, and some word two clips."


def _speakers(rows: pandas.DataFrame) -> pandas.Series:
    """Return who speaks each clip; a recording whose speaker is not known counts as one of its own."""
    return rows["speaker"].fillna(_recordings(rows))


def _recordings(rows: pandas.DataFrame) -> pandas.Series:
    """Return the recording that each clip is of: itself, unless it is a segment of one."""
    return rows["recording"].fillna(rows["clip"])


def _dealt(rows: pandas.DataFrame, pool: np.ndarray, folds: int, at_random: bool, seed: int) -> np.ndarray:
    """Return int [rows]: the rows of `pool` (bool [rows]) dealt into folds alike in words, the others -1.

    `at_random` deals clips, alike in words and speakers. Where there are too few, a fold stays without a clip.
    """
    fold_of = np.full(len(rows), NEVER_JUDGED)
    index = np.flatnonzero(pool)
    some = rows.iloc[index]
    if at_random:
        fold_of[index[_shuffled_by_stratum(some, seed)]] = np.arange(len(index)) % folds
        return fold_of
    groups = _speakers(some).to_numpy()
    words = some["word"].fillna("").to_numpy()
    if len(np.unique(groups)) >= folds:
        if pandas.Series(words).value_counts().max() < folds:
            words = np.full(len(words), "")  # too few clips of each word to be alike in
        for fold, clips in enumerate(_folding(groups, words, folds, seed)):
            fold_of[index[clips]] = fold
    return fold_of


def _folding(groups: np.ndarray, words: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Return the positions of the clips that each fold holds: groups kept together, folds alike in words."""
    # Here, since it takes a second to load, and the archive's lists and the hash need it not.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    # Where each clip is a group of its own both mean the same, and the one for groups takes minutes.
    alone = len(np.unique(groups)) == len(groups)
    folding = (StratifiedKFold if alone else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a word may have fewer clips than there are folds
        split = folding.split(np.zeros(len(groups)), words, None if alone else groups)
        return [judged for _, judged in split]


def _shuffled_by_stratum(rows: pandas.DataFrame, seed: int) -> np.ndarray:
    """Return the positions of the rows, shuffled, then sorted by word and speaker."""
    strata = rows["word"].fillna("").str.cat(rows["speaker"].fillna(""), sep="/").to_numpy()
    order = np.random.default_rng(seed).permutation(len(rows))
    return order[np.argsort(strata[order], kind="stable")]


def which_set(name: str) -> str:
    """Return the split of a speaker (or of a clip's file name) by the hash that made the official lists.

    Source: `which_set` in TensorFlow's examples/speech_commands/input_data.py, also printed in the README of the
    data set (Warden, "Speech Commands", 2018, arXiv:1804.03209), with its 10 % for validation and 10 % for testing.
    """
    speaker = re.sub(r"_nohash_.*$", "", name.rsplit("/", 1)[-1])
    hashed = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
    share = (hashed % (_MAX_NUM_WAVS_PER_CLASS + 1)) / _MAX_NUM_WAVS_PER_CLASS
    return "validation" if share < SHARE else "testing" if share < 2 * SHARE else "train"


def check_speakers(rows: pandas.DataFrame, splits: np.ndarray, is_fixed: bool, has_testing_list: bool) -> None:
    """Raise PipelineError if a speaker is in two splits; `is_fixed`: the source has said the splits, or some.

    Test clips count where their names tell the speaker: the official test set of Speech Commands is made of the
    speakers of the testing list, so that list must be held out, and may share its speakers with test.
    """
    speakers = rows["speaker"].to_numpy(dtype=object, na_value=None, copy=True)
    is_test = splits == "test"
    speakers[is_test] = [_speaker_in(clip) for clip in rows["clip"].to_numpy()[is_test]]
    known = pandas.DataFrame({"speaker": speakers, "split": np.where(is_test, "holdout", splits)}).dropna()
    shared = known.drop_duplicates().groupby("speaker").size()
    shared = sorted(shared.index[shared > 1])
    if not shared:
        return
    some = ", ".join(shared[:5]) + (", ..." if len(shared) > 5 else "")
    if set(speakers[is_test]) & set(shared):
        advice = (
            "This test set is made of the archive's testing list. Set prepare.testing_list: holdout in params.yaml "
            "(with prepare.splits: auto or lists)."
            if has_testing_list
            else "Leave their clips out of the training archive, or, if the names mean something else, name the test "
            "clips without _nohash_."
        )
        raise PipelineError(f"{len(shared)} speaker(s) of the test clips also train or validate: {some}.\n{advice}")
    advice = _FIXED if is_fixed else "Set prepare.splits: grouped in params.yaml."
    raise PipelineError(f"{len(shared)} speaker(s) are in two splits or folds: {some}.\n{advice}")


def _check_test_set(clips: np.ndarray, splits: np.ndarray, lists: list[SplitList]) -> None:
    names = frozenset[str]().union(*(given.names for given in lists if given.is_test_set))
    # Nothing in the test clips' own names need tell that they are the same recordings.
    leaking = sum(split != "holdout" and clip in names for clip, split in zip(clips, splits, strict=True))
    if leaking:
        raise PipelineError(
            f"{leaking} clips of the test set would also train or validate: this source's test set is made of the "
            "archive's\ntesting list. Set prepare.testing_list: holdout and prepare.splits: auto in params.yaml."
        )


def speakers_of(rows: pandas.DataFrame) -> set[str]:
    """Return all speakers that the rows tell of, those in the test clips' names too."""
    told = map(_speaker_in, rows["clip"][rows["part"] == "test"])
    return {*rows["speaker"].dropna(), *(speaker for speaker in told if speaker)}


def _speaker_in(name: str) -> str | None:
    match = _NAMED_SPEAKER.search(name)
    return match[1] if match else None


def _following(rows: pandas.DataFrame, splits: np.ndarray) -> np.ndarray:
    """Return `splits`; where the source has said one split of a speaker, all the speaker's training clips have it."""
    own = (rows["part"] == "train").to_numpy() & rows["speaker"].notna().to_numpy()
    told = pandas.DataFrame({"speaker": rows["speaker"], "split": splits})[own].dropna().drop_duplicates()
    one_each = told.drop_duplicates("speaker", keep=False).set_index("speaker")["split"]
    followed = rows["speaker"].map(one_each).to_numpy(dtype=object, na_value=None)
    return np.where(own & (splits == None), followed, splits)  # noqa: E711 (elementwise)


def _by_method(rows: pandas.DataFrame, lists: list[SplitList], method: Method, seed: int, folds: int) -> np.ndarray:
    # Segments of one recording stay together.
    clips = _recordings(rows).to_numpy()
    rows = rows.assign(clip=clips)
    if method not in ("lists", "auto"):
        return _unlisted(rows, method, seed)
    listed = named_by(clips, lists)
    is_open = listed == ""
    found = np.where(is_open, "train", listed).astype(object)
    if (listed == "validation").any() or (method == "lists" and folds > 1 and not is_open.all()):
        return found
    if method == "lists":
        raise PipelineError("The archive has no validation list. Set prepare.splits: hash or grouped in params.yaml.")
    if is_open.any():
        others = _unlisted(rows[is_open], method, seed)
        if not is_open.all():
            others[others == "testing"] = "train"  # the archive's own list has said what is for testing
        found[is_open] = others
    return found


def _unlisted(rows: pandas.DataFrame, method: Method, seed: int) -> np.ndarray:
    """Return the split of each row, whatever the archive's lists say."""
    clips = rows["clip"].to_numpy()
    if method in ("hash", "auto"):
        speakers = rows["speaker"].to_numpy(dtype=object, na_value=None)
        found = np.array([which_set(speaker or clip) for clip, speaker in zip(clips, speakers, strict=True)], object)
        low, high = HASH_SHARES_ALLOWED
        if method == "hash" or low <= np.mean(found == "validation") <= high:
            return found
    return _at_random(rows, seed) if method == "random" else _by_groups(rows, seed)


def _at_random(rows: pandas.DataFrame, seed: int) -> np.ndarray:
    found = np.full(len(rows), "train", object)
    # Every tenth of each stratum's shuffled clips; strata of fewer than ten share the tenths among them.
    order = _shuffled_by_stratum(rows, seed)
    turn = np.arange(len(rows)) % round(1 / SHARE)
    found[order[turn == 0]] = "validation"
    found[order[turn == round(1 / SHARE) // 2]] = "testing"
    return found


def _by_groups(rows: pandas.DataFrame, seed: int) -> np.ndarray:
    groups = rows["speaker"].fillna(rows["clip"]).to_numpy()
    words = rows["word"].fillna("")
    found = np.full(len(rows), "train", object)
    folds = min(round(1 / SHARE), len(np.unique(groups)), int(words.value_counts().max()))
    if folds < 2:
        return found
    # A speaker with half of all clips is a part alone, and should rather train.
    parts = sorted(_folding(groups, words.to_numpy(), folds, seed), key=lambda part: abs(len(part) - SHARE * len(rows)))
    for split, clips in zip(("validation", "testing")[: folds - 1], parts, strict=False):
        found[clips] = split
    return found
