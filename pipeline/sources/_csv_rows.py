"""Reading the small CSV files that describe a data set."""

import csv
import io
from pathlib import Path

from pipeline.errors import PipelineError


def csv_rows(path: Path) -> list[list[str]]:
    """Return the lines of a CSV file in UTF-8 as lists of values, blank lines left out.

    Raises PipelineError if it cannot be read, is not UTF-8, or quotes wrongly.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is not UTF-8 text ({error}). Get it anew.") from None
    except csv.Error as error:
        raise PipelineError(f"{path} is no valid CSV: {error}. Get it anew.") from None
