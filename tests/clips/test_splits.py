import numpy as np
import pandas
import pytest

from pipeline.clips.recording import SplitList
from pipeline.clips.splits import assign, which_set
from pipeline.errors import PipelineError


def table(clips, part="train", split=None):
    """Rows for training names such as yes/anna_nohash_0.wav."""
    return pandas.DataFrame(
        {
            "clip": clips,
            "part": part,
            "split": pandas.array([split] * len(clips), "str"),
            "word": [clip.split("/")[0] for clip in clips],
            "speaker": [clip.split("/")[1].split("_")[0] if "_nohash_" in clip else None for clip in clips],
        }
    )


def speakers(count, words=("yes", "no", "cat")):
    return [f"{word}/{speaker:08x}_nohash_0.wav" for speaker in range(count) for word in words]


def listed(split, names, **about):
    return SplitList(split, frozenset(names), **about)


CLIPS = speakers(10)
LISTS = [listed("validation", CLIPS[:3]), listed("testing", CLIPS[3:6])]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        # From the lists in the official archive.
        ("bed/026290a7_nohash_0.wav", "validation"),
        ("right/a69b9b3e_nohash_0.wav", "validation"),
        ("bed/0c40e715_nohash_0.wav", "testing"),
        ("right/bb05582b_nohash_3.wav", "testing"),
        ("bed/00176480_nohash_0.wav", "train"),
    ],
)
def test_the_hash_is_the_official_one(name, split):
    assert which_set(name) == split
    assert which_set(name.split("/")[1].split("_")[0]) == split


@pytest.mark.parametrize("method", ["auto", "lists"])
def test_the_lists_of_the_archive_are_followed(method):
    splits = assign(table(CLIPS), LISTS, method, "holdout", 0)
    assert splits.tolist() == ["validation"] * 3 + ["testing"] * 3 + ["train"] * 24


@pytest.mark.parametrize("fate", ["train", "validation"])
def test_the_testing_list_becomes_what_is_asked(fate):
    splits = assign(table(CLIPS), LISTS, "lists", fate, 0)
    assert splits[3:6].tolist() == [fate] * 3


def test_auto_without_lists_takes_the_hash():
    clips = speakers(200)
    splits = assign(table(clips), [], "auto", "holdout", 0)
    assert splits.tolist() == [which_set(clip) for clip in clips]


def test_auto_groups_where_the_hash_gives_a_useless_share():
    clips = [clip for clip in speakers(300) if which_set(clip) == "train"]
    rows = table(clips)
    splits = assign(rows, [], "auto", "holdout", 0)
    shares = pandas.Series(splits).value_counts(normalize=True)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)
    assert shares["testing"] == pytest.approx(0.1, abs=0.02)
    assert rows.groupby("speaker")["clip"].count().max() == 3
    assert pandas.Series(splits).groupby(rows["speaker"].to_numpy()).nunique().max() == 1


def test_groups_are_stratified_over_words_and_seeded():
    clips = speakers(100, words=("yes", "no")) + [f"cat/{speaker:08x}_nohash_1.wav" for speaker in range(50)]
    rows = table(clips)
    splits = assign(rows, [], "grouped", "train", 1)
    of_word = pandas.crosstab(rows["word"], splits, normalize="index")["validation"]
    assert of_word.between(0.05, 0.15).all()
    np.testing.assert_array_equal(splits, assign(rows, [], "grouped", "train", 1))
    assert (splits != assign(rows, [], "grouped", "train", 2)).any()


def test_clips_without_a_speaker_are_speakers_of_their_own():
    rows = table([f"yes/{number}.wav" for number in range(40)])
    assert rows["speaker"].isna().all()
    splits = assign(rows, [], "grouped", "train", 0)
    assert (splits == "validation").sum() == 4


def test_two_speakers_can_be_grouped():
    splits = assign(table(speakers(2)), [], "grouped", "train", 0)
    assert sorted(splits) == ["train"] * 3 + ["validation"] * 3


def test_a_split_of_the_source_wins():
    rows = table(CLIPS)
    rows["split"] = ["validation"] * 3 + ["train"] * 27
    assert assign(rows, LISTS, "grouped", "train", 0).tolist() == rows["split"].tolist()


def test_test_clips_stay_test():
    rows = pandas.concat([table(CLIPS), table(["test/clip_1.wav"], part="test")], ignore_index=True)
    assert assign(rows, LISTS, "auto", "train", 0).tolist()[-1] == "test"


def test_a_speaker_in_two_splits_is_refused():
    with pytest.raises(PipelineError, match=r"(?s)00000000.*prepare\.splits: grouped"):
        assign(table(CLIPS), [listed("validation", CLIPS[:2])], "lists", "train", 0)


@pytest.mark.parametrize("fate", ["train", "validation"])
def test_a_test_set_made_of_the_testing_list_must_be_held_out(fate):
    rows = pandas.concat([table(CLIPS), table(CLIPS[3:5], part="test")], ignore_index=True)
    rows.loc[rows["part"] == "test", ["speaker", "word"]] = None
    with pytest.raises(PipelineError, match=r"(?s)00000001.*testing_list: holdout"):
        assign(rows, LISTS, "lists", fate, 0)
    assert assign(rows, LISTS, "lists", "holdout", 0).tolist()[-2:] == ["test", "test"]


@pytest.mark.parametrize(
    ("method", "fate"), [("auto", "train"), ("lists", "validation"), ("hash", "train"), ("grouped", "holdout")]
)
def test_a_test_set_of_other_names_must_be_held_out_too(method, fate):
    # Such as clip_03b48ad28d27.wav of speech_commands: the speakers cannot be compared.
    rows = pandas.concat([table(CLIPS), table(["clip_1.wav"], part="test")], ignore_index=True)
    lists = [LISTS[0], listed("testing", CLIPS[3:6], is_test_set=True)]
    with pytest.raises(PipelineError, match=r"(?s)^\d clips of the test set.*testing_list: holdout.*splits: auto"):
        assign(rows, lists, method, fate, 0)
    assert assign(rows, lists, "auto", "holdout", 0)[3:6].tolist() == ["testing"] * 3


@pytest.mark.parametrize(
    ("clips", "lists", "method", "reason"),
    [
        (CLIPS, [], "lists", "no validation list"),
        (CLIPS, [listed("testing", CLIPS[:3])], "lists", "no validation list"),
        (CLIPS, [listed("validation", ["yes/other_nohash_0.wav"])], "lists", "names none of its clips"),
        (CLIPS, [listed("validation", CLIPS)], "lists", "No clip is left for train"),
        (speakers(1), [], "grouped", "No clip is left for validation"),
    ],
)
def test_what_cannot_be_split_says_why(clips, lists, method, reason):
    with pytest.raises(PipelineError, match=reason):
        assign(table(clips), lists, method, "train", 0)
