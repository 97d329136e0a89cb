import numpy as np
import pandas
import pytest

from pipeline.clips.noise import NEVER_JUDGED
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
            "recording": pandas.array([None] * len(clips), "str"),
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
    splits, folds = assign(table(CLIPS), LISTS, method, "holdout", 0)
    assert splits.tolist() == ["validation"] * 3 + ["holdout"] * 3 + ["train"] * 24
    assert folds.tolist() == [0] * 3 + [NEVER_JUDGED] * 27


@pytest.mark.parametrize("fate", ["train", "validation"])
def test_the_testing_list_becomes_what_is_asked(fate):
    splits, _ = assign(table(CLIPS), LISTS, "lists", fate, 0)
    assert splits[3:6].tolist() == [fate] * 3


@pytest.mark.parametrize("lists", [[], [SplitList("validation", frozenset())]], ids=["none", "empty"])
def test_auto_without_lists_takes_the_hash(lists):
    clips = speakers(200)
    splits, _ = assign(table(clips), lists, "auto", "holdout", 0)
    assert splits.tolist() == ["holdout" if (split := which_set(clip)) == "testing" else split for clip in clips]


def test_auto_groups_where_the_hash_gives_a_useless_share():
    clips = [clip for clip in speakers(300) if which_set(clip) == "train"]
    rows = table(clips)
    splits, _ = assign(rows, [], "auto", "holdout", 0)
    shares = pandas.Series(splits).value_counts(normalize=True)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)
    assert shares["holdout"] == pytest.approx(0.1, abs=0.02)
    assert rows.groupby("speaker")["clip"].count().max() == 3
    assert pandas.Series(splits).groupby(rows["speaker"].to_numpy()).nunique().max() == 1


def test_groups_are_stratified_over_words_and_seeded():
    clips = speakers(100, words=("yes", "no")) + [f"cat/{speaker:08x}_nohash_1.wav" for speaker in range(50)]
    rows = table(clips)
    splits, _ = assign(rows, [], "grouped", "train", 1)
    of_word = pandas.crosstab(rows["word"], splits, normalize="index")["validation"]
    assert of_word.between(0.05, 0.15).all()
    np.testing.assert_array_equal(splits, assign(rows, [], "grouped", "train", 1)[0])
    assert (splits != assign(rows, [], "grouped", "train", 2)[0]).any()


def test_clips_without_a_speaker_are_speakers_of_their_own():
    rows = table([f"yes/{number}.wav" for number in range(40)])
    assert rows["speaker"].isna().all()
    splits, _ = assign(rows, [], "grouped", "train", 0)
    assert (splits == "validation").sum() == 4


def test_two_speakers_can_be_grouped():
    splits, _ = assign(table(speakers(2)), [], "grouped", "train", 0)
    assert sorted(splits) == ["train"] * 3 + ["validation"] * 3


def test_a_split_of_the_source_wins():
    rows = table(CLIPS)
    rows["split"] = ["validation"] * 3 + ["train"] * 27
    assert assign(rows, LISTS, "grouped", "train", 0)[0].tolist() == rows["split"].tolist()


def test_test_clips_stay_test():
    rows = pandas.concat([table(CLIPS), table(["test/clip_1.wav"], part="test")], ignore_index=True)
    assert assign(rows, LISTS, "auto", "train", 0)[0].tolist()[-1] == "test"


def test_a_speaker_in_two_splits_is_refused():
    with pytest.raises(PipelineError, match=r"(?s)00000000.*prepare\.splits: grouped"):
        assign(table(CLIPS), [listed("validation", CLIPS[:2])], "lists", "train", 0)
    fixed = table(CLIPS)
    fixed["split"] = ["validation"] * 2 + ["train"] * 28
    with pytest.raises(PipelineError, match=r"(?s)00000000.*section download") as error:
        assign(fixed, [], "auto", "train", 0)
    assert "grouped" not in str(error.value)


def test_random_folds_do_not_part_the_segments_of_a_source_that_has_said_its_splits():
    rows = table([f"{clip}#00{part}" for clip in CLIPS for part in range(2)])
    rows["recording"] = [clip.split("#")[0] for clip in rows["clip"]]
    rows["split"] = "train"
    with pytest.raises(PipelineError, match="would part the segments of a recording"):
        assign(rows, [], "random", "train", 0, folds=2)


@pytest.mark.parametrize("fate", ["train", "validation"])
def test_a_test_set_made_of_the_testing_list_must_be_held_out(fate):
    rows = pandas.concat([table(CLIPS), table(CLIPS[3:5], part="test")], ignore_index=True)
    rows.loc[rows["part"] == "test", ["speaker", "word"]] = None
    with pytest.raises(PipelineError, match=r"(?s)00000001.*testing_list: holdout"):
        assign(rows, LISTS, "lists", fate, 0)
    assert assign(rows, LISTS, "lists", "holdout", 0)[0].tolist()[-2:] == ["test", "test"]


