"""The probabilities of the validation clips after each epoch, so that choosing an epoch can be judged later.

The figure of the best of many epochs flatters it, since it was chosen by that very figure. With each epoch's
probabilities at hand, the choice can be made on some clips and judged on others.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.files import replacing

FOLDER, PUBLISHED = "epochs", "epochs.npy"


def record(work: Path, epoch: int, values: NDArray[np.float32]) -> None:
    """Write the probabilities `values` [validation clips, labels] after `epoch` (from 1) into `work`."""
    with replacing(_path(work, epoch)) as temporary:
        np.save(temporary, values.astype(np.float32, copy=False), allow_pickle=False)


def read(work: Path) -> NDArray[np.float32] | None:
    """Return float32 [epochs, validation clips, labels], None if there are none or one is missing among them."""
    found = len(list((work / FOLDER).glob("[0-9]*.npy")))
    paths = [_path(work, epoch) for epoch in range(1, found + 1)]
    if not paths or not all(path.exists() for path in paths):
        return None
    return np.stack([np.load(path, allow_pickle=False) for path in paths])


def _path(work: Path, epoch: int) -> Path:
    return work / FOLDER / f"{epoch:04}.npy"


def publish(work: Path, folder: Path) -> None:
    """Write what `read` gives into the folder of a trained model, at half precision; nothing where there is nothing."""
    values = read(work)
    if values is not None:
        np.save(folder / PUBLISHED, values.astype(np.float16), allow_pickle=False)


def load(folder: Path) -> NDArray[np.float16] | None:
    """Return float16 [epochs, validation clips, labels] that `publish` wrote, None where there is no such file."""
    path = folder / PUBLISHED
    return np.load(path, mmap_mode="r", allow_pickle=False) if path.exists() else None
