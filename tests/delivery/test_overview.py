import csv
import io
import json
from dataclasses import replace

import pytest

from pipeline.delivery import ledger
from pipeline.delivery.overview import Line, chosen, lines, rendered

ROW = ledger.Row("2026-01-01T00:00:00+00:00", "ast", ledger.KAGGLE, "0.84703", "0.85727", "aa", "", "", "7", "complete")
BOARD = [0.91, 0.85727, 0.8]


def line(**changes) -> Line:
    (made,) = lines([replace(ROW, **changes)], BOARD, lambda row: ("", ""))
    return made


def test_a_row_becomes_a_line():
    local = ledger.Row("t", "ast", "local", "0.84", "", "aa", "", "")
    (made,) = lines([local, ROW], BOARD, lambda row: ("0.854", "submissions/0.85727_ast.csv"))
    assert (made.validation, made.local, made.difference, made.rank) == ("0.854", "0.84000", "-0.01024", "2")
    assert made.file == "submissions/0.85727_ast.csv"
    assert line(message="ast | validation 0.911 | [id]").validation == "0.911"
    assert line(status="error", reason="no rows").status == "error: no rows"


def test_a_submission_that_a_merge_has_left_twice_is_shown_once():
    assert [
        one.ref for one in lines([ROW, replace(ROW, sha256=""), replace(ROW, ref="8")], [], lambda row: ("", ""))
    ] == [
        "7",
        "8",
    ]


@pytest.mark.parametrize("score", ["", "nan", "0,85727", "good"])
def test_what_is_no_score_is_none(score):
    """Spreadsheets and people write into ledgers."""
    local = replace(ROW, scoreboard="local", public=score, private=score, ref="")
    made = lines([local, replace(ROW, public=score, private=score)], BOARD, lambda row: ("", ""))
    assert [(one.local, one.public, one.private, one.difference, one.rank) for one in made] == [("",) * 5]
    assert chosen(made, "local", None) == made


def test_the_order_and_how_many():
    made = [
        line(ref="1", time="2026-01-01", private="0.8"),
        line(ref="2", time="2026-01-03", private=""),
        line(ref="3", time="2026-01-02", private="0.9"),
    ]

    def refs(sort, limit=None):
        return [one.ref for one in chosen(made, sort, limit)]

    assert refs("time") == ["1", "3", "2"]
    assert refs("time", 2) == ["3", "2"]
    assert refs("private") == ["3", "1", "2"]
    assert refs("private", 1) == ["3"]
    assert refs("rank") == ["3", "1", "2"]
    assert refs("run") == ["1", "3", "2"]
    assert chosen([], "private", 3) == []


def test_every_format_holds_every_value():
    made = [line(message='a "note"\n| with, all\tof it')]
    told = 'a "note" | with, all of it'
    names = [*vars(made[0])]
    assert json.loads(rendered(made, "json"))[0]["message"] == told
    assert list(csv.reader(io.StringIO(rendered(made, "csv"))))[1][names.index("message")] == told
    assert rendered(made, "text").splitlines()[1].split("\t")[names.index("message")] == told
    assert told.replace("|", "\\|") in rendered(made, "md")
    assert rendered([], "json") == "[]\n"
    assert rendered([], "csv").count("\n") == 1


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_a_table_of_any_width_cuts_nothing(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    text = rendered([line(message="a rather long message " * 3)], "table")
    for figure in ("0.84703", "0.85727", "-0.01024", "2026-01-01 00:00", " 7 "):
        assert figure in text
    assert "…" not in text
