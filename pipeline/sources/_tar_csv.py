"""Reading a CSV file inside a tarball line by line: lists of millions of clips do not fit into memory as one file."""

import csv
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import PipelineError


def tar_csv(path: Path, name: str, columns: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the rows of the CSV file `name` in a .tar.gz, without the first line, which must be `columns`.

    Raises PipelineError that names the tarball if it is damaged, has no such file, or the file is another one.
    """
    try:
        # Not in tarfile's mode for streams, whose members the text layer cannot read. It seeks forwards only.
        with gzip.open(path) as plain, tarfile.open(fileobj=plain, mode="r:") as archive:
            for member in archive:
                if member.name.removeprefix("./") != name:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise PipelineError(f"{path} holds '{name}', which is no plain file. Get it anew.")
                rows = csv.reader(io.TextIOWrapper(content, "utf-8-sig", newline=""), strict=True)
                header = next(rows, [])
                if tuple(header) != columns:
                    raise PipelineError(
                        f"{path}, {name}: the first line must be '{','.join(columns)}'; found '{','.join(header)}'."
                    )
                for row in rows:
                    if len(row) != len(columns):
                        raise PipelineError(f"{path}, {name}: expected {len(columns)} values a line; found {row}.")
                    yield row
                return
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise PipelineError(f"{path} is damaged or incomplete ({error}). Delete it and run again.") from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error}.") from None
    raise PipelineError(f"{path} holds no file '{name}'. Get it anew.")
