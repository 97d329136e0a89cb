"""Curves of a training: written whatever the repository around them is like."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipeline.learners.callbacks import Curves


@pytest.mark.parametrize("commits", [0, 1])
def test_curves_are_written_in_a_repository_with_and_without_a_commit(commits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    for _ in range(commits):
        subprocess.run(["git", *who, "commit", "-qm", "first"], check=True)
    curves = Curves(tmp_path / "live")
    state = SimpleNamespace(is_world_process_zero=True, log_history=[], epoch=1.0)
    curves.on_train_begin(None, state, None)
    curves.on_log(None, state, None, logs={"loss": 0.5})
    curves.on_train_end(None, state, None)
    written = (tmp_path / "live" / "plots" / "metrics" / "train" / "loss.tsv").read_text()
    assert written.split() == ["step", "loss", "1", "0.5"]
