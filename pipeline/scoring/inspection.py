"""Everything that is wrong with a submission file, line by line, before Kaggle says so at the price of a submission."""

import csv
import io
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import PipelineError

COLUMNS = ["fname", "label"]
SHOWN = 5  # examples of each kind
CROWDED = 0.8  # a label with a larger share than this has probably swallowed others

_UTF16 = "UTF-16, not UTF-8; save the file as UTF-8"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `line` counts from 1, None where there is none to name; one `kind` is told together."""

    kind: str
    line: int | None
    reason: str


@dataclass(frozen=True)
class Findings:
    """What a file says: label by clip as far as its rows are sound, and all problems.

    The order of the rows is no problem, since Kaggle goes by the names; `in_order` tells whether it is the sample's.
    """

    labels: dict[str, str]
    problems: list[Problem]
    in_order: bool

    def shares(self, labels: Sequence[str]) -> dict[str, float]:
        """Return each label's share of the rows, 0 for all where there are none."""
        counts = Counter(self.labels.values())
        return {label: counts[label] / max(1, counts.total()) for label in labels}

    def report(self) -> str:
        """Return the problems as text, one line each, the first of each kind."""
        lines = []
        for kind in dict.fromkeys(problem.kind for problem in self.problems):
            same = [problem for problem in self.problems if problem.kind == kind]
            lines += [f"  line {one.line}: {one.reason}" if one.line else f"  {one.reason}" for one in same[:SHOWN]]
            if len(same) > SHOWN:
                lines.append(f"  ... and {len(same) - SHOWN} more of this kind")
        return "\n".join(lines)


