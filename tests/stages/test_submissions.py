import pytest

from pipeline.delivery import ledger
from pipeline.errors import PipelineError
from pipeline.files import sha256_of
from pipeline.stages import submissions, submit
from tests.delivery.entrant import Entrant
from tests.delivery.kaggle_server import Fault, KaggleServer


@pytest.fixture
def server():
    with KaggleServer() as server:
        yield server


@pytest.fixture
def here(tmp_path, server, monkeypatch):
    entrant = Entrant(tmp_path, server)
    entrant.move_in(monkeypatch)
    return entrant


def table(capsys) -> list[dict[str, str]]:
    names, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_the_table(here, server, capsys):
    sha256 = sha256_of(here.layout.submission("ast") / "submission.csv")
    ledger.append(here.layout.ledger, ledger.Row("t", "ast", "local", "0.84", "0.86", sha256, "", ""))
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
        "local": "0.86",
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
