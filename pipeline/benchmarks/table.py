"""The table of findings, on the terminal and as Markdown, with the machine that it was measured on."""

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from statistics import median

from rich.table import Table

from pipeline.benchmarks.rounds import Rounds
from pipeline.processes import processor

COLUMNS = ("what", "measured", "against", "result", "target", "met")
_LIBRARIES = ("numpy", "torch", "transformers", "py7zr", "pyarrow", "soundfile", "dvc")


@dataclass(frozen=True)
class Finding:
    """One row; `met` is None where nothing is demanded or nothing could be measured."""

    what: str
    measured: str
    against: str = ""
    result: str = ""
    target: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        met = {True: "yes", False: "NO", None: ""}[self.met]
        return self.what, self.measured, self.against, self.result, self.target, met


def rates(what: str, amount: int, unit: str, rounds: Rounds, against: str, *, at_least: float | None = None) -> Finding:
    """Return the finding that `amount` units were done at so many times the other's speed."""
    return Finding(
        what,
        f"{amount / median(rounds.ours_s):,.0f} {unit}/s",
        f"{against}: {amount / median(rounds.other_s):,.0f} {unit}/s",
        f"{rounds.speed} times its speed",
        "" if at_least is None else f"at least {at_least:g}",
        None if at_least is None else rounds.speed.middle >= at_least,
    )


def printed(findings: list[Finding]) -> Table:
    """Return the table for a terminal."""
    table = Table(*COLUMNS)
    for finding in findings:
        table.add_row(*finding.cells, style="red" if finding.met is False else None)
    return table


def markdown(findings: list[Finding], command: str, notes: list[str]) -> str:
    """Return the page: the command, the machine, the table."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(finding.cells for finding in findings)]
    lines = [
        "# Measurements",
        "",
        f"Made by `{command}`.",
        *(f"- {line}" for line in [*machine(), *notes]),
        "",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def machine() -> list[str]:
    """Return what the numbers depend on: processor, load, system, versions."""
    load = f", load of {os.getloadavg()[0]:.1f} when it ended" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return [
        f"{processor()}, {os.cpu_count()} cores{load}",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}",
    ]
