"""Work that several processes share by numbered pieces: each does every n-th, and one puts them together in order.

The pieces are the same for any number of processes, and so are their bytes. (On a processor, as far as its libraries
give the same for any number of threads: docs/scale.md.)
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.files import replacing
from pipeline.jobs import SHARED_FOLDER, launching


@dataclass(frozen=True)
class Share:
    """The pieces of one of several processes; those of all, for the one that started them (`rank` None).

    `seconds` is how long the others took.
    """

    folder: Path
    rank: int | None
    processes: int
    seconds: float = 0.0

    @property
    def is_part(self) -> bool:
        return self.rank is not None

    def of(self, number: int, work: Callable[[], NDArray[Any]]) -> NDArray[Any] | None:
        """Do piece `number` and keep it, if it is this process's; return None. Of all parts, return what was kept."""
        path = self.folder / f"{number}.npy"
        if self.rank is None:
            kept: NDArray[Any] = np.load(path, allow_pickle=False)
            return kept
        if number % self.processes == self.rank:
            values = work()
            with replacing(path) as temporary:
                np.save(temporary, values, allow_pickle=False)
        return None


def part_of_this_process() -> Share | None:
    """Return what this process has to do if `together` started it, on a GPU of its own where there are several."""
    folder = os.environ.get(SHARED_FOLDER)
    if folder is None:
        return None
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return Share(Path(folder), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


@contextmanager
def together(folder: Path, processes: int, *verb: str) -> Iterator[Share | None]:
    """Run `python -m pipeline VERB` in so many processes; yield what they left in `folder`, which is gone afterwards.

    Yields None for one process, which does its work itself. Raises PipelineError as `launching.launch`.
    """
    if processes == 1 or launching.is_launched():
        yield None
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.monotonic()
    os.environ[SHARED_FOLDER] = str(folder.resolve())
    try:
        launching.launch(processes, *verb)
        yield Share(folder, None, processes, time.monotonic() - start)
    finally:
        del os.environ[SHARED_FOLDER]
        shutil.rmtree(folder)
