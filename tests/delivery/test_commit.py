import subprocess

from pipeline.delivery.commit import FILE, commit_of


def git(root, *words):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_commit_tells_whether_the_code_differs(tmp_path):
    assert commit_of(tmp_path) == ""
    git(tmp_path, "init")
    assert commit_of(tmp_path) == ""  # nothing committed yet
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "model.py").write_text("one")
    (tmp_path / "dvc.lock").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(tmp_path) == head
    # What a run itself writes is no change of the code.
    (tmp_path / "dvc.lock").write_text("two")
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "ledger.csv").write_text("time,run\n")
    assert commit_of(tmp_path) == head
    (tmp_path / "pipeline" / "model.py").write_text("two")
    assert commit_of(tmp_path) == f"{head}-dirty"


def test_commit_is_empty_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) == ""


def test_a_packed_project_names_its_commit(tmp_path):
    (tmp_path / FILE).write_text("c0ffee-dirty\n")
    assert commit_of(tmp_path) == "c0ffee-dirty"
