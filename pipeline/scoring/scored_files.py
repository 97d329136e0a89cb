"""Submissions that are kept under the name of their score."""

import functools
import os
import re
import shutil
from pathlib import Path

from pipeline.files import replacing, sha256_of


def keep(
    folder: Path, run: str, score: str, sha256: str, file: Path | None = None, picture: Path | None = None
) -> Path | None:
    """Keep a submission in `folder` as `<score>_<run>.csv`, its picture beside it; return its path.

    `file` is a copy of it; without one, only what is kept already gets its new name. Where another file has the name,
    the first 8 digits of its SHA-256 follow: no file is ever overwritten. Returns None where there is no copy at all.
    """
    plain = folder / f"{score}_{run}.csv"
    held = {path: checksum(path) for path in kept(folder, run)}
    there = next((path for path, digest in held.items() if digest == sha256), None)
    # Whoever else has looked after these files: a name that is taken by other bytes stays theirs.
    marked = plain.with_stem(f"{plain.stem}-{sha256[:8]}")
    free = [each for each in (plain, marked) if each == there or not each.exists()]
    path = free[0] if free else marked.with_stem(f"{plain.stem}-{sha256}")
    if there is not None and there not in (plain, marked):
        os.replace(there, path)
        if (drawn := there.with_suffix(".png")).exists():
            os.replace(drawn, path.with_suffix(".png"))
    elif there is not None:
        path = there
    elif file is not None and file.exists():
        _copy(file, path)
    else:
        return None
    if picture is not None and picture.exists():
        _copy(picture, path.with_suffix(".png"))
    return path


def find(folder: Path, run: str, sha256: str) -> Path | None:
    """Return the kept file of a run with this SHA-256, None if there is none."""
    return next((path for path in kept(folder, run) if sha256 and checksum(path) == sha256), None)


def kept(folder: Path, run: str | None = None) -> list[Path]:
    """Return the files that are kept under their scores, of one run or of all, sorted."""
    name = re.compile(rf"-?\d+\.\d{{5}}_{'.+' if run is None else re.escape(run)}(-[0-9a-f]{{8,64}})?\.csv")
    return sorted(path for path in folder.glob("*.csv") if name.fullmatch(path.name))


def _copy(file: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(file, temporary)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file; it is read again only if it was written since."""
    about = path.stat()
    return _sha256_of(path, about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _sha256_of(path: Path, size: int, written_ns: int) -> str:
    """Return the SHA-256 of a file that has not been written since; a list of submissions asks for it row by row."""
    return sha256_of(path)
