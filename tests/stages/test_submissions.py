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


def table(capsys) -> list[list[str]]:
    printed = capsys.readouterr().out.splitlines()
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in printed if line.startswith("│")]


def test_the_table(here, server, capsys):
    sha256 = sha256_of(here.layout.submission("ast") / "submission.csv")
    ledger.append(here.layout.ledger, ledger.Row("t", "ast", "local", "0.84", "0.86", sha256, "", ""))
    submit.main(here.layout, "ast", "", wait=True)
    server.leaderboard = ["0.91060", "0.9", "0.85727", "0.8", "", "0.7"]
    server.page_size = 2
    capsys.readouterr()
    submissions.main(here.layout)
    time = here.rows[1].time[:16].replace("T", " ")
    assert table(capsys) == [[time, "ast", "0.854", "0.86", "0.84703", "0.85727", "-0.01024", "3", "complete"]]


def test_pending_failed_and_foreign_submissions(here, server, capsys):
    server.pending_lists = 1
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
    rows = {row[1]: row for row in table(capsys)}
    assert rows["mine.csv"][0] == "2018-01-01 10:20"
    assert rows["mine.csv"][-1] == "error: no such clip"
    assert rows["x.csv"][4:] == ["0.50000", "-", "-", "101", "complete"]
    assert rows["ast"][4:] == ["-", "-", "-", "-", "pending"]
    before = here.layout.ledger.read_text()
    submissions.main(here.layout)
    assert next(row for row in table(capsys) if row[1] == "ast")[5] == "0.85727"
    assert here.layout.submissions.joinpath("0.85727_ast.csv").exists()
    assert before.splitlines()[2:] == here.layout.ledger.read_text().splitlines()[2:]
    assert len(here.rows) == 3


def test_offline_shows_the_ledger(here, server, capsys):
    submit.main(here.layout, "ast", "", wait=True)
    here.configure({"attempts": 1})
    server.close()
    capsys.readouterr()
    submissions.main(here.layout)
    printed = capsys.readouterr().out
    assert "0.85727" in printed
    assert "the ledger as it is here" in printed
    assert "cannot be reached" in printed


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
    assert "No submissions yet" in capsys.readouterr().out
    assert not here.layout.ledger.exists()


def test_what_was_interrupted_is_told(here, server, capsys):
    here.configure({"attempts": 1})
    server.plan("PUT", Fault(status=503))
    with pytest.raises(PipelineError):
        submit.main(here.layout, "ast")
    submissions.main(here.layout)
    assert "`submit ast` finishes it" in capsys.readouterr().out
