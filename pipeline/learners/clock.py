"""How long a training took, over all the times that it was killed and started again."""

import threading
import time
from pathlib import Path
from typing import Self

from pipeline.files import read_json, write_json

TICK_S = 5.0


class Clock:
    """Seconds of work, added up over kills: `path` keeps what earlier, killed calls had come to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = float(read_json(path)["seconds"]) if path.exists() else 0.0
        self._ended = threading.Event()

    @property
    def seconds(self) -> float:
        return round(self._before + time.monotonic() - self._start, 1)

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        self._ticking = threading.Thread(target=self._tick, daemon=True)
        self._ticking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._ticking.join()
        write_json(self._path, {"seconds": self.seconds})

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            write_json(self._path, {"seconds": self.seconds})
