import csv
import io
import json
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import pytest

from pipeline.delivery import ledger
from pipeline.delivery.journal import Journal
from pipeline.delivery.scores import Scores
from pipeline.delivery.settings import Submit
from pipeline.errors import PipelineError
from pipeline.files import sha256_of
from pipeline.scoring import candidates
from pipeline.stages import submissions, submit
from tests.delivery.entrant import COMMIT, PARAMS
from tests.delivery.kaggle_server import COMPETITION, Fault


def table(capsys) -> list[dict[str, str]]:
    names, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_the_table(here, server, capsys):
    known = sha256_of(here.layout.submission("ast") / "submission.csv")
    ledger.append(here.layout.ledger, ledger.Row("t", "ast", "local", "0.84", "0.86", known, "", ""))
    submit.main(here.layout, "ast", "", wait=True)
    server.leaderboard = ["0.91060", "0.9", "0.85727", "0.8", "", "0.7"]
    server.page_size = 2
    capsys.readouterr()
    submissions.main(here.layout)
    (row,) = table(capsys)
    assert row == {
        "time": here.rows[1].time,
        "ref": "50000001",
        "run": "ast",
        "validation": "0.854",
        "local": "0.86000",
        "public": "0.84703",
        "private": "0.85727",
        "difference": "-0.01024",
        "rank": "3",
        "status": "complete",
        "message": here.rows[1].message,
        "file": str(here.layout.submissions / "0.85727_ast.csv"),
    }


def test_pending_failed_and_foreign_submissions(here, server, capsys):
    server.pending_lists = 2
    submit.main(here.layout, "ast")
    server.submissions += [
        {"ref": 1, "description": "by hand", "fileName": "mine.csv", "date": "2018-01-01T10:20:30Z", "status": "ERROR"},
        {
            "ref": 2,
            "description": "",
            "fileName": "x.csv",
            "status": "COMPLETE",
            "publicScore": "0.5",
            "privateScore": "",
        },
    ]
    server.submissions[1]["errorDescription"] = "no such clip"
    capsys.readouterr()
    submissions.main(here.layout)
    rows = {row["run"]: row for row in table(capsys)}
    assert rows["mine.csv"]["time"] == "2018-01-01T10:20:30+00:00"
    assert rows["mine.csv"]["status"] == "error: no such clip"
    assert (rows["x.csv"]["public"], rows["x.csv"]["private"], rows["x.csv"]["rank"]) == ("0.50000", "", "101")
    assert (rows["ast"]["public"], rows["ast"]["status"]) == ("", "pending")
    before = here.layout.ledger.read_text()
    server.pending_lists = server.submissions[0]["pending"] = 0
    submissions.main(here.layout)
    assert next(row for row in table(capsys) if row["run"] == "ast")["private"] == "0.85727"
    assert here.layout.submissions.joinpath("0.85727_ast.csv").exists()
    assert before.splitlines()[2:] == here.layout.ledger.read_text().splitlines()[2:]
    assert len(here.rows) == 3


def test_offline_shows_the_ledger(here, server, capsys):
    submit.main(here.layout, "ast", "", wait=True)
    here.configure({"attempts": 1})
    server.close()
    capsys.readouterr()
    submissions.main(here.layout)
    printed = capsys.readouterr()
    assert "0.85727" in printed.out
    assert "the ledger as it is here" in printed.err
    assert "cannot be reached" in printed.err


def test_without_credentials_the_table_comes_before_the_error(here, server, monkeypatch, capsys):
    submit.main(here.layout, "ast", "", wait=True)
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    capsys.readouterr()
    with pytest.raises(PipelineError, match="does not accept the key"):
        submissions.main(here.layout)
    assert "0.85727" in capsys.readouterr().out


def test_a_leaderboard_that_fails_leaves_the_rest(here, server, capsys):
    here.configure({"attempts": 1})
    submit.main(here.layout, "ast")
    server.plan("GetLeaderboard", Fault(status=503))
    capsys.readouterr()
    submissions.main(here.layout)
    assert "0.85727" in capsys.readouterr().out
    assert here.rows[0].status == "complete"


def test_nothing_yet(here, capsys):
    submissions.main(here.layout)
    assert "No submissions yet" in capsys.readouterr().err
    assert not here.layout.ledger.exists()


def test_what_was_interrupted_is_told(here, server, capsys):
    here.configure({"attempts": 1})
    server.plan("PUT", Fault(status=503))
    with pytest.raises(PipelineError):
        submit.main(here.layout, "ast")
    submissions.main(here.layout)
    assert "`submit ast` finishes it" in capsys.readouterr().err


@pytest.mark.parametrize("wait", [False, True])
def test_what_was_interrupted_and_then_submitted_by_another_clone_is_forgotten(here, server, capsys, wait):
    here.configure({"attempts": 1})
    server.plan("PUT", Fault(status=503))
    with pytest.raises(PipelineError):
        submit.main(here.layout, "ast")
    known = sha256_of(here.layout.submission("ast") / "submission.csv")
    entry = {"ref": 777, "description": f"ast | [{known[:10]}-01234567]", "status": "COMPLETE", "publicScore": "0.8"}
    server.submissions.append(entry)
    if wait:
        submit.main(here.layout, "ast", wait=True)
    else:
        with pytest.raises(PipelineError, match="very same file was submitted before"):
            submit.main(here.layout, "ast")
    capsys.readouterr()
    submissions.main(here.layout)
    assert "interrupted" not in capsys.readouterr().err
    assert server.asked("CreateSubmission") == []


