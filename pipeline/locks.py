"""Locks between processes: the system frees one when its holder dies, however it dies; who waits is told for whom."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import HeldError

PATIENCE_S = 1.0  # of waiting, before a word is said


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def held(path: Path, what: str, say: Callable[[str], None] = _note) -> Iterator[None]:
    """Hold the lock in the file `path`, waiting for a process that has it: `say` tells of it, by default on stderr.

    `what` is what that one does, such as "Another download". The file is gone when nobody holds the lock (Windows may
    keep it), unless its holder was killed.
    """
    try:
        lock = _acquired(path, what, PATIENCE_S)
    except HeldError as error:
        say(f"{error} Waiting until it has ended.")
        lock = _acquired(path, what, None)
    with _releasing(lock, path):
        yield


@contextmanager
def held_or_refused(path: Path, what: str, cure: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock in the file `path` as `held` does; raises HeldError, with the cure, if another process keeps it."""
    try:
        lock = _acquired(path, what, patience_s)
    except HeldError as error:
        raise HeldError(f"{error}\n{cure}") from None
    with _releasing(lock, path):
        yield


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock in the file `path`."""
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _acquired(path: Path, what: str, patience_s: float | None) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        holder = ""
        with suppress(OSError, UnicodeDecodeError):
            holder = path.read_text(encoding="utf-8").strip()
        raise HeldError(f"{what} is going on{f' ({holder})' if holder else ''}.") from None
    with suppress(OSError):  # Windows lets nobody write what is locked
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    return lock


@contextmanager
def _releasing(lock: FileLock, path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        # Who waits for a lock that was deleted takes a new one (filelock). Windows does not delete what is open.
        with suppress(OSError):
            path.unlink()
        lock.release()
