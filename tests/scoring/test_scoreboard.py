import pandas
import pytest

from pipeline.errors import PipelineError
from pipeline.files import sha256_of
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


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "submissions"
    made.mkdir()
    return made


def written(folder, text, picture=""):
    path = folder.parent / "submission.csv"
    path.write_text(text)
    path.with_suffix(".png").write_text(picture)
    return path, sha256_of(path)


def content(folder):
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_keep_moves_the_same_file_and_spares_all_others(folder):
    spared = {
        "0.80000_ast.csv": "another submission",
        "0.80000_big_ast.csv": "now",  # of the run big_ast
        "best_ast.csv": "now",  # somebody's own
        "0.80000_ast.png": "picture",
        "ledger.csv": "rows",
    }
    for name, text in {**spared, "0.70000_ast.csv": "now", "0.70000_ast.png": "its picture"}.items():
        (folder / name).write_text(text)
    path, sha256 = written(folder, "now")
    kept = folder / "0.85727_ast.csv"
    for _ in range(2):
        assert scoreboard.keep(folder, "ast", "0.85727", sha256, path) == kept
        assert content(folder) == {**spared, "0.85727_ast.csv": "now", "0.85727_ast.png": "its picture"}
    assert scoreboard.find(folder, "ast", sha256) == kept


def test_files_with_one_score_are_all_kept_and_found_by_their_checksum(folder):
    found = {}
    for text in ("one", "two", "three"):
        path, sha256 = written(folder, text, f"picture of {text}")
        for _ in range(2):
            kept = scoreboard.keep(folder, "ast", "0.82678", sha256, path, path.with_suffix(".png"))
        found[sha256] = text
        assert kept.name == ("0.82678_ast.csv" if text == "one" else f"0.82678_ast-{sha256[:8]}.csv")
    assert len(content(folder)) == 6
    for sha256, text in found.items():
        kept = scoreboard.find(folder, "ast", sha256)
        assert kept.read_text() == text
        assert kept.with_suffix(".png").read_text() == f"picture of {text}"


def test_what_is_nowhere_is_not_kept(folder):
    assert scoreboard.keep(folder, "ast", "0.85727", "ab" * 32) is None
    assert scoreboard.find(folder, "ast", "") is None
    assert content(folder) == {}
