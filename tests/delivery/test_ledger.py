import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.delivery import ledger
from pipeline.errors import PipelineError

OLD_HEADER = "time,run,scoreboard,public,private,sha256,commit,params\n"
HEADER = OLD_HEADER.rstrip() + ",ref,status,message,reason\n"
ROW = ledger.Row("2026-11-21T00:00:00+00:00", "ast", "local", "0.84703", "0.85727", "aa", "c0ffee-dirty", "bb")


def test_rows_come_back_as_they_were(tmp_path):
    path = tmp_path / "submissions" / "ledger.csv"
    assert ledger.read(path) == []
    assert ledger.append(path, ROW)
    other = replace(ROW, run="wav2vec2, small", public="", private="")
    assert ledger.append(path, other)
    assert ledger.read(path) == [ROW, other]
    assert path.read_text().startswith(
        HEADER + "2026-11-21T00:00:00+00:00,ast,local,0.84703,0.85727,aa,c0ffee-dirty,bb,,,,\n"
    )


def test_the_same_score_is_written_once(tmp_path):
    path = tmp_path / "ledger.csv"
    ledger.append(path, ROW)
    before = path.read_bytes()
    assert not ledger.append(path, replace(ROW, time="later", commit="other"))
    assert path.read_bytes() == before
    for change in ({"run": "x"}, {"scoreboard": "kaggle"}, {"sha256": "x"}, {"params": "x"}):
        assert ledger.append(path, replace(ROW, **change))
    assert len(ledger.read(path)) == 5


def test_foreign_rows_stay_byte_for_byte(tmp_path):
    path = tmp_path / "ledger.csv"
    foreign = (
        HEADER + '2017,"AST",kaggle,0.84703,0.857270,"",,,,,,\r\n\n2018,x,kaggle,,,,,,,,,'
    )  # no newline at the end
    path.write_bytes(foreign.encode())
    ledger.append(path, ROW)
    assert path.read_bytes() == (foreign + "\n" + ",".join(vars(ROW).values()) + "\n").encode()
    assert [row.run for row in ledger.read(path)] == ["AST", "x", "ast"]


PENDING = replace(ROW, scoreboard="kaggle", public="", private="", ref="7", status="pending", message="ast | [id]")


def test_a_pending_row_is_completed_in_its_place(tmp_path):
    path = tmp_path / "ledger.csv"
    foreign = '2017,"AST",local,0.84703,0.857270,"",,,,,,\r\n'
    path.write_bytes((HEADER + foreign).encode())
    assert ledger.record(path, [PENDING, ROW]) == 2
    complete = replace(PENDING, public="0.8", private="0.9", status="complete")
    assert ledger.record(path, [complete]) == 1
    assert ledger.record(path, [complete]) == 0
    assert ledger.read(path)[1:] == [complete, ROW]
    assert path.read_bytes().startswith((HEADER + foreign).encode())


def test_two_submissions_of_one_file_are_two_rows(tmp_path):
    path = tmp_path / "ledger.csv"
    assert ledger.append(path, PENDING)
    assert not ledger.append(path, replace(PENDING, status="complete"))
    assert ledger.append(path, replace(PENDING, ref="8"))
    assert ledger.append(path, replace(PENDING, scoreboard="local", ref=""))
    assert [row.ref for row in ledger.read(path)] == ["7", "8", ""]


def test_two_lines_of_one_submission_are_both_brought_up_to_date(tmp_path):
    """Git's merge may keep both; no row is ever removed."""
    path = tmp_path / "ledger.csv"
    ledger.append(path, PENDING)
    path.write_text(path.read_text() + path.read_text().splitlines()[1].replace("ast", "mine.csv") + "\n")
    complete = replace(PENDING, public="0.8", private="0.9", status="complete")
    assert ledger.record(path, [complete]) == 2
    assert ledger.record(path, [complete]) == 0
    assert ledger.read(path) == [complete, complete]


def test_of_two_lines_of_one_submission_the_one_that_knows_its_file_tells_what_made_it():
    foreign = replace(PENDING, run="x.csv", sha256="", commit="", params="", public="0.8", status="complete")
    whole = replace(PENDING, public="0.8", status="complete")
    assert ledger.submissions([ROW, PENDING, foreign]) == [whole]
    assert ledger.submissions([foreign, whole, ROW]) == [whole]
    by_hand = replace(foreign, ref="")
    assert ledger.submissions([by_hand, by_hand]) == [by_hand, by_hand]


def test_an_older_ledger_gets_the_new_columns(tmp_path):
    path = tmp_path / "ledger.csv"
    path.write_text(OLD_HEADER + '2017,"a, b",kaggle,0.84703,0.857270,"",,\n2018,x,local,,,,,')
    before = ledger.read(path)
    assert [row.run for row in before] == ["a, b", "x"]
    assert path.read_text().startswith(OLD_HEADER)  # reading changes nothing
    ledger.append(path, PENDING)
    assert path.read_text().startswith(HEADER + '2017,"a, b",kaggle,0.84703,0.857270,,,,,,,\n2018,x,local,,,,,,,,,\n')
    assert ledger.read(path) == [*before, PENDING]


@pytest.mark.parametrize(
    ("text", "message"), [("run,score\n", "must begin"), ("", "must begin"), (HEADER + "a,b\n", "found 2 in")]
)
def test_a_ledger_of_another_shape_is_left_alone(tmp_path, text, message):
    path = tmp_path / "ledger.csv"
    path.write_text(text)
    with pytest.raises(PipelineError, match=message):
        ledger.append(path, ROW)
    assert path.read_text() == text


WRITER = """
import sys
from pathlib import Path
from pipeline.delivery import ledger
path, writer = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    ledger.append(path, ledger.Row("t", f"{writer}-{number}", "local", "", "", "x" * 64, "", "y" * 64))
"""


def start(path: Path, writer: str, rows: int) -> subprocess.Popen:
    root = Path(ledger.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", WRITER, str(path), writer, str(rows)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_kill_9_leaves_whole_rows(tmp_path):
    path = tmp_path / "ledger.csv"
    for attempt in range(3):
        process = start(path, f"attempt{attempt}", 1_000_000)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1 + 0.07 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        text = path.read_text()
        assert text.endswith("\n")
        rows = [row for row in csv.reader(text.splitlines()) if row[1].startswith(f"attempt{attempt}-")]
        assert [row[1] for row in rows] == [f"attempt{attempt}-{number}" for number in range(len(rows))]
        assert rows
        assert ledger.append(path, replace(ROW, run=f"after {attempt}"))  # the dead process's lock is gone
        assert [file.name for file in tmp_path.iterdir()] == ["ledger.csv"]


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "ledger.csv"
    processes = [start(path, writer, 40) for writer in "ab"]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert sorted(row.run for row in ledger.read(path)) == sorted(f"{w}-{n}" for w in "ab" for n in range(40))
