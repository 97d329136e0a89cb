"""Whether Kaggle has a file already, as far as its list tells: it holds no checksums and gives no file back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.delivery import ledger
from pipeline.delivery.competition import Submission
from pipeline.delivery.journal import has_id, is_of


@dataclass(frozen=True)
class Fingerprint:
    """What can be compared of a file: SHA-256, size, name, and when it was last written (seconds since 1970)."""

    sha256: str
    bytes: int
    name: str
    written: float


def certain(
    file: Fingerprint, rows: Sequence[ledger.Row], listed: Sequence[Submission]
) -> list[Submission | ledger.Row]:
    """Return the submissions of this very file, oldest first: by the ledger's checksums or by our id."""
    known = [row for row in rows if row.ref and row.scoreboard == ledger.KAGGLE and row.sha256 == file.sha256]
    refs = {row.ref for row in known}
    ours = [one for one in reversed(listed) if one.ref not in refs and is_of(one.description, file.sha256)]
    return [*known, *ours]


def possible(file: Fingerprint, rows: Sequence[ledger.Row], listed: Sequence[Submission]) -> list[Submission]:
    """Return those made elsewhere, such as with the plain client, that may be of this file, newest first.

    They have its size; or, where Kaggle tells none, its name, and were made after it was last written; Kaggle tells
    whole seconds.
    """
    known = {row.ref for row in rows if row.sha256}
    strange = [one for one in listed if one.ref not in known and not has_id(one.description)]
    return [
        one
        for one in strange
        if one.bytes == file.bytes
        or (not one.bytes and one.file_name == file.name and _seconds(one) + 1 > file.written)
    ]


def described(one: Submission | ledger.Row) -> str:
    """Return what tells a submission from others, in a line."""
    if isinstance(one, ledger.Row):
        return f"ref {one.ref}, {one.time}, {one.status}"
    size = f", {one.bytes:,} bytes" if one.bytes else ""
    return f'ref {one.ref}, {one.time}, {one.status}, {one.file_name}{size}, "{one.description}"'


def _seconds(one: Submission) -> float:
    return datetime.fromisoformat(one.time).timestamp() if one.time else 0.0
