"""What changed since the last time: each run's newest row of the ledger beside the one before."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.delivery.ledger import KAGGLE, Row


def changes(rows: Sequence[Row], present: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return an entry for each run and scoreboard, the newest first: its scores, and the differences to the file before
    it, None where there is none. Rows without a score say nothing. `rows` are the ledger's, oldest first.

    `present` has the SHA-256 of each listed run's file: of the local scores, those of a file that was tried and taken
    back are before it, and other runs are left out.
    """
    newest: dict[tuple[str, str], list[Row]] = {}
    rows = [row for row in rows if row.scoreboard == KAGGLE or row.run in present]
    # A file that came back has no new row.
    rows = sorted(rows, key=lambda row: row.scoreboard != KAGGLE and row.sha256 == present[row.run])
    for row in rows:
        if row.private or row.public:
            known = newest.setdefault((row.run, row.scoreboard), [])
            # The same file scored again for other parameters is no change.
            if known and known[-1].sha256 and known[-1].sha256 == row.sha256:
                known.pop()
            known.append(row)
    entries = [_entry(known) for known in newest.values()]
    return sorted(entries, key=lambda entry: entry["time"], reverse=True)


def _entry(known: list[Row]) -> dict[str, Any]:
    last, before = known[-1], known[-2] if len(known) > 1 else None
    entry: dict[str, Any] = {
        "run": last.run,
        "where": "Kaggle" if last.scoreboard == KAGGLE else last.scoreboard,
        "time": last.time[:16].replace("T", " "),
        "files": len(known),
        "since": before.time[:16].replace("T", " ") if before else None,
    }
    for part in ("private", "public"):
        now, then = getattr(last, part), getattr(before, part) if before else ""
        entry[part] = now
        entry[f"{part}_change"] = round(float(now) - float(then), 5) if now and then else None
    return entry
