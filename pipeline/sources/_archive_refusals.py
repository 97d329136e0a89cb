"""What is wrong with an archive or folder, said so that it can be mended."""

import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from pathlib import Path

from py7zr.exceptions import ArchiveError, PasswordRequired, UnsupportedCompressionMethodError

from pipeline.errors import PipelineError

# Two hours of 16-bit mono at 16 kHz. What is larger is no clip but a mistake, or made to fill the memory.
_LARGEST_MEMBER_BYTES = 256 << 20


def explained(error: BaseException, path: Path) -> BaseException:
    """Return what to raise for an exception that came while `path` was read."""
    damage = (ArchiveError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError)
    if isinstance(error, (PipelineError, MemoryError)) or not isinstance(error, Exception):
        return error
    if isinstance(error, PasswordRequired):
        return encrypted(path)
    if isinstance(error, UnsupportedCompressionMethodError):
        return unread(path, str(error.message))
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return PipelineError(f"{path} cannot be read: {error}.")
    # The parsers meet damaged headers with nearly any exception, so those that are not theirs are damage as well.
    detail = str(error) if isinstance(error, damage) and str(error) else repr(error)
    return PipelineError(
        f"{path} is damaged or incomplete ({detail}). Delete it and download it anew; '7z t' or 'tar -t' checks a copy."
    )


def encrypted(path: Path) -> PipelineError:
    """Return the refusal of an archive that needs a password."""
    return PipelineError(f"{path} is protected by a password. Unpack it yourself and name the folder instead.")


def unread(path: Path, method: str) -> PipelineError:
    """Return the refusal of a method of compression."""
    return PipelineError(
        f"{path} is compressed in a way that is not read here: {method}\n"
        "Unpack it with the program that made it (such as `7z x`), and put the folder in the archive's place."
    )


def checked(path: Path, name: str, size: int) -> str:
    """Return the member's name without './'; refuse one that could lead out of the archive, one that is not UTF-8, and
    a member too large.
    """
    try:
        name.encode()
    except UnicodeEncodeError:  # it has bytes that Python could only keep
        raise PipelineError(f"{path} holds the name {name!a}, which is not UTF-8. Rename it.") from None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not parts or re.search(r"^[A-Za-z]:|[\\\0]", name):
        raise PipelineError(f"{path} holds the unsafe name {name!r}. Nothing of it was used; get it from its source.")
    if size > _LARGEST_MEMBER_BYTES:
        raise PipelineError(f"{path} holds '{name}' of {size >> 20} MiB; {_LARGEST_MEMBER_BYTES >> 20} is the most.")
    return "/".join(parts)


def refused(path: Path, name: str) -> PipelineError:
    """Return the refusal of a member that is no plain file."""
    return PipelineError(
        f"{path} holds '{name}', which is a link, device or pipe. Only plain files are read; put the file itself there."
    )
