import numpy as np
import pytest

from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.intake import Intake
from pipeline.clips.noise import NEVER_JUDGED
from pipeline.clips.recording import Recording, SplitList
from pipeline.errors import PipelineError
from tests.wavs import coded

GOOD = coded(np.full(16_000, 100, np.int16))


def trained(name, data=GOOD, **given):
    return Recording("train", name, data, **{"word": name.split("/")[0], "speaker": "anna", **given})


@pytest.fixture
def writer(tmp_path):
    with CorpusWriter(tmp_path) as writer:
        yield writer


def lines(intake):
    return [(line.part, line.clip, line.action) for line in intake.quarantine]


def test_a_good_clip_becomes_a_row_and_leaves_no_line(writer):
    intake = Intake(writer, None)
    intake.take(trained("yes/a.wav"))
    intake.take(trained("no/a.wav", split="validation"))
    intake.take(Recording("test", "t.wav", GOOD, word="yes", speaker="anna"))
    assert intake.quarantine == []
    rows = writer.rows
    assert rows["clip"].tolist() == ["yes/a.wav", "no/a.wav", "t.wav"]
    assert rows["word"].tolist()[:2] == ["yes", "no"]
    assert rows["split"].isna().tolist() == [True, False, True]
    assert rows.loc[2, ["word", "speaker"]].isna().all()  # what a test clip says is nobody's business


@pytest.mark.parametrize("data", [b"", b"no sound at all", GOOD[:20], coded(np.zeros(0, np.int16))])
def test_an_unreadable_file_is_excluded_from_training_and_silenced_in_the_test(writer, data):
    intake = Intake(writer, None)
    intake.take(trained("yes/bad.wav", data))
    intake.take(Recording("test", "bad.wav", data))
    assert lines(intake) == [("train", "yes/bad.wav", "excluded"), ("test", "bad.wav", "silenced")]
    assert all(line.reason for line in intake.quarantine)
    assert writer.rows[["clip", "readable"]].values.tolist() == [["bad.wav", False]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (coded(np.full((44_100, 2), 100, np.int16), 44_100), "44100 Hz"),
        (coded(np.full(48_000, 100, np.int16)), "3.00 s"),
    ],
)
def test_a_clip_of_another_shape_is_converted_and_named(writer, data, reason):
    intake = Intake(writer, None)
    intake.take(Recording("test", "odd.wav", data))
    assert lines(intake) == [("test", "odd.wav", "converted")]
    assert reason in intake.quarantine[0].reason
    assert writer.rows["readable"].tolist() == [True]


def test_the_sample_submission_decides_which_test_clips_there_are(writer):
    intake = Intake(writer, ["b.wav", "lost.wav", "a.wav"])
    for name in ("a.wav", "extra.wav", "b.wav"):
        intake.take(Recording("test", name, GOOD))
    assert intake.complete(1) == ["b.wav", "lost.wav", "a.wav"]
    assert lines(intake) == [("test", "extra.wav", "excluded"), ("test", "lost.wav", "silenced")]
    assert writer.rows[["clip", "readable"]].values.tolist() == [["a.wav", True], ["b.wav", True], ["lost.wav", False]]


def test_without_a_sample_submission_names_are_sorted(writer):
    intake = Intake(writer, None)
    for name in ("b.wav", "a.wav"):
        intake.take(Recording("test", name, GOOD))
    assert intake.complete(0) == ["a.wav", "b.wav"]


def test_a_second_file_of_a_name_is_excluded(writer):
    intake = Intake(writer, None)
    for part in ("train", "test"):
        intake.take(Recording(part, "a.wav", GOOD, word="yes"))
        intake.take(Recording(part, "a.wav", GOOD, word="yes"))
    assert lines(intake) == [("train", "a.wav", "excluded"), ("test", "a.wav", "excluded")]
    assert len(writer.rows) == 2


def test_a_training_clip_without_a_word_is_excluded(writer):
    intake = Intake(writer, None)
    intake.take(trained("stray.wav", word=None))
    assert lines(intake) == [("train", "stray.wav", "excluded")]


def test_noise_is_cut_and_is_no_row(writer):
    intake = Intake(writer, None)
    intake.take(trained("noise/long.wav", coded(np.arange(30_000, dtype=np.int16).repeat(4)), word=None, is_noise=True))
    for name in ("noise/beep.wav", "noise/click.wav"):
        intake.take(trained(name, GOOD, word=None, is_noise=True))
    intake.take(trained("noise/own.wav", GOOD, word=None, is_noise=True, split="validation"))
    intake.take(trained("noise/bad.wav", b"", word=None, is_noise=True))
    assert [noise.name for noise in writer.noises(NEVER_JUDGED)] == ["noise/long.wav", "noise/beep.wav"]
    judging = [noise.name for noise in writer.noises(0)]
    assert judging == ["noise/long.wav", "noise/click.wav", "noise/own.wav"]
    assert lines(intake) == [("train", "noise/bad.wav", "excluded")]
    assert len(writer.rows) == 0


def test_noise_is_dealt_into_the_folds(writer):
    intake = Intake(writer, None, folds=3)
    long = coded(np.arange(30_000, dtype=np.int16).repeat(4))
    intake.take(trained("noise/long.wav", long, word=None, is_noise=True))
    for name in ("noise/a.wav", "noise/b.wav", "noise/c.wav", "noise/d.wav"):
        intake.take(trained(name, GOOD, word=None, is_noise=True, split="train"))
    assert [[noise.name[6:-4] for noise in writer.noises(fold)] for fold in range(3)] == [
        ["long", "a", "d"],
        ["long", "b"],
        ["long", "c"],
    ]


