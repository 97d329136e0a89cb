"""What can be put right in a submission for certain: its form, never its content."""

import csv
import io
from collections.abc import Sequence

from pipeline.scoring.inspection import COLUMNS

# A line, and its fields where it has sound ones.
_Row = tuple[str, list[str] | None]

_MARK = b"\xef\xbb\xbf"


def repair(data: bytes, sample: Sequence[str], labels: Sequence[str]) -> tuple[bytes, list[str]]:
    """Return a repaired copy of a submission, and a line on each kind of change; no lines where nothing was changed.

    Repaired are a byte order mark, line ends, quotes that are not needed, the case of labels, and the order of the
    rows, if they are those of the sample. All else stays, byte for byte: what it should be is a guess.
    """
    changes: list[str] = []
    if data.startswith(_MARK):
        data = data[len(_MARK) :]
        changes.append("the byte order mark (BOM) at its beginning is gone")
    lines = _lines(data, labels, changes)
    texts = [_decoded(line) for line in lines]
    if any(text is None for text in texts):
        return data if not changes else b"\n".join(lines), changes
    rows: list[_Row] = []
    quoted: list[int] = []
    cased: list[int] = []
    exact, by_lower = set(labels), {label.lower(): label for label in labels}
    for number, text in enumerate((text for text in texts if text is not None), 1):
        fields = _fields(text)
        if fields is None:
            rows.append((text, None))
            continue
        plain = _joined(fields)
        if plain.count('"') > text.count('"'):  # a quote inside a field: what it should be is a guess
            rows.append((text, None))
            continue
        if plain != text:
            quoted.append(number)
        if number > 1 and len(fields) == len(COLUMNS) and fields[1] not in exact and fields[1].lower() in by_lower:
            fields = [fields[0], by_lower[fields[1].lower()]]
            cased.append(number)
        rows.append((_joined(fields), fields))
    if quoted:
        changes.append(f"quotes that are not needed are gone, in {_counted(quoted)}")
    if cased:
        changes.append(f"the case of the label is the competition's, in {_counted(cased)}")
    rows = _in_order(rows, sample, changes)
    if not changes:
        return data, []
    return "\n".join(text for text, _ in rows).encode(), changes


def _lines(data: bytes, labels: Sequence[str], changes: list[str]) -> list[bytes]:
    """Return the lines, the last one empty if the file ends in a newline."""
    ends = data.count(b"\r\n") or (data.count(b"\r") if b"\n" not in data else 0)
    if ends:
        data = data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")
        changes.append(f"{ends:,} lines end in a newline (LF), no longer in a carriage return (CR)")
    lines = data.split(b"\n")
    if lines[-1]:
        # A label that begins no other one is whole.
        label = lines[-1].rpartition(b",")[2].decode(errors="replace").strip('"').lower()
        if label in labels and not any(other != label and other.startswith(label) for other in labels):
            lines.append(b"")
            changes.append("the last line ends in a newline")
    return lines


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _fields(text: str) -> list[str] | None:
    """Return the fields of a line; None for one that is blank, or none of CSV."""
    if not text.strip() or "\0" in text or "\r" in text:
        return None
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        return None
    return fields


def _joined(fields: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _in_order(rows: list[_Row], sample: Sequence[str], changes: list[str]) -> list[_Row]:
    """Return the rows in the sample's order, if they are its clips, each once, below a header and above a newline."""
    names = [fields[0] if fields else None for _, fields in rows[1:-1]]
    if rows[-1][0] or names == list(sample) or len(names) != len(sample) or set(names) != set(sample):
        return rows
    if any(fields is None or len(fields) != len(COLUMNS) for _, fields in rows[1:-1]):
        return rows
    by_name = {fields[0]: (text, fields) for text, fields in rows[1:-1] if fields}
    changes.append("the rows are in the order of the sample submission")
    return [rows[0], *(by_name[name] for name in sample), rows[-1]]


def _counted(lines: Sequence[int]) -> str:
    few = ", ".join(str(line) for line in lines[:5])
    return f"line {few}" if len(lines) == 1 else f"{len(lines):,} lines ({few}{', ...' if len(lines) > 5 else ''})"
