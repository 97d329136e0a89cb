"""A project with runs that are ready to be submitted, and the account of its owner; both the tests' own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.clips.labels import COMMANDS
from pipeline.delivery import ledger
from pipeline.files import sha256_of, write_json
from pipeline.layout import Layout
from pipeline.scoring import provenance
from tests.conftest import heed_ctrl_c
from tests.delivery.kaggle_server import KaggleServer

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = [*COMMANDS, "unknown", "silence"]
CLIPS = [f"clip_{number:04x}.wav" for number in range(1, 61)]
# What `decide` has noted of its file.
COMMIT, PARAMS = "c0ffee" * 6 + "c0ff", "ab" * 32
QUICK = {"call_s": 5.0, "stall_s": 5.0, "attempts": 4, "pause_s": 0.02}


class Entrant:
    """`root` is the project, `home` the home folder beside it; `credentials` are variables of its processes."""

    def __init__(self, folder: Path, server: KaggleServer) -> None:
        self.root, self.home = folder / "project", folder / "home"
        self.layout = Layout(self.root)
        self.server = server
        self.credentials = server.key()
        for path in (self.home, self.layout.prepare):
            path.mkdir(parents=True)
        self.configure()
        self.layout.prepare.joinpath("sample.csv").write_text("fname\n" + "".join(f"{clip}\n" for clip in CLIPS))
        write_json(self.layout.prepare / "corpus.json", {"source": "archives", "commands": list(COMMANDS)})
        self.decide("ast", 0)

    def configure(self, patience: dict[str, Any] | None = None, **submit: Any) -> None:
        """Write params.yaml with these values in the section `submit`."""
        quick = {"lookups_s": [0.05, 0.05, 0.1], "poll_s": 0.05, "wait_limit_s": 20.0}
        section = {**quick, **submit, "patience": {**QUICK, **(patience or {})}}
        tree = {"seed": 1, "runs": {"ast": {"model": "ast"}, "words": {"model": "wav2vec2"}}, "submit": section}
        self.layout.params.write_text(yaml.safe_dump(tree))

    def decide(self, run: str, shift: int) -> Path:
        """Write a submission of `run`; another `shift` makes another file."""
        path = self.layout.submission(run) / "submission.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{clip},{LABELS[(place + shift) % len(LABELS)]}\n" for place, clip in enumerate(CLIPS)]
        path.write_text("fname,label\n" + "".join(rows))
        write_json(path.parent / "metrics.json", {"estimate": {"prior_accuracy": 0.85432}})
        provenance.note(path.parent, COMMIT, PARAMS)
        return path

    def write(self, name: str, text: str | None = None) -> Path:
        """Write a file by hand in the project; by default a valid submission that no run has made."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{clip},{LABELS[place % 3]}\n" for place, clip in enumerate(CLIPS)]
        path.write_text("fname,label\n" + "".join(rows) if text is None else text)
        return path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.server.environment(self.home),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "",
            "COLUMNS": "200",
            **self.credentials,
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", *words]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=heed_ctrl_c,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Run a verb as its user does; return its exit status and all that it says."""
        process = self.start(*words)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def move_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this very process work in the project with its credentials, as `run` does in one of its own."""
        wanted = self.environment
        for name in set(os.environ) - set(wanted):
            monkeypatch.delenv(name)
        for name, value in wanted.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(self.root)
        from kaggle.api.kaggle_api_extended import KaggleApi

        # What the client reads once, when it is imported.
        folder = self.home / ".config" / "kaggle"
        monkeypatch.setattr(KaggleApi, "args", ["--local"])
        monkeypatch.setattr(KaggleApi, "config_dir", str(folder))
        monkeypatch.setattr(KaggleApi, "config", str(folder / "kaggle.json"))

    @property
    def rows(self) -> list[ledger.Row]:
        return ledger.read(self.layout.ledger)

    def assert_submitted_once(self, run: str = "ast", status: str = "complete") -> ledger.Row:
        """Hold that Kaggle has one submission, with the right bytes, and that the ledger says all of it."""
        (made,) = self.server.submissions
        path = self.layout.submission(run) / "submission.csv"
        assert self.server.blobs[made["blob"]] == path.read_bytes()
        (row,) = self.rows
        assert (row.run, row.scoreboard, row.ref, row.status) == (run, "kaggle", str(made["ref"]), status)
        assert row.sha256 == sha256_of(path)
        assert row.message == made["description"]
        assert (row.commit, row.params) == (COMMIT, PARAMS)
        if status == "complete":
            assert (row.public, row.private) == self.server.scores
            assert (self.layout.submissions / f"{row.private}_{run}.csv").read_bytes() == path.read_bytes()
        assert any(self.layout.journal.iterdir()) == (status == "pending")
        return row
