import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.delivery.journal import Job, Journal, is_of, new_id
from pipeline.errors import PipelineError

SHA256 = "0123456789abcdef" * 4


def job(number: int = 0, **changes) -> Job:
    values = {"competition": "slug", "run": "ast", "sha256": SHA256, "message": "m", "commit": "", "params": ""}
    return Job(id=f"id-{number}", time=f"2026-11-21T00:00:0{number}", **{**values, **changes})


def test_jobs_come_back_as_they_were_noted(tmp_path):
    journal = Journal(tmp_path / "journal")
    with journal.alone():
        second = journal.open(job(2), b"two")
        first = journal.open(job(1), b"one")
        assert journal.jobs() == [first, second]
        made = journal.note(first, state="made", ref="7")
        assert Journal(tmp_path / "journal").jobs() == [made, second]
        assert (made.state, made.ref, made.mark) == ("made", "7", "[id-1]")
        assert journal.file(first).read_bytes() == b"one"
        journal.close(first)
        journal.close(first)  # a killed process may have been half through
        assert journal.jobs() == [second]
        assert not journal.file(first).exists()


def test_what_killed_processes_left_goes(tmp_path):
    journal = Journal(tmp_path)
    with journal.alone():
        journal.open(job(), b"kept")
    (tmp_path / "orphan.csv").write_bytes(b"its entry was never written")
    (tmp_path / ".id-0.123.part.json").write_text("{")
    with journal.alone():
        assert sorted(path.name for path in tmp_path.iterdir()) == ["id-0.csv", "id-0.json", "lock"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"id": "x"}'])
def test_a_foreign_file_is_named(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(PipelineError, match=r"x\.json is no job of `submit`"):
        Journal(tmp_path).jobs()


def test_one_at_a_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; from pipeline.delivery.journal import Journal\n"
        "with Journal(Path(sys.argv[1])).alone(): print('mine', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", code, str(tmp_path)]
    with Journal(tmp_path).alone():
        other = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.5)
    assert other.stdout.readline() == "mine\n"
    other.kill()
    other.communicate()
    with Journal(tmp_path).alone():
        pass


def test_an_id_tells_the_file():
    identity = new_id(SHA256)
    assert identity != new_id(SHA256)
    assert is_of(f"ast | [{identity}]", SHA256)
    assert not is_of(f"ast | [{identity}]", "f" * 64)
    assert not is_of("ast by hand", SHA256)


def test_folders_that_cannot_be_opened_are_no_failure(tmp_path, monkeypatch):
    """As on Windows."""
    real = os.open

    def refusing(path, *arguments, **options):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    journal = Journal(tmp_path / "journal")
    with journal.alone():
        opened = journal.open(job(), b"one", b"picture")
        assert journal.jobs() == [opened]
        assert journal.picture(opened).read_bytes() == b"picture"
        journal.close(opened)
    assert not any(journal.folder.iterdir())


def test_a_job_of_an_earlier_version_is_read(tmp_path):
    journal = Journal(tmp_path)
    noted = journal.open(job(), b"one")
    path = tmp_path / "id-0.json"
    values = json.loads(path.read_text())
    del values["target"]
    path.write_text(json.dumps(values))
    assert journal.jobs() == [noted]
