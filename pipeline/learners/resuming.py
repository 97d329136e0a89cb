"""The Trainer's checkpoints in a folder of work: which are whole, and where a killed training goes on."""

import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipeline.files import read_json

TRAINER_STATE = "trainer_state.json"
WEIGHTS = "model.safetensors"


def is_whole(weights: Path) -> bool:
    """Return whether a safetensors file is there and has all the bytes that its header promises."""
    try:
        with safe_open(weights, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def checkpoints_in(work: Path) -> list[Path]:
    """Return the checkpoints from old to new."""
    return sorted(work.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))


def drop_broken_checkpoints(work: Path) -> None:
    """Delete checkpoints that a kill left half-written: the Trainer writes its state last."""
    for folder in checkpoints_in(work):
        try:
            read_json(folder / TRAINER_STATE)
            whole = is_whole(folder / WEIGHTS)
        except (FileNotFoundError, ValueError):
            whole = False
        if not whole:
            shutil.rmtree(folder)


def early_end(checkpoint: Path) -> int | None:
    """Return the epoch at which patience had run out when `checkpoint` was written, None if it had not.

    The Trainer (transformers 5.23) forgets on resuming that it was told to stop, and would train on.
    """
    state = read_json(checkpoint / TRAINER_STATE)
    stopped = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
    return round(state["epoch"]) if stopped else None
