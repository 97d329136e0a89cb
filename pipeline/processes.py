"""Processes that one has begun: how they end with it, and what tells them to begin no further ones."""

import os
import threading

import psutil

ALONE = "PIPELINE_ALONE"  # set where something else hands out the trainings: none begins another


def end_with_input() -> None:
    """End this process, and all that it has begun, once its standard input ends: whoever held that is gone."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    while os.read(0, 1):
        pass
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)