@pytest.mark.parametrize(
    ("method", "fate"), [("auto", "train"), ("lists", "validation"), ("hash", "train"), ("grouped", "holdout")]
)
def test_a_test_set_of_other_names_must_be_held_out_too(method, fate):
    # Such as clip_03b48ad28d27.wav of speech_commands: the speakers cannot be compared.
    rows = pandas.concat([table(CLIPS), table(["clip_1.wav"], part="test")], ignore_index=True)
    lists = [LISTS[0], listed("testing", CLIPS[3:6], is_test_set=True)]
    refusal = r"(?s)^\d clips of the test set.*testing_list: holdout.*splits: auto"
    with pytest.raises(PipelineError, match=refusal):
        assign(rows, lists, method, fate, 0)
    # In segments, the clips are called like their recording and a number.
    segments = rows.assign(recording=rows["clip"].where(rows["part"] == "train"))
    segments["clip"] += "#000"
    with pytest.raises(PipelineError, match=refusal):
        assign(segments, lists, method, fate, 0)
    assert assign(rows, lists, "auto", "holdout", 0)[0][3:6].tolist() == ["holdout"] * 3


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


ALONE = (
    "One speaker cannot both train and judge: record another, or set prepare.splits: random, whose figures hold for "
    "this speaker only."
)


@pytest.mark.parametrize(("method", "folds"), [("auto", 1), ("grouped", 1), ("hash", 1), ("auto", 2), ("grouped", 3)])
def test_one_speaker_is_told_to_record_another_and_the_way_out_works(method, folds):
    rows = table([f"{word}/anna_nohash_{number}.wav" for word in WORDS for number in range(10)])
    with pytest.raises(PipelineError) as error:
        assign(rows, [], method, "train", 0, folds)
    first, advice = str(error.value).split("\n")
    assert first.startswith("No clip is left for ")
    assert first.endswith("; 1 speaker was found.")
    assert advice == ALONE
    splits, fold_of = assign(rows, [], "random", "train", 0, folds)
    assert "train" in splits
    assert set(range(folds)) <= set(fold_of)


def test_one_speaker_in_segments_is_not_sent_where_segments_are_refused():
    rows = table([f"yes/anna_nohash_{number}.wav#000" for number in range(10)])
    rows["recording"] = [clip.removesuffix("#000") for clip in rows["clip"]]
    with pytest.raises(
        PipelineError, match=r"record another, or set prepare\.splits: random and prepare\.segments: false"
    ):
        assign(rows, [], "auto", "train", 0)


def test_advice_never_names_what_is_set_already_or_what_the_source_has_fixed():
    few = table(["yes/anna_nohash_0.wav", "no/bob_nohash_0.wav"])
    with pytest.raises(PipelineError, match="; 2 speakers were found") as error:
        assign(few, [], "grouped", "train", 0)
    assert "Try prepare.splits: grouped" not in str(error.value)
    with pytest.raises(PipelineError, match=r"Try prepare\.splits: grouped"):
        assign(table(CLIPS), [listed("validation", CLIPS)], "lists", "train", 0)
    fixed = table(CLIPS, split="train")
    with pytest.raises(PipelineError, match="The source itself says which clips train and which judge") as error:
        assign(fixed, [], "auto", "train", 0)
    assert "Try prepare.splits" not in str(error.value)
    with pytest.raises(PipelineError, match=r"No clip is left for fold 0.*1 speaker was found") as error:
        assign(table(speakers(1), split="train"), [], "auto", "train", 0, 2)
    assert "prepare.splits: random" not in str(error.value)


def test_the_clips_of_a_recording_stay_together():
    rows = table([f"yes/{number}.wav#{segment:03}" for number in range(40) for segment in range(3)])
    rows["recording"] = [clip.split("#")[0] for clip in rows["clip"]]
    for method, folds in (("grouped", 1), ("auto", 1), ("hash", 1), ("grouped", 5), ("auto", 5)):
        splits, fold_of = assign(rows, [], method, "holdout", 0, folds)
        parts = pandas.DataFrame({"split": splits, "fold": fold_of}).groupby(rows["recording"]).nunique()
        assert parts.eq(1).all(axis=None), method


WORDS = ("yes", "no", "cat")
SPEAKERS = 60


def folded(method="auto", fate="train", folds=5, seed=0, rows=None, lists=()):
    rows = table(speakers(SPEAKERS, WORDS)) if rows is None else rows
    splits, fold_of = assign(rows, list(lists), method, fate, seed, folds)
    return rows, splits, fold_of