def test_a_score_that_comes_after_kaggle_has_said_complete_is_kept(here, server):
    server.scores = ("", "")
    submit.main(here.layout, "ast", wait=True)
    sent = here.layout.submission("ast").joinpath("submission.csv").read_bytes()
    here.decide("ast", 5)
    server.submissions[0] |= {"publicScore": "0.8", "privateScore": "0.9"}
    submissions.main(here.layout)
    assert here.layout.submissions.joinpath("0.90000_ast.csv").read_bytes() == sent
    assert not any(here.layout.journal.iterdir())


def test_without_kaggle_it_does_not_say_that_there_are_none(here, server, capsys):
    here.configure({"attempts": 1})
    server.close()
    submissions.main(here.layout)
    said = capsys.readouterr().err
    assert "No submissions yet" not in said
    assert "whether Kaggle has any is not known" in said


# A ledger that Git has merged


def foreign_line(entrant) -> str:
    """The line that another clone writes of the submission, which does not know its file."""
    (row,) = entrant.rows
    values = replace(row, sha256="", commit="", params="")
    return ",".join(vars(values).values()) + "\n"


@pytest.mark.parametrize("merged", ["theirs", "ours, theirs", "theirs, ours"])
def test_what_made_a_submission_outlives_a_merge_while_its_score_is_open(here, server, capsys, merged):
    server.pending_lists = 1
    submit.main(here.layout, "ast")
    sent = here.layout.submission("ast").joinpath("submission.csv").read_bytes()
    header, ours = here.layout.ledger.read_text().splitlines(keepends=True)
    lines = {"ours": ours, "theirs": foreign_line(here)}
    here.layout.ledger.write_text(header + "".join(lines[name] for name in merged.split(", ")))
    here.decide("ast", 5)  # the file has changed since: the journal has the only copy
    server.submissions[0]["pending"] = 0
    capsys.readouterr()
    submissions.main(here.layout)
    assert len(table(capsys)) == 1
    assert len(set(here.rows)) == 1
    assert len(here.rows) == len(merged.split(", "))
    row = here.rows[0]
    assert (row.run, row.sha256, row.commit, row.params) == ("ast", sha256(sent).hexdigest(), COMMIT, PARAMS)
    assert (row.status, row.private) == ("complete", "0.85727")
    assert here.layout.submissions.joinpath("0.85727_ast.csv").read_bytes() == sent


def test_an_outage_after_a_merge_loses_no_file(here, server):
    """The other clone knew of the score already."""
    server.pending_lists = 1
    submit.main(here.layout, "ast")
    sent = here.layout.submission("ast").joinpath("submission.csv").read_bytes()
    theirs = foreign_line(here).replace("pending", "complete").replace(",kaggle,,", ",kaggle,0.84703,0.85727")
    here.layout.ledger.write_text(here.layout.ledger.read_text().splitlines(keepends=True)[0] + theirs)
    with Journal(here.layout.journal).alone() as journal:
        keep = candidates.keeper(here.layout.submissions, print)
        competition = SimpleNamespace(slug=COMPETITION)
        Scores(competition, journal, here.layout.ledger, Submit(), keep, print).sync([])
    assert here.rows[0].sha256 == sha256(sent).hexdigest()
    assert here.layout.submissions.joinpath("0.85727_ast.csv").read_bytes() == sent


# How it is shown


@pytest.fixture
def three(here, server):
    """Three submissions with different scores."""
    for shift, scores in enumerate([("0.81000", "0.83000"), ("0.85000", "0.80000"), ("0.82000", "")]):
        here.decide("ast", shift)
        server.scores = scores
        submit.main(here.layout, "ast", "a note with | and\ttab", wait=True, force=True)
    return here


@pytest.mark.parametrize("columns", ["40", "80"])
def test_figures_are_whole_in_a_pipe_of_any_width(three, columns, monkeypatch):
    three.credentials = {**three.credentials, "COLUMNS": columns}
    status, output = three.run("submissions", "--limit", "2")
    assert status == 0, output
    names, *rows = [line.split("\t") for line in output.splitlines() if "\t" in line]
    assert [len(row) for row in rows] == [len(names)] * 2
    rows = [dict(zip(names, row, strict=True)) for row in rows]
    assert [(row["public"], row["private"], row["ref"]) for row in rows] == [
        ("0.85000", "0.80000", "50000002"),
        ("0.82000", "", "50000003"),
    ]
    assert rows[0]["message"].startswith("ast | validation 0.854 | a note with | and tab | [")


def test_formats_for_programs_and_pages(three):
    status, output = three.run("submissions", "--format", "json", "--sort", "private")
    assert status == 0, output
    rows = json.loads(output[output.index("[\n") : output.rindex("]") + 1])
    assert [row["private"] for row in rows] == ["0.83000", "0.80000", ""]
    assert [row["run"] for row in rows] == ["ast"] * 3
    status, output = three.run("submissions", "--format", "csv", "--sort", "public", "--limit", "1")
    names, row = list(csv.reader(io.StringIO("\n".join(line for line in output.splitlines() if "," in line))))[:2]
    assert dict(zip(names, row, strict=True))["public"] == "0.85000"
    status, output = three.run("submissions", "--format", "md")
    lines = [line for line in output.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert "a note with \\| and tab" in lines[2]


def test_a_narrow_terminal_gets_a_wider_table_rather_than_cut_figures(three, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    capsys.readouterr()
    submissions.main(three.layout, "table")
    printed = capsys.readouterr().out
    for figure in ("0.81000", "0.83000", "-0.02000", "50000001", "0.854"):
        assert figure in printed
    assert "…" not in printed
