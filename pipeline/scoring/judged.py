"""What each judged clip was decided to be, by what was chosen without it, and the probabilities that it was decided by.

The page and whoever looks into errors read it: to find the decisions again, each rule would have to be fitted anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from pipeline.clips.labels import CLIP
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.scoring.probabilities import Probabilities

FILE = "judged.parquet"
DECIDED = "decided to be"  # a column of its own, which no label is called


@dataclass(frozen=True)
class Decisions:
    """`table` float32 [clips, labels], nested (`OutOfFold.nested_table`); `decided` str [clips], "" where a clip may
    have several labels at once."""

    table: Probabilities
    decided: NDArray[np.str_]

    def write(self, path: Path) -> None:
        """Write one row a clip as Parquet, atomically."""
        table = self.table
        about = {"run": table.run, "corpus": table.corpus, "exclusive": str(table.exclusive)}
        columns = {CLIP: pyarrow.array(table.clips), DECIDED: pyarrow.array(self.decided.tolist(), pyarrow.string())}
        columns |= {label: pyarrow.array(values) for label, values in zip(table.labels, table.values.T, strict=True)}
        with replacing(path) as temporary:
            parquet.write_table(pyarrow.table(columns).replace_schema_metadata(about), temporary)

    @classmethod
    def read(cls, path: Path) -> "Decisions":
        """Read what `write` wrote. Raises PipelineError if there is no such file, or it holds something else."""
        try:
            table = parquet.read_table(path)
            decided = np.array(table[DECIDED].to_pylist(), dtype=str)
            return cls(Probabilities.of_table(table.drop_columns(DECIDED)), decided)
        except FileNotFoundError:
            raise PipelineError(f"There is no {path}. Run `dvc repro`: stage decide makes it.") from None
        except (ValueError, KeyError, pyarrow.ArrowException) as error:
            raise PipelineError(f"{path} holds no judged clips: {error}. Delete it and run `dvc repro`.") from None


def judged_by(table: Probabilities, decided: NDArray[np.int64] | None, labels: Sequence[str]) -> Decisions:
    """Return the clips of a nested table with what they were decided to be: int64 [clips], indices of `labels`."""
    named = np.full(len(table.clips), "") if decided is None else np.asarray(labels, dtype=str)[decided]
    return Decisions(table, named)
