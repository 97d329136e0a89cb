"""Processes: how one is set up, how those that it has begun end with it, what tells them to begin no further ones."""

import atexit
import ctypes
import gc
import os
import platform
import sys
import threading
from pathlib import Path

import psutil

ALONE = "PIPELINE_ALONE"  # set where something else hands out the trainings: none begins another

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def set_up() -> None:
    """Set what makes a process quicker that is about to load torch, and to end soon after its work is done."""
    # Read when torch is loaded. Threads that wait at a barrier sleep instead of spinning: on a machine with anything
    # else to do, two spinning threads trained at a third to a tenth of the speed of two sleeping ones.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # What torch and transformers load stays: searching it for garbage took a seventh of the time. (mypy sets the same.)
    gc.set_threshold(200_000, 30, 30)
    # As it ends, Python searches all of that once more, for more than a second. What is frozen is not searched.
    # Registered first, this is called last.
    atexit.register(gc.freeze)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, and use it again, instead of returning it to the system.

    A network frees hundreds of megabytes in each step, and asks for them again in the next. If they come from the
    system, each page is cleared and mapped anew: a sixth of the time of a recurrent net's step. Only glibc gives large
    blocks back at once, and has a setting for it (mallopt(3)); with another C library, nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30) or mallopt(M_MMAP_THRESHOLD, 2**25)  # an older glibc takes no more
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def processor() -> str:
    """Return the name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def end_with_input() -> None:
    """End this process, and all that it has begun, once its standard input ends: whoever held that is gone."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    while os.read(0, 1):
        pass
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)
