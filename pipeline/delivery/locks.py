"""One process at a time: the others wait, and say for whom."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.delivery.terminal import note

_PATIENCE_S = 0.3


@contextmanager
def held(path: Path, what: str, say: Callable[[str], None] = note) -> Iterator[None]:
    """Hold the lock in the file `path`, which ends with the process, however that ends; wait for it if need be.

    Who has to wait says so: `what` is what the other one does, such as "Another download".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        owner = ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            owner = path.read_text(encoding="utf-8").strip()
        say(f"{what} is going on{f' ({owner})' if owner else ''}. Waiting until it has ended.")
        lock.acquire()
    try:
        with contextlib.suppress(OSError):  # Windows lets nobody write what is locked
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()
