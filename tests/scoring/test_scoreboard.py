import pandas
import pytest

from pipeline.errors import PipelineError
from pipeline.scoring import scoreboard

LABELS = ["yes", "unknown", "silence"]
ANSWERS = pandas.DataFrame(
    {
        "fname": ["a", "b", "c", "d", "e"],
        "label": ["yes", "yes", "silence", "unknown", "yes"],
        "usage": ["Public", "Private", "Private", "Private", "Public"],
    }
)
PREDICTED = {"a": "yes", "b": "yes", "c": "yes", "d": "unknown", "e": "silence", "not judged": "yes"}


def test_both_parts_are_scored_apart():
    assert scoreboard.score(PREDICTED, ANSWERS) == scoreboard.Score(0.5, 2 / 3, 2, 3)


def test_a_part_without_clips_has_no_score():
    private = ANSWERS[ANSWERS["usage"] == "Private"]
    assert scoreboard.score(PREDICTED, private) == scoreboard.Score(None, 2 / 3, 0, 3)


def test_a_missing_prediction_is_refused():
    with pytest.raises(PipelineError, match="1 clips of the answers have no row in the submission, such as b"):
        scoreboard.score({name: label for name, label in PREDICTED.items() if name != "b"}, ANSWERS)


def test_answers_without_rows_are_unknown(tmp_path):
    (tmp_path / "answers.csv").write_text("fname,label,usage\n")
    assert scoreboard.read_answers(tmp_path / "answers.csv", LABELS) is None


def test_answers_are_read_as_they_are(tmp_path):
    ANSWERS.to_csv(tmp_path / "answers.csv", index=False)
    assert scoreboard.read_answers(tmp_path / "answers.csv", LABELS).to_dict() == ANSWERS.to_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fname,label\na,yes\n", "must have the columns"),
        ("fname,label,usage\na,cat,Public\n", "column label: found cat"),
        ("fname,label,usage\na,yes,public\n", "column usage: found public"),
        ("fname,label,usage\na,yes,Public\na,yes,Private\n", "1 clips more than once"),
    ],
)
def test_bad_answers_are_refused(tmp_path, text, message):
    (tmp_path / "answers.csv").write_text(text)
    with pytest.raises(PipelineError, match=message):
        scoreboard.read_answers(tmp_path / "answers.csv", LABELS)
