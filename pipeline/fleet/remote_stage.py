"""What Ray runs on a machine: unpack a working copy, start its own worker in it, tell what comes of it.

It travels by value, so that the machine needs the requirements, and nothing of the project. Standard library only.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TAIL_CHARACTERS = 100_000  # of a stage's output, for its log on the first machine
_TELL_EVERY_S = 2.0

# Ray kills what it started itself when its own process ends, and what that has started goes on without it. So the
# worker is nobody's child, and ends all below it when its input ends, which this process holds (pipeline.fleet.worker).
_ORPHAN = 'exec 3<&0; "$@" <&3 3<&- &'


class Board:
    """What machines write to: where each stage is, and its last line of output. An actor."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[str, str]] = {}

    def write(self, stage: str, host: str, line: str) -> None:
        self._lines[stage] = (host, line)

    def read(self) -> dict[str, tuple[str, str]]:
        return self._lines


def survey(folder: str) -> list[str]:
    """Return the stages that were begun in `folder` of this machine and not delivered."""
    begun = Path(folder).expanduser() / "begun"
    return sorted(path.name for path in begun.glob("*"))


def run(
    stage: str, files: Mapping[str, bytes], lock: bytes, settings: str, patience_s: float, folder: str, board: Any
) -> dict[str, Any]:
    """Run a stage in a working copy below `folder`; return what came of it.

    `files` are those of the copy, `lock` is dvc.lock as it is now, `settings` the copy's own part of DVC's
    configuration, `patience_s` how many seconds the remote is asked again. `board` is given the last line of output,
    now and then.
    """
    start, home, host = time.monotonic(), Path(folder).expanduser().resolve(), socket.gethostname()
    copies = home / "copies"
    for each in (copies, home / "begun", home / "data", home / "work"):
        each.mkdir(parents=True, exist_ok=True)
    copy = Path(tempfile.mkdtemp(prefix=f"{stage}.", dir=copies))
    try:
        _unpack(copy, {**files, "dvc.lock": lock, ".dvc/config.local": settings.replace("{home}", str(home)).encode()})
        # Checkpoints of unfinished trainings, and fetched ones, outlive the copy.
        (copy / "artifacts").mkdir(exist_ok=True)
        (copy / "artifacts" / "work").symlink_to(home / "work")
        (copy / "data").symlink_to(home / "data")
        log = _worked([stage, str(home), str(patience_s)], copy, lambda line: board.write.remote(stage, host, line))
        outcome = copy / "outcome.json"
        told = json.loads(outcome.read_text()) if outcome.exists() else {}
    except OSError as error:
        told, log = {}, f"error: {error}\n"
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return {"done": bool(told), "host": host, "seconds": time.monotonic() - start, "log": log, **told}


def _unpack(copy: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _worked(arguments: list[str], copy: Path, tell: Callable[[str], None]) -> str:
    """Run the copy's worker to its end; return the end of its output."""
    # `python` in the commands of dvc.yaml is this Python.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = ["sh", "-c", _ORPHAN, "sh", sys.executable, "-m", "pipeline.fleet.worker", *arguments]
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    log, told = "", -_TELL_EVERY_S
    for line in process.stdout:  # until all that writes to it has ended
        log = (log + line)[-TAIL_CHARACTERS:]
        if line.strip() and time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            tell(line.strip())
    process.communicate()
    return log
