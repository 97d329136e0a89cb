"""Text that is no UTF-8, wherever it comes from, costs no submission its record."""

import os
import shutil

import pytest

from pipeline.delivery import ledger
from pipeline.delivery.journal import Job, Journal, new_id
from pipeline.files import sha256_of
from tests.delivery.entrant import Entrant
from tests.delivery.kaggle_server import COMPETITION, KaggleServer

ODD = os.fsdecode(b"\xe9t\xe9")  # what Python makes of bytes in Latin-1


def name_the_file(entrant: Entrant, server: KaggleServer) -> list[str]:
    path = entrant.root / f"soumission_{ODD}.csv"
    shutil.copy(entrant.write("mine.csv"), path)
    return [path.name]


def write_a_message(entrant: Entrant, server: KaggleServer) -> list[str]:
    return ["ast", "--message", ODD]


def describe_another(entrant: Entrant, server: KaggleServer) -> list[str]:
    server.submissions.append({"ref": 7, "description": "cut emoji \ud83d", "fileName": "x.csv", "status": "ERROR"})
    return ["ast"]


@pytest.mark.parametrize("arrange", [name_the_file, write_a_message, describe_another])
def test_what_is_not_utf_8_is_submitted_once_and_recorded(entrant, server, arrange):
    status, output = entrant.run("submit", *arrange(entrant, server), "--wait")
    assert status == 0, output
    ours = [row for row in entrant.rows if row.ref != "7"]
    assert [row.status for row in ours] == ["complete"]
    assert not any(entrant.layout.journal.iterdir())
    assert list(entrant.layout.submissions.glob(f"0.85727_{ours[0].run}.csv"))
    entrant.decide("words", 1)
    assert entrant.run("submit", "words")[0] == 0
    for _ in range(2):
        assert entrant.run("submissions")[0] == 0
    assert len([row for row in entrant.rows if row.ref != "7"]) == len(server.asked("CreateSubmission")) == 2


def test_a_terminal_that_knows_no_accents_costs_no_record(entrant, server):
    """As with LANG=C in a job of cron."""
    entrant.credentials = {**server.key(), "PYTHONIOENCODING": "ascii"}
    status, output = entrant.run("submit", "ast", "--message", "caf\u00e9 \u2603", "--wait")
    assert status == 0, output
    row = entrant.assert_submitted_once()
    assert "caf\u00e9 \u2603" in row.message
    assert "caf? ?" in output
    assert entrant.run("submissions")[0] == 0


def test_what_an_earlier_version_could_not_write_down_is_written_down(entrant, server):
    path = entrant.write("mine.csv")
    sha256 = sha256_of(path)
    identity = new_id(sha256)
    message = f"?t? | [{identity}]"
    job = Job(identity, COMPETITION, ODD, sha256, message, "2026-11-01T00:00:00+00:00", "", "", "made", ref="7")
    Journal(entrant.layout.journal).open(job, path.read_bytes())
    scores = {"publicScore": "0.80000", "privateScore": "0.90000"}
    server.submissions.append({"ref": 7, "description": message, "status": "COMPLETE", **scores})
    status, output = entrant.run("submissions")
    assert status == 0, output
    (row,) = entrant.rows
    assert (row.ref, row.run, row.sha256, row.private) == ("7", "?t?", sha256, "0.90000")
    assert (entrant.layout.submissions / "0.90000_?t?.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["KAGGLE_API_TOKEN", "KAGGLE_KEY"])
def test_a_secret_that_is_not_utf_8_is_an_error_in_words(entrant, server, name):
    secret = f"KGAT_{ODD}abcdef12345"
    entrant.credentials = {**server.key(), name: secret}
    for words in (["kaggle", "check"], ["submit", "ast"]):
        status, output = entrant.run(*words)
        assert status == 1
        assert output.startswith("error: ")
        assert "Traceback" not in output
        assert "abcdef12345" not in output
    status, output = entrant.run("validate", str(entrant.layout.submission("ast") / "submission.csv"))
    assert status == 0, output
    assert server.submissions == []


def test_the_ledger_takes_any_text(tmp_path):
    path = tmp_path / "ledger.csv"
    row = ledger.Row("t", f"a{ODD}", ledger.KAGGLE, "", "", "aa", "", "", "7")
    assert ledger.append(path, row)
    assert [found.run for found in ledger.read(path)] == ["a?t?"]
