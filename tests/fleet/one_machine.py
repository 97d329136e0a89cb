"""A cluster without Ray: one machine that does what it is handed when it is asked for reports, in order."""

from pathlib import Path
from typing import Any

from pipeline.fleet import remote_stage
from pipeline.fleet.cluster import StageOutcome


class Board:
    """Takes what a machine writes, as an actor of Ray's does."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    @property
    def write(self) -> "Board":
        return self

    def remote(self, *line: str) -> None:
        self.lines.append(line)


class OneMachine:
    def __init__(self, folder: Path) -> None:
        self.folder, self.board = folder, Board()
        self.handed_out: list[str] = []
        self.is_heard = True
        self._waiting: list[tuple[Any, ...]] = []

    def put(self, files: Any) -> Any:
        return files

    def gpus(self) -> float:
        return 0

    def can(self, needs: Any) -> bool:
        return True

    def hand_out(self, stage: str, needs: Any, files: Any, lock: bytes, settings: str, patience_s: float) -> None:
        self.handed_out.append(stage)
        self._waiting.append((stage, files, lock, settings, patience_s))

    def reports(self, timeout_s: float) -> list[StageOutcome]:
        stage, *given = self._waiting.pop(0)
        report = StageOutcome(stage, **remote_stage.run(stage, *given, str(self.folder), self.board))
        if not self.is_heard:
            raise ConnectionError("it is done, and nobody knows")
        return [report]
