"""Which code is at work: Git's commit, or the one that a packed project names."""

import subprocess
from pathlib import Path

# What decides the labels of a submission, beside the parameters.
CODE = ("pipeline", "requirements.txt", "dvc.yaml")
# Where a project that was packed without its Git says which commit it is.
FILE = "commit.txt"


def commit_of(root: Path) -> str:
    """Return the commit checked out in `root`, with `-dirty` where code differs from it; "" where nobody knows."""
    head = _git(root, "rev-parse", "HEAD")
    if head:
        return head + ("-dirty" if _git(root, "--no-optional-locks", "status", "--porcelain", "--", *CODE) else "")
    packed = root / FILE
    return packed.read_text(encoding="utf-8").strip() if packed.is_file() else ""


def _git(root: Path, *words: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