def test_segments_inherit_all_that_is_known_of_their_recording(writer):
    intake = Intake(writer, ["t.wav"], segments=True)
    samples = np.arange(39_000) // 16_000 * 100
    known = {"tags": ("Dog",), "metadata": {"room": "hall"}, "split": "validation"}
    intake.take(trained("a.wav", coded(samples.astype(np.int16)), word="cat", **known))
    intake.take(trained("b.wav", coded(np.ones(3_000, np.int16)), word="cat"))
    intake.take(Recording("test", "t.wav", coded(np.ones(40_000, np.int16))))
    rows = writer.rows
    assert rows["clip"].tolist() == ["a.wav#000", "a.wav#001", "b.wav#000", "t.wav"]
    assert rows["recording"].fillna("").tolist() == ["a.wav", "a.wav", "b.wav", ""]
    assert rows["room"].fillna("").tolist() == ["hall", "hall", "", ""]
    assert rows["split"].fillna("").tolist() == ["validation", "validation", "", ""]
    assert [list(tags) for tags in rows["tags"][:2]] == [["Dog"], ["Dog"]]
    assert rows["speaker"].fillna("").tolist() == ["anna"] * 3 + [""]


def test_lists_are_collected_wherever_they_come(writer):
    intake = Intake(writer, None)
    given = SplitList("validation", frozenset({"yes/a.wav"}))
    intake.take(trained("yes/a.wav"))
    intake.take(given)
    assert intake.lists == [given]


def test_a_sample_submission_that_names_a_clip_twice_is_refused(writer):
    with pytest.raises(PipelineError, match=r"twice: a\.wav"):
        Intake(writer, ["a.wav", "b.wav", "a.wav"])


COMPOSED, DECOMPOSED = "\u00e9t\u00e9", "e\u0301te\u0301"


def test_composed_and_decomposed_letters_are_the_same_name(writer):
    intake = Intake(writer, [f"{DECOMPOSED}.wav", "b.wav"])
    intake.take(trained(f"{DECOMPOSED}/a.wav", word=DECOMPOSED, speaker=DECOMPOSED, tags=(DECOMPOSED,)))
    intake.take(trained(f"{COMPOSED}/a.wav"))
    intake.take(SplitList("validation", frozenset({f"{DECOMPOSED}/a.wav"})))
    for name in (f"{COMPOSED}.wav", f"{DECOMPOSED}.wav", "b.wav"):
        intake.take(Recording("test", name, GOOD))
    # The submission has the names that the sample has.
    assert intake.complete(1) == [f"{DECOMPOSED}.wav", "b.wav"]
    assert lines(intake) == [("train", f"{COMPOSED}/a.wav", "excluded"), ("test", f"{DECOMPOSED}.wav", "excluded")]
    first = writer.rows.iloc[0]
    assert (first["clip"], first["word"], first["speaker"]) == (f"{COMPOSED}/a.wav", COMPOSED, COMPOSED)
    assert list(first["tags"]) == [COMPOSED]
    assert intake.lists[0].names == {f"{COMPOSED}/a.wav"}
    assert writer.rows["clip"].tolist()[1:] == [f"{DECOMPOSED}.wav", "b.wav"]
    with pytest.raises(PipelineError, match="names clips twice"):
        Intake(writer, [f"{COMPOSED}.wav", f"{DECOMPOSED}.wav"])


@pytest.mark.parametrize("name", ["", " a.wav", "a.wav ", "a\nb.wav", "a\r.wav", "\u00a0a.wav"])
def test_a_test_clip_that_no_submission_can_name_is_refused_at_once(writer, name):
    with pytest.raises(PipelineError, match="cannot be named in a submission"):
        Intake(writer, ["b.wav", name])
    with pytest.raises(PipelineError, match="Rename it"):
        Intake(writer, None).take(Recording("test", name, GOOD))


def given(writer, sample, names, silent=()):
    intake = Intake(writer, sample)
    for name in names:
        intake.take(Recording("test", name, b"" if name in silent else GOOD))
    return intake


def test_too_many_lost_test_clips_are_refused_with_a_name_from_each_side(writer):
    sample = [f"clip_{number}.wav" for number in range(100)]
    deeper = [f"more/{name}" for name in sample]
    with pytest.raises(PipelineError) as error:
        given(writer, sample, deeper).complete(0.02)
    assert str(error.value).splitlines() == [
        "Of 100 test clips, 100 cannot be used, and 100 other files were left out; 2 in all may be "
        "(prepare.max_lost_share: 0.02). Such as",
        "  'more/clip_0.wav': not in the sample submission",
        "  'clip_0.wav': in the sample submission, but not in the archive",
        "Is this the right test archive, and the sample submission of the same clips (section download)?",
    ]


@pytest.mark.parametrize(
    ("sample", "names", "silent", "share", "refused"),
    [
        (100, range(98), (), 0.02, False),
        (100, range(97), (), 0.02, True),
        (100, range(97), (), 0.03, False),
        (100, range(100), range(3), 0.02, True),
        (100, range(103), (), 0.02, True),
        (None, range(100), range(3), 0.02, True),
        (None, range(100), range(2), 0.02, False),
        (40, range(40), range(1), 0.02, False),  # a broken number of clips counts as one more
        (40, range(39), (), 0, True),
        (2, range(5), (), 1, False),  # all may be lost
        (3, (), (), 1, True),  # nothing at all is no test archive
        (None, (), (), 0.02, False),  # a source without test clips
    ],
)
def test_how_many_test_clips_may_be_lost(writer, sample, names, silent, share, refused):
    intake = given(writer, sample and [f"{number}" for number in range(sample)], map(str, names), set(map(str, silent)))
    if refused:
        with pytest.raises(PipelineError, match=r"cannot be used, .*prepare\.max_lost_share"):
            intake.complete(share)
    else:
        intake.complete(share)
