"""All submissions at Kaggle as a table: for people, for programs, for a page."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Literal

from rich.console import Console
from rich.table import Table

from pipeline.delivery import ledger
from pipeline.delivery.competition import five
from pipeline.delivery.leaderboard import rank

Format = Literal["table", "text", "csv", "json", "md"]
Sort = Literal["time", "run", "validation", "local", "public", "private", "rank", "status"]

_VALIDATION = re.compile(r"\| validation (\d\.\d{3}) \|")
_WORDS = ("run", "status", "message", "file")  # what may be folded into several lines; figures may not
_NARROWEST = 12


@dataclass(frozen=True)
class Line:
    """One submission; the fields are the columns, all text, empty where something is not known.

    `time` is ISO 8601 in UTC; `local` is the score by the answers that are known here; `difference` is public less
    private; `file` is where the submitted file is kept.
    """

    time: str
    ref: str
    run: str
    validation: str
    local: str
    public: str
    private: str
    difference: str
    rank: str
    status: str
    message: str
    file: str


def lines(
    rows: Sequence[ledger.Row], board: Sequence[float], find: Callable[[ledger.Row], tuple[str, str]]
) -> list[Line]:
    """Return the submissions among the ledger's rows. `board` is the leaderboard, best first; `find` tells of a row
    the accuracy on validation and the kept file, each "" where it is not known.
    """
    local = {row.sha256: five(row.private or row.public) for row in rows if row.scoreboard != ledger.KAGGLE}
    made = []
    for row in ledger.submissions(rows):
        public, private = five(row.public), five(row.private)
        place = rank(float(private or public), board) if private or public else None
        validation, file = find(row)
        told = _VALIDATION.search(row.message)
        made.append(
            Line(
                row.time,
                row.ref,
                row.run,
                told[1] if told else validation,
                local.get(row.sha256, ""),
                public,
                private,
                f"{float(public) - float(private):+.5f}" if public and private else "",
                str(place or ""),
                f"{row.status}: {row.reason}" if row.reason else row.status,
                row.message,
                file,
            )
        )
    return made


def chosen(made: Sequence[Line], sort: Sort, limit: int | None) -> list[Line]:
    """Return the lines in order: by time the newest last, by a score the best first; the newest or best `limit`."""
    if sort == "time":
        ordered = sorted(made, key=lambda line: line.time)
        return ordered[-limit:] if limit else ordered
    if sort in ("run", "status"):
        ordered = sorted(made, key=lambda line: (getattr(line, sort), line.time))
    else:
        sign = 1 if sort == "rank" else -1
        known = [line for line in made if getattr(line, sort)]
        ordered = sorted(known, key=lambda line: sign * float(getattr(line, sort)))
        ordered += [line for line in made if not getattr(line, sort)]
    return ordered[:limit] if limit else ordered


def rendered(made: Sequence[Line], how: Format) -> str:
    """Return the lines as text, with the columns' names: `text` is separated by tabs, `md` a table of Markdown."""
    names = [field.name for field in fields(Line)]
    cells = [[" ".join(cell.split()) for cell in astuple(line)] for line in made]
    if how == "json":
        return json.dumps([dict(zip(names, row, strict=True)) for row in cells], indent=2, ensure_ascii=False) + "\n"
    if how == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([names, *cells])
        return text.getvalue()
    if how == "md":
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in cells]
        ruler = ["--:" if name not in ("time", *_WORDS) else "---" for name in names]
        return "".join(f"| {' | '.join(row)} |\n" for row in [names, ruler, *escaped])
    if how == "text":
        return "".join("\t".join(row) + "\n" for row in [names, *cells])
    return _drawn(names, made)


def _drawn(names: Sequence[str], made: Sequence[Line]) -> str:
    """Return a table for a terminal; where that is too narrow for the figures, it is wider, and nothing is cut."""
    table = Table(box=None, pad_edge=False)
    told: Mapping[str, list[str]] = {name: [asdict(line)[name] for line in made] for name in names}
    shown = [name for name in names if any(told[name])]
    for name in shown:
        if name in _WORDS:
            table.add_column(name, overflow="fold", min_width=min(_NARROWEST, max(map(len, [name, *told[name]]))))
        else:
            table.add_column("time (UTC)" if name == "time" else name, no_wrap=True)
    for number in range(len(made)):
        cells = [told[name][number] or "-" for name in shown]
        table.add_row(
            *(cell[:16].replace("T", " ") if name == "time" else cell for name, cell in zip(shown, cells, strict=True))
        )
    console = Console(markup=False, highlight=False)
    needed = Console(width=10_000).measure(table).minimum  # measured where there is room, or the room would be told
    console.width = max(console.width, needed)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
