"""What every stage after `predict` reads: one row a clip, one column a label, as Parquet."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from pipeline.clips.labels import CLIP, SILENCE, UNKNOWN
from pipeline.errors import PipelineError
from pipeline.files import replacing

SUM_TOLERANCE = 1e-3  # half precision on the device leaves rows that are off by some 1e-4
ROWS_PER_GROUP = 4096


@dataclass(frozen=True)
class Probabilities:
    """`values` float32 [clips, labels]; `run` and `corpus` (its fingerprint) say what they were made of.

    `exclusive`: a clip has one label, so that rows sum to 1; else each label has a probability of its own.
    Raises ValueError unless clips and labels are unique and each row is finite, 0 to 1, and sums to 1 if exclusive.
    """

    clips: list[str]
    labels: list[str]
    values: np.ndarray = field(repr=False)
    run: str = ""
    corpus: str = ""
    exclusive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float32))
        _check_labels(self.labels)
        _check_rows(self.clips, self.labels, self.values, self.exclusive)
        if len(set(self.clips)) < len(self.clips):
            raise ValueError(f"clip named twice: {_first_repeated(self.clips)}")

    def write(self, path: Path) -> None:
        """Write the table atomically."""
        with writing(path, self.labels, self.run, self.corpus, self.exclusive) as table:
            table.append(self.clips, self.values)

    @classmethod
    def read(cls, path: Path) -> "Probabilities":
        """Read what `write` or `writing` wrote.

        Raises PipelineError if the file is missing or holds no valid probabilities.
        """
        try:
            return cls.of_table(parquet.read_table(path))
        except FileNotFoundError:
            raise PipelineError(
                f"There are no probabilities in {path}. Run `dvc repro`: stage predict makes them."
            ) from None
        except (ValueError, KeyError, pyarrow.ArrowException) as error:
            raise PipelineError(
                f"{path} holds no valid probabilities: {error}. Delete it and run `dvc repro`."
            ) from None

    @classmethod
    def of_table(cls, table: pyarrow.Table) -> "Probabilities":
        """Return a table's column of clips and all others, a label each. Raises ValueError or KeyError for another."""
        labels = [name for name in table.column_names if name != CLIP]
        values = np.column_stack([table[label].to_numpy() for label in labels])
        about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        exclusive = about.get("exclusive", "True") == "True"
        return cls(table[CLIP].to_pylist(), labels, values, about.get("run", ""), about.get("corpus", ""), exclusive)

    @classmethod
    def read_of_nets(cls, folder: Path, split: str) -> "list[Probabilities]":
        """Return what the nets of each fold say of a split, [folds]; of a single fold, its table is the mean.

        Raises as `read`.
        """
        of_folds = sorted((folder / split).glob("*.parquet"))
        return [cls.read(path) for path in of_folds or [folder / f"{split}.parquet"]]

    def select(self, clips: np.ndarray) -> "Probabilities":
        """Return the rows `clips` alone, in that order: int or bool, as NumPy indexes."""
        names = np.asarray(self.clips, dtype=object)[clips].tolist()
        return replace(self, clips=names, values=self.values[clips])

    def to_submission_labels(self, commands: Sequence[str]) -> "Probabilities":
        """Return the same clips over [*commands, unknown, silence]: words that are no command are summed into unknown.

        Raises PipelineError if a command has no column.
        """
        targets = [*commands, UNKNOWN, SILENCE]
        missing = set(commands) - set(self.labels)
        if missing:
            raise PipelineError(
                f"The probabilities of run '{self.run}' have no column for {', '.join(sorted(missing))}; "
                "they were made with other commands. Run `dvc repro`: stages train and predict make them anew."
            )
        mapping = np.zeros((len(self.labels), len(targets)), np.float32)
        for row, label in enumerate(self.labels):
            mapping[row, targets.index(label if label in targets else UNKNOWN)] = 1
        return replace(self, labels=targets, values=self.values @ mapping)


class Table:
    """Takes batches of rows while the file is open; made by `writing`."""

    def __init__(
        self, writer: parquet.ParquetWriter, schema: pyarrow.Schema, labels: list[str], exclusive: bool
    ) -> None:
        self._writer = writer
        self._schema = schema
        self._labels = labels
        self._exclusive = exclusive
        self._seen: set[str] = set()
        self._pending: list[tuple[list[str], np.ndarray]] = []

    def append(self, clips: Sequence[str], values: np.ndarray) -> None:
        """Add rows: `values` is [clips, labels]. Raises ValueError for what `Probabilities` would refuse."""
        clips, values = list(clips), np.array(values, dtype=np.float32)
        _check_rows(clips, self._labels, values, self._exclusive)
        repeated = set(clips) & self._seen
        if repeated or len(set(clips)) < len(clips):
            raise ValueError(f"clip named twice: {min(repeated) if repeated else _first_repeated(clips)}")
        self._seen.update(clips)
        self._pending.append((clips, values))
        if sum(len(clips) for clips, _ in self._pending) >= ROWS_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what has been gathered as one row group: small batches would make a slow file."""
        if self._pending:
            names = [clip for clips, _ in self._pending for clip in clips]
            values = np.concatenate([values for _, values in self._pending])
            self._writer.write_table(pyarrow.Table.from_arrays([pyarrow.array(names), *values.T], schema=self._schema))
            self._pending = []


@contextmanager
def writing(path: Path, labels: Sequence[str], run: str, corpus: str, exclusive: bool = True) -> Iterator[Table]:
    """Yield a table to append to; it takes its place at `path` when the block ends well. Memory is flat.

    Raises ValueError for labels that are not unique.
    """
    labels = list(labels)
    _check_labels(labels)
    schema = pyarrow.schema(
        [(CLIP, pyarrow.string()), *((label, pyarrow.float32()) for label in labels)],
        metadata={"run": run, "corpus": corpus, "exclusive": str(exclusive)},
    )
    with replacing(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        table = Table(writer, schema, labels, exclusive)
        yield table
        table.flush()


def _check_labels(labels: list[str]) -> None:
    if not labels or len(set(labels)) < len(labels) or CLIP in labels:
        raise ValueError(f"labels must be unique and other than '{CLIP}'; got {labels}")


def _check_rows(clips: list[str], labels: list[str], values: np.ndarray, exclusive: bool) -> None:
    if values.shape != (len(clips), len(labels)):
        raise ValueError(f"expected values [{len(clips)} clips, {len(labels)} labels], got {list(values.shape)}")
    # Written so that NaN fails: it compares as false.
    good = ((values >= 0) & (values <= 1 + SUM_TOLERANCE)).all(axis=1)
    if exclusive:
        good &= np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        rule = "each 0 to 1, sum 1" if exclusive else "each 0 to 1"
        raise ValueError(f"{clips[row]}: no probabilities ({rule}): {values[row].tolist()}")


def _first_repeated(names: list[str]) -> str:
    return next(name for name, times in Counter(names).items() if times > 1)
