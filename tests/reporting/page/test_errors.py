import numpy as np
import pytest

from pipeline.reporting.page import cells, errors
from pipeline.reporting.page.clipbook import ClipBook
from tests.judged_clips import corpus_of
from tests.reporting.page.evidence import evidence_of

LABELS = ["yes", "no", "unknown", "silence"]
WORDS = ["yes", "yes", "no", "cat", "cat", "dog", "_silence_", "no"]
TRUTH = [0, 0, 1, 2, 2, 2, 3, 1]
VALUES = [
    [0.9, 0.1, 0.0, 0.0],
    [0.1, 0.8, 0.1, 0.0],  # a yes taken for a no
    [0.3, 0.6, 0.1, 0.0],
    [0.7, 0.1, 0.2, 0.0],  # a cat that passes for a yes
    [0.6, 0.1, 0.3, 0.0],  # another
    [0.0, 0.1, 0.9, 0.0],
    [0.0, 0.0, 0.0, 1.0],
    [0.0, 0.49, 0.51, 0.0],  # torn
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    clips = [
        {"clip": f"{place}.wav", "word": word, "speaker": "ann" if place < 6 else "bob", "fold": 0}
        for place, word in enumerate(WORDS)
    ]
    return corpus_of(tmp_path_factory.mktemp("errors"), clips, ("yes", "no"))


@pytest.fixture
def evidence():
    return evidence_of(VALUES, TRUTH, labels=LABELS, speakers=["ann"] * 6 + ["bob"] * 2)


def names(book, numbers):
    return [book.entries[number]["name"] for number in numbers]


def test_the_worst_errors_are_those_of_which_the_run_was_surest(corpus, evidence):
    book = ClipBook(corpus, 100, True)
    found = errors.worst(evidence, book, [evidence])
    assert names(book, [each["clip"] for each in found]) == ["1.wav", "3.wav", "4.wav", "7.wav"]
    assert (found[0]["true"], found[0]["decided"]) == ("yes", "no")
    assert found[0]["probability"] == pytest.approx(0.8)
    assert book.entries[found[0]["clip"]]["by"] == {"run": ["no", 0.8, "yes", 0.1]}
    assert set(book.media) == {str(each["clip"]) for each in found}


def test_the_most_torn_comes_first(corpus, evidence):
    book = ClipBook(corpus, 100, True)
    first = errors.torn(evidence, book, [])[0]
    assert names(book, [first["clip"]]) == ["7.wav"]
    assert first["between"] == [["unknown", 0.51], ["no", 0.49]]


def test_unknown_words_that_pass_are_told_by_word_with_what_they_pass_for(corpus, evidence):
    book = ClipBook(corpus, 100, True)
    (cat,) = errors.passing(evidence, corpus, book, [])
    assert (cat["word"], cat["passed"], cat["clips"], cat["as"]) == ("cat", 2, 2, [("yes", 2)])
    assert names(book, cat["heard"]) == ["3.wav", "4.wav"]


def test_where_no_unknown_word_passes_none_is_told(corpus):
    right = np.eye(4)[TRUTH].tolist()
    assert errors.passing(evidence_of(right, TRUTH, labels=LABELS), corpus, ClipBook(corpus, 100, True), []) == []


def test_a_speaker_of_few_clips_is_not_judged(corpus, evidence):
    (ann,) = errors.speakers(evidence, ClipBook(corpus, 100, True), [])
    assert (ann["speaker"], ann["right"], ann["clips"]) == ("ann", 3, 6)
    assert ann["low"] < 0.5 < ann["high"]


def test_cells_list_the_surest_errors_and_the_least_sure_of_the_right(corpus, evidence):
    book = ClipBook(corpus, 100, True)
    found = cells.cells(evidence, book)
    assert names(book, [number for number, _ in found["2,0"]]) == ["3.wav", "4.wav"]
    assert set(found) == {"0,0", "0,1", "1,1", "1,2", "2,0", "2,2", "3,3"}
    assert len(cells.cells(evidence, book, of_each=1)["2,0"]) == 1


def test_as_many_clips_are_carried_as_there_is_room_for(corpus, evidence):
    book = ClipBook(corpus, 2, True)
    cells.carry_errors(evidence, book, [evidence])
    assert len(book.media) == 2
    assert not book.has_room
    assert "2,0" in cells.cells(evidence, book)  # named all the same
    silent = ClipBook(corpus, 100, False)
    errors.worst(evidence, silent, [])
    assert silent.media == {}
    assert silent.carry_made(np.zeros(16_000, np.int16), "Gain", "yes") is None