@pytest.mark.parametrize("method", ["auto", "hash", "grouped"])
@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_a_speaker_is_in_one_fold_and_the_folds_are_alike_in_words(method, folds):
    rows, splits, fold_of = folded(method, folds=folds)
    assert (splits == "train").all()
    assert set(fold_of) == set(range(folds))
    assert pandas.Series(fold_of).groupby(rows["speaker"]).nunique().eq(1).all()
    counts = pandas.crosstab(rows["word"], fold_of)
    assert (counts.to_numpy() >= SPEAKERS // folds - 1).all()
    assert (counts.to_numpy() <= SPEAKERS // folds + 1).all()


def test_folds_of_speakers_with_different_words_are_alike_in_words():
    clips = [clip for clip in speakers(90, WORDS) if not clip.startswith("cat") or int(clip[4:12], 16) % 3 == 0]
    rows, _, fold_of = folded("grouped", rows=table(clips))
    counts = pandas.crosstab(rows["word"], fold_of)
    assert counts.loc["cat"].between(5, 7).all()
    assert counts.loc["yes"].between(16, 20).all()


def test_folds_are_a_function_of_the_seed():
    _, _, first = folded(seed=1)
    np.testing.assert_array_equal(first, folded(seed=1)[2])
    assert (first != folded(seed=2)[2]).any()


@pytest.mark.parametrize("method", ["lists", "auto"])
def test_a_list_of_the_archive_tells_the_holdout_and_the_validation_list_is_dealt_out_with_the_others(method):
    clips = speakers(20)
    lists = [listed("validation", clips[:3]), listed("testing", clips[3:9])]
    rows, splits, fold_of = folded(method, "holdout", 4, rows=table(clips), lists=lists)
    assert np.flatnonzero(splits == "holdout").tolist() == [3, 4, 5, 6, 7, 8]
    assert (fold_of[3:9] == NEVER_JUDGED).all()
    others = np.r_[0:3, 9 : len(rows)]
    assert (splits[others] == "train").all()
    assert set(fold_of[others]) == {0, 1, 2, 3}
    _, splits, fold_of = folded(method, "validation", 4, rows=table(clips), lists=lists)
    assert (splits == "train").all()
    assert (fold_of >= 0).all()


@pytest.mark.parametrize("method", ["hash", "grouped", "random"])
def test_what_a_method_holds_out_is_in_no_fold(method):
    rows, splits, fold_of = folded(method, "holdout", rows=table(speakers(300)))
    assert 0.05 < (splits == "holdout").mean() < 0.2
    assert ((splits == "holdout") == (fold_of == NEVER_JUDGED)).all()
    if method != "random":
        held = set(rows["speaker"][splits == "holdout"])
        assert not held & set(rows["speaker"][splits == "train"])


def test_random_folds_hold_each_speaker_alike():
    rows = table([f"{word}/{speaker:08x}_nohash_{n}.wav" for word in WORDS for speaker in range(4) for n in range(10)])
    _, splits, fold_of = folded("random", rows=rows)
    assert (splits == "train").all()
    assert (pandas.crosstab([rows["word"], rows["speaker"]], fold_of).to_numpy() == 2).all()


@pytest.mark.parametrize(
    ("method", "names"), [("random", speakers(4)), ("grouped", [f"{w}/{w}.wav" for w in "abcdef"])]
)
def test_words_of_fewer_clips_than_folds_are_dealt_too(method, names):
    _, _, fold_of = folded(method, folds=3, rows=table(names))
    assert set(np.bincount(fold_of)) == {len(names) // 3}


def test_a_split_of_the_source_tells_the_holdout_and_test_clips_are_in_no_fold():
    clips = speakers(10)
    rows = pandas.concat([table(clips), table(["test/clip_1.wav"], part="test")], ignore_index=True)
    rows["split"] = [*["holdout"] * 3, *["validation"] * 3, *["train"] * 24, None]
    _, splits, fold_of = folded(folds=3, rows=rows)
    assert splits.tolist() == ["holdout"] * 3 + ["train"] * 27 + ["test"]
    assert (fold_of == NEVER_JUDGED).tolist() == [True] * 3 + [False] * 27 + [True]


@pytest.mark.parametrize(
    ("clips", "method", "folds"),
    [
        (speakers(3), "grouped", 4),
        (speakers(3), "hash", 10),
        (["yes/a.wav", "no/b.wav"], "grouped", 3),
        (["yes/a.wav", "no/b.wav"], "random", 3),
    ],
)
def test_too_few_speakers_or_clips_for_the_folds_are_told(clips, method, folds):
    with pytest.raises(PipelineError) as error:
        folded(method, "train", folds, rows=table(clips))
    assert "prepare.folds" in str(error.value)


def test_a_test_set_that_shares_speakers_with_the_folds_is_refused():
    rows = pandas.concat([table(CLIPS), table(CLIPS[3:5], part="test")], ignore_index=True)
    rows.loc[rows["part"] == "test", ["speaker", "word"]] = None
    with pytest.raises(PipelineError, match=r"(?s)00000001.*testing_list: holdout"):
        folded("lists", "train", 3, rows=rows, lists=LISTS)
    _, splits, fold_of = folded("lists", "holdout", 3, rows=rows, lists=LISTS)
    assert splits[-2:].tolist() == ["test", "test"]
    assert (fold_of[-2:] == NEVER_JUDGED).all()


def test_clips_without_a_word_are_dealt_too():
    rows = table([f"{number}/x.wav" for number in range(40)])
    rows["word"] = pandas.array([None] * 40, "str")
    _, _, fold_of = folded("grouped", folds=4, rows=rows)
    assert np.bincount(fold_of).tolist() == [10, 10, 10, 10]
    assert (assign(rows, [], "grouped", "holdout", 0)[0] == "validation").sum() == 4


def test_groups_of_speakers_with_different_words_are_alike_in_words():
    clips = [clip for clip in speakers(90) if not clip.startswith("cat") or int(clip[4:12], 16) % 3 == 0]
    for seed in range(4):
        splits, _ = assign(rows := table(clips), [], "grouped", "train", seed)
        assert pandas.crosstab(rows["word"], splits).loc["cat", "validation"] == 3


@pytest.mark.parametrize(
    ("fate", "becomes"), [("holdout", "holdout"), ("validation", "validation"), ("train", "train")]
)
@pytest.mark.parametrize("folds", [1, 3])
def test_a_testing_list_alone_is_followed(fate, becomes, folds):
    clips = speakers(40)
    splits, _ = assign(table(clips), [listed("testing", clips[3:6])], "auto", fate, 0, folds)
    others = np.delete(splits, [3, 4, 5])
    if folds == 1:
        assert set(splits[3:6]) == {becomes}
        assert set(others) == {"train", "validation"}
        assert 0.03 < (others == "validation").mean() < 0.25
    else:
        assert set(splits[3:6]) == {"holdout" if fate == "holdout" else "train"}
        assert set(others) == {"train"}
    _, by_lists = assign(table(clips), [listed("testing", clips[3:6])], "lists", "holdout", 0, 3)
    assert (np.flatnonzero(by_lists == NEVER_JUDGED) == [3, 4, 5]).all()


def test_names_of_a_list_that_are_no_clips_are_told_and_clips_in_both_lists_refused(capsys):
    names = [*CLIPS[:3], CLIPS[6].replace(".wav", ".WAV")]
    assign(table(CLIPS), [listed("validation", names), LISTS[1]], "auto", "train", 0)
    told = "Of 4 names in the archive's validation list, 1 are no clip that can be used, such as "
    assert told + CLIPS[6].replace(".wav", ".WAV") in capsys.readouterr().out
    with pytest.raises(PipelineError, match=rf"(?s)3 clips are both in .* such as {CLIPS[0]}"):
        assign(table(CLIPS), [LISTS[0], listed("testing", CLIPS[:3])], "auto", "holdout", 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_speaker_with_most_of_the_clips_trains(seed, capsys):
    clips = [
        f"{word}/teacher_nohash_{number}.wav" for word, count in (("yes", 30), ("no", 20)) for number in range(count)
    ]
    clips += [f"{word}/{name}_nohash_{number}.wav" for word in ("yes", "no") for name in "abcd" for number in range(4)]
    rows = table(clips)
    splits, _ = assign(rows, [], "grouped", "train", seed)
    assert set(rows["speaker"][splits == "validation"]) < set("abcd")
    assert "Warning" not in capsys.readouterr().out


def test_where_more_clips_judge_than_train_it_is_told(capsys):
    clips = speakers(4)
    assign(table(clips), [listed("validation", clips[:9])], "lists", "train", 0)
    assert "Warning: 9 clips judge and only 3 train" in capsys.readouterr().out


def test_where_the_source_has_said_some_splits_of_a_speaker_the_others_follow():
    rows = table(speakers(30))
    rows["split"] = [*["validation", None, None], *["train", None, None], *[None] * 84]
    splits, _ = assign(rows, [], "grouped", "train", 0)
    assert splits[:6].tolist() == ["validation"] * 3 + ["train"] * 3


def test_a_speaker_of_the_test_clips_who_trains_too_is_told_what_can_be_done():
    rows = pandas.concat([table(CLIPS), table(["yes/00000001_nohash_9.wav"], part="test")], ignore_index=True)
    with pytest.raises(PipelineError, match=r"00000001\.\nLeave their clips out of the training archive") as error:
        assign(rows, [], "grouped", "train", 0)
    assert "testing_list" not in str(error.value)