def read(path: Path, limit_bytes: int | None = None) -> bytes:
    """Return the file's bytes. Raises PipelineError if it is missing, no regular file, too large, or unreadable."""
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise PipelineError(f"{path} is a folder. Name the file: {path / 'submission.csv'}")
        if not stat.S_ISREG(about.st_mode):
            raise PipelineError(f"{path} is no regular file but a pipe or a device. Write it to a file first.")
        if limit_bytes is not None and about.st_size > limit_bytes:
            raise PipelineError(
                f"{path} has {about.st_size:,} bytes; a submission for this sample has less than {limit_bytes:,}.\n"
                "It is another file, or holds much more than clips and labels."
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. `dvc repro` makes the files of the runs.") from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None


def limit_of(sample: Sequence[str], labels: Sequence[str]) -> int:
    """Return the size in bytes above which a file for this sample is not even read: four times a sound one's."""
    longest = max(len(label.encode()) for label in labels)
    return 4 * (sum(len(name.encode()) + longest + 8 for name in sample) + 1_000)


def inspect(data: bytes, sample: Sequence[str], labels: Sequence[str]) -> Findings:
    """Hold a submission against the names of the sample and the labels of the competition.

    Sound is only the plain form that `submission.write` makes, rows in any order: UTF-8 without byte order mark, lines
    ended by a newline, quotes only where a name needs them. Kaggle may forgive more; nobody knows how much.
    """
    return _Inspector(sample, labels).run(data)


class _Inspector:
    def __init__(self, sample: Sequence[str], labels: Sequence[str]) -> None:
        self._sample = sample
        self._allowed = labels
        self._wanted = set(sample)
        self._by_lower = {name.lower(): name for name in sample}
        self._lines: dict[str, int] = {}  # where each name was first seen
        self._labels: dict[str, str] = {}
        self._problems: list[Problem] = []

    def run(self, data: bytes) -> Findings:
        if not data.strip():
            return self._stop("empty", None, "the file is empty" if not data else "the file holds only blank lines")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")) or data[:200].count(b"\0") > 20:
            return self._stop("encoding", 1, _UTF16)
        if data.startswith(b"\xef\xbb\xbf"):
            self._add("encoding", 1, "begins with a byte order mark (BOM); save the file as UTF-8 without it")
            data = data[3:]
        if b"\r" in data and b"\n" not in data:
            return self._stop("line end", 1, "lines end with CR; they must end with a newline (LF)")
        lines = data.split(b"\n")
        unended = lines.pop()
        if unended:
            lines.append(unended)
        for number, line in enumerate(lines, 1):
            self._line(number, line, is_cut=bool(unended) and number == len(lines))
        self._find_missing()
        return self._findings()

    def _line(self, number: int, line: bytes, is_cut: bool) -> None:
        if is_cut:
            self._add("cut off", number, "has no newline at its end; the file was probably cut off here")
        if line.endswith(b"\r"):
            self._add("line end", number, "ends with CR LF; lines must end with a newline (LF) alone")
            line = line[:-1]
        if b"\0" in line or b"\r" in line:
            return self._add("encoding", number, "holds a NUL or CR in its middle")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = line[error.start]
            return self._add("encoding", number, f"byte 0x{byte:02x} is not UTF-8, perhaps Latin-1; save it as UTF-8")
        if not text.strip():
            return self._add("blank line", number, "is blank")
        fields = self._fields(number, text)
        if number == 1:
            return self._header(fields)
        if fields is None:
            return None
        if len(fields) != len(COLUMNS):
            return self._add("fields", number, f"{len(fields)} fields, expected clip and label: {_short(text)}")
        name, label = fields
        return self._row(number, name, label, is_cut)

    def _fields(self, number: int, text: str) -> list[str] | None:
        """Return the fields of a line, None where it has no sound ones."""
        for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if delimiter in text and "," not in text:
                self._add("delimiter", number, f"fields are separated by {name}, not by a comma: {_short(text)}")
                return None if number > 1 else text.split(delimiter)
        if '"' not in text:
            return text.split(",")
        try:
            (fields,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError):
            self._add("quotes", number, f"a quote is not closed, or stands inside a field: {_short(text)}")
            return None
        plain = io.StringIO()
        csv.writer(plain, lineterminator="").writerow(fields)
        if plain.getvalue().count('"') > text.count('"'):
            self._add("quotes", number, f"a quote stands inside a field: {_short(text)}")
        elif plain.getvalue() != text:
            self._add("quotes", number, f"fields are in quotes that they do not need: {_short(text)}")
        return fields

    def _header(self, fields: list[str] | None) -> None:
        if fields is None or fields == COLUMNS:
            return
        found = ",".join(fields)
        if fields[0] in self._wanted:
            self._lines[fields[0]] = 1
            reason = f"the header is missing: the first line must be '{','.join(COLUMNS)}', found '{_short(found)}'"
        else:
            reason = f"the columns must be '{','.join(COLUMNS)}', found '{_short(found)}'"
        self._add("columns", 1, reason)

    def _row(self, number: int, name: str, label: str, is_cut: bool) -> None:
        if (name, label) != (name.strip(), label.strip()):
            self._add("space", number, f"space around a field: {_short(f'{name},{label}')!r}")
            name, label = name.strip(), label.strip()
        first = self._lines.setdefault(name, number)
        if first != number:
            self._add("duplicate", number, f"clip '{_short(name)}' is in line {first} already")
        elif not name:
            self._add("name", number, "the clip's name is blank")
        elif name not in self._wanted:
            self._add("extra", number, f"clip '{_short(name)}' is not in the sample submission{self._hint(name)}")
        if label in self._allowed:
            self._labels[name] = label
        elif not label:
            self._add("blank label", number, f"clip '{_short(name)}' has no label")
        else:
            meant = next((one for one in self._allowed if one.lower() == label.lower()), "")
            cut = is_cut and any(one.startswith(label) for one in self._allowed)
            hint = f" (did you mean '{meant}'?)" if meant else " (cut off?)" if cut else ""
            self._add("label", number, f"'{_short(label)}' is no label of the competition{hint}")

    def _hint(self, name: str) -> str:
        bare = name.replace("\\", "/").rsplit("/", 1)[-1]
        for candidate in (name, bare, f"{bare}.wav"):
            if meant := self._by_lower.get(candidate.lower()):
                return f" (did you mean '{meant}'?)"
        return ""

    def _find_missing(self) -> None:
        for place, name in enumerate(self._sample, 2):  # after the sample's header
            if name not in self._lines:
                self._add("missing", None, f"clip '{_short(name)}' has no row (line {place} of the sample submission)")

    def _add(self, kind: str, line: int | None, reason: str) -> None:
        self._problems.append(Problem(kind, line, reason))

    def _stop(self, kind: str, line: int | None, reason: str) -> Findings:
        self._add(kind, line, reason)
        return self._findings()

    def _findings(self) -> Findings:
        return Findings(self._labels, self._problems, list(self._lines) == list(self._sample))


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
