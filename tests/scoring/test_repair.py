import pytest

from pipeline.scoring.inspection import inspect
from pipeline.scoring.repair import repair
from tests.scoring.test_inspection import INVALID, LABELS, SAMPLE, SOUND

REPAIRED = {
    "label in capitals",
    "needless quotes",
    "CR LF",
    "one CR LF",
    "CR alone",
    "no newline at the end",
    "byte order mark",
}


@pytest.mark.parametrize("name", INVALID)
def test_what_is_certain_is_repaired_and_nothing_else_is_touched(name):
    data = INVALID[name][0]
    repaired, changes = repair(data, SAMPLE, LABELS)
    if name in REPAIRED:
        assert repaired == SOUND.encode()
        assert len(changes) == 1
    else:
        assert (repaired, changes) == (data, [])


def test_a_sound_file_stays():
    assert repair(SOUND.encode(), SAMPLE, LABELS) == (SOUND.encode(), [])


def test_the_order_is_the_samples():
    header, *rows = SOUND.splitlines(keepends=True)
    repaired, changes = repair((header + "".join(reversed(rows))).encode(), SAMPLE, LABELS)
    assert repaired == SOUND.encode()
    assert changes == ["the rows are in the order of the sample submission"]


def test_quotes_that_a_name_needs_stay():
    sample = ["a, b.wav", 'c"d.wav']
    sound = b'fname,label\n"a, b.wav",yes\n"c""d.wav",no\n'
    assert repair(sound, sample, LABELS) == (sound, [])
    assert repair(sound.replace(b"yes", b'"YES"'), sample, LABELS)[0] == sound


def test_a_last_label_that_may_be_cut_off_is_no_whole_one():
    labels = ["no", "nothing"]
    assert repair(b"fname,label\na.wav,no", ["a.wav"], labels)[1] == []
    assert repair(b"fname,label\na.wav,nothing", ["a.wav"], labels)[0] == b"fname,label\na.wav,nothing\n"


def test_what_is_left_is_still_found():
    data = SOUND.replace("no\n", "cat\r\n").encode()
    repaired, changes = repair(data, SAMPLE, LABELS)
    assert len(changes) == 1
    assert [problem.kind for problem in inspect(repaired, SAMPLE, LABELS).problems] == ["label"]
