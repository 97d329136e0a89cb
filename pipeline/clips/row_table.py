"""The rows of a corpus while it is made: by column, and text that comes again and again is kept once."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow

SCHEMA = pyarrow.schema(
    [
        ("clip", pyarrow.string()),
        ("source", pyarrow.string()),  # which brought it; none for what was made here: silence, synthetic speech
        ("part", pyarrow.string()),
        ("split", pyarrow.string()),
        ("fold", pyarrow.int64()),
        ("word", pyarrow.string()),
        ("speaker", pyarrow.string()),
        ("readable", pyarrow.bool_()),
        ("noise_source", pyarrow.string()),
        ("recording", pyarrow.string()),  # the file that the clip is a segment of; none where it is the whole
        ("tags", pyarrow.list_(pyarrow.string())),  # labels of a clip that may have several
    ]
)

_CHUNK_ROWS = 10_000  # as Python objects, of about a KB a row, before they become Arrow
_UNLIKE = ("clip", "recording")  # text that seldom comes again


class RowTable:
    """Rows of the columns of SCHEMA, and of one column for each metadatum that any row has."""

    def __init__(self) -> None:
        self._chunks: list[pyarrow.Table] = []
        self._rows: list[tuple[Any, ...]] = []  # of the chunk that is being filled
        self._metadata: list[Mapping[str, str]] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, values: tuple[Any, ...], metadata: Mapping[str, str]) -> None:
        """Append a row: a value for each column of SCHEMA, and its metadata."""
        self._rows.append(values)
        self._metadata.append(metadata)
        self._length += 1
        if len(self._rows) == _CHUNK_ROWS:
            self._pack()

    def table(self, columns: Iterable[str] | None = None) -> pyarrow.Table:
        """Return all rows so far, their text encoded by dictionaries: all columns, or those."""
        self._pack()
        whole = pyarrow.concat_tables([_packed(SCHEMA, [], []), *self._chunks], promote_options="default")
        metadata = sorted(set(whole.column_names) - set(SCHEMA.names))
        return whole.select([*SCHEMA.names, *metadata] if columns is None else list(columns))

    def _pack(self) -> None:
        if self._rows:
            self._chunks.append(_packed(SCHEMA, list(zip(*self._rows, strict=True)), self._metadata))
            self._rows, self._metadata = [], []


def with_fates(table: pyarrow.Table, splits: np.ndarray, folds: np.ndarray) -> pyarrow.Table:
    """Return the table with its columns split (`splits`, str [rows]) and fold (`folds`, int [rows]) filled in."""
    for name, values in (("split", pyarrow.array(splits, pyarrow.string())), ("fold", pyarrow.array(folds))):
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def plain(table: pyarrow.Table) -> pyarrow.Table:
    """Return the table with its text as text."""
    types = [
        (field.name, field.type.value_type if pyarrow.types.is_dictionary(field.type) else field.type)
        for field in table.schema
    ]
    return table.cast(pyarrow.schema(types))


def _packed(schema: pyarrow.Schema, columns: list[Any], metadata: list[Mapping[str, str]]) -> pyarrow.Table:
    names = sorted({name for of_row in metadata for name in of_row})
    further = [(name, pyarrow.string()) for name in names]
    values = [*(columns or [[]] * len(schema)), *([of_row.get(name) for of_row in metadata] for name in names)]
    fields = [(field.name, field.type) for field in schema] + further
    arrays = {
        name: pyarrow.array(each, _encoded(name, kind)) for (name, kind), each in zip(fields, values, strict=True)
    }
    return pyarrow.table(arrays)


def _encoded(name: str, kind: pyarrow.DataType) -> pyarrow.DataType:
    is_alike = pyarrow.types.is_string(kind) and name not in _UNLIKE
    return pyarrow.dictionary(pyarrow.int32(), pyarrow.string()) if is_alike else kind
