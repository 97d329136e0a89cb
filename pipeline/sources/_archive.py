"""Streaming what an archive or a folder holds, file by file, in memory: nothing is unpacked to the disk."""

import gzip
import io
import lzma
import os
import queue
import re
import stat
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import py7zr
from py7zr.exceptions import ArchiveError, Bad7zFile, PasswordRequired, UnsupportedCompressionMethodError

from pipeline.errors import PipelineError

SUFFIXES = (".7z", ".zip", ".tar.gz", ".tgz", ".tar")

# Two hours of 16-bit mono at 16 kHz. What is larger is no clip but a mistake, or made to fill the memory.
_LARGEST_MEMBER_BYTES = 256 << 20
# The producer hands over about a MiB at a time and may be four such batches ahead.
_BATCH_BYTES = 1 << 20
_BATCHES_AHEAD = 4
_PIECE_BYTES = 1 << 18
_INPUT_BYTES = 1 << 16
# Methods of .zip that Python does not read, and what 7-Zip and others call them.
_UNREAD_ZIP_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}

Emit = Callable[[str, bytes], None]
Wanted = Callable[[str], bool]


def members(path: Path, wanted: Wanted = lambda name: True) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every file that is `wanted` in an archive or, sorted by name, in a folder.

    Names are relative, with forward slashes; in a .zip or folder, what is not wanted is not even read. A thread
    decompresses while the caller works, a few MiB ahead at most; it ends when the iterator is closed or forgotten.
    Checksums are verified where the format has them, per file in .7z and .zip, over the whole in .tar.gz: only a
    caller who got to the end without an exception has sound data.

    Raises PipelineError that names the file for one that is missing, of another format, damaged, incomplete,
    encrypted, compressed in a way that is not read here, or with a member that is a link or device, has an unsafe or a
    repeated name, or is over 256 MiB.
    """
    produce = _producer(path)
    batches: queue.Queue[list[tuple[str, bytes]] | BaseException | None] = queue.Queue(_BATCHES_AHEAD)
    abandoned = threading.Event()

    def hand_over(batch: list[tuple[str, bytes]]) -> None:
        if abandoned.is_set():
            raise _AbandonedError
        batches.put(batch)

    def work() -> None:
        batch: list[tuple[str, bytes]] = []
        held = 0
        seen: set[str] = set()

        def emit(name: str, data: bytes) -> None:
            nonlocal batch, held
            if name in seen:
                raise PipelineError(f"{path} holds two files named '{name}'. Remove one of them, or get the file anew.")
            seen.add(name)
            batch.append((name, data))
            held += len(data)
            if held >= _BATCH_BYTES:
                hand_over(batch)
                batch, held = [], 0

        try:
            produce(path, emit, wanted)
            hand_over(batch)
            batches.put(None)
        except _AbandonedError:
            pass
        except BaseException as error:  # it belongs to the caller, whose thread raises it
            batches.put(_explained(error, path))

    thread = threading.Thread(target=work, name=f"members of {path.name}", daemon=True)
    thread.start()
    try:
        while (item := batches.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield from item
    finally:
        abandoned.set()
        # The one put that may be waiting now has room; the producer sees the flag before the next.
        while not batches.empty():
            batches.get_nowait()
        thread.join()


def is_archive(path: Path) -> bool:
    """Say whether `members` takes a file of this name."""
    return path.name.lower().endswith(SUFFIXES)


class _AbandonedError(Exception):
    """Nobody listens any more."""


def _producer(path: Path) -> Callable[[Path, Emit, Wanted], None]:
    name = path.name.lower()
    if path.is_dir():
        return _from_folder
    if not path.is_file():
        raise PipelineError(f"There is no file or folder {path}.")
    if name.endswith(".7z"):
        return _from_7z
    if name.endswith(".zip"):
        return _from_zip
    if name.endswith((".tar", ".tar.gz", ".tgz")):
        return _from_tar
    raise PipelineError(f"{path} is no archive that can be read. Known: {', '.join(SUFFIXES)}, or an unpacked folder.")


def _explained(error: BaseException, path: Path) -> BaseException:
    damage = (ArchiveError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError)
    if isinstance(error, (PipelineError, MemoryError)) or not isinstance(error, Exception):
        return error
    if isinstance(error, PasswordRequired):
        return _encrypted(path)
    if isinstance(error, UnsupportedCompressionMethodError):
        return _unread(path, str(error.message))
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return PipelineError(f"{path} cannot be read: {error}.")
    # The parsers meet damaged headers with nearly any exception, so those that are not theirs are damage as well.
    detail = str(error) if isinstance(error, damage) and str(error) else repr(error)
    return PipelineError(
        f"{path} is damaged or incomplete ({detail}). Delete it and download it anew; '7z t' or 'tar -t' checks a copy."
    )


def _encrypted(path: Path) -> PipelineError:
    return PipelineError(f"{path} is protected by a password. Unpack it yourself and name the folder instead.")


def _unread(path: Path, method: str) -> PipelineError:
    return PipelineError(
        f"{path} is compressed in a way that is not read here: {method}\n"
        "Unpack it with the program that made it (such as `7z x`), and put the folder in the archive's place."
    )


def _checked(path: Path, name: str, size: int) -> str:
    """Return the member's name without './'; refuse one that could lead out of the archive, and one too large."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or not parts or re.search(r"^[A-Za-z]:|[\\\0]", name):
        raise PipelineError(f"{path} holds the unsafe name {name!r}. Nothing of it was used; get it from its source.")
    if size > _LARGEST_MEMBER_BYTES:
        raise PipelineError(f"{path} holds '{name}' of {size >> 20} MiB; {_LARGEST_MEMBER_BYTES >> 20} is the most.")
    return "/".join(parts)


def _refused(path: Path, name: str) -> PipelineError:
    return PipelineError(
        f"{path} holds '{name}', which is a link, device or pipe. Only plain files are read; put the file itself there."
    )


def _from_7z(path: Path, emit_wanted: Emit, wanted: Wanted) -> None:
    def emit(name: str, data: bytes) -> None:
        if wanted(name):
            emit_wanted(name, data)

    with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
        if archive.needs_password():
            raise _encrypted(path)
        for member in archive.files:
            if member.is_symlink or member.is_junction or member.is_socket:
                raise _refused(path, member.filename)
            _checked(path, member.filename, member.uncompressed)
        for member in archive.files:
            if member.emptystream and not member.is_directory:
                emit(_checked(path, member.filename, 0), b"")
        streams = archive.header.main_streams
        if streams is None:
            return
        starts = [archive.afterheader + position for position in streams.packinfo.packpositions]
        for block, start, end in zip(streams.unpackinfo.folders, starts, starts[1:], strict=False):
            file.seek(start)
            _from_7z_block(path, emit, file, block, end - start)


def _from_7z_block(path: Path, emit: Emit, file: BinaryIO, block: Any, packed_bytes: int) -> None:
    """Decompress one solid block piece by piece and cut it into its files.

    py7zr's own extraction asks file by file, and reads a MiB of input each time whether the decompressor needs it or
    not: a third slower, and soon the whole archive is in memory.
    """
    decompressor = block.get_decompressor(packed_bytes)
    source = _Paced(file, decompressor.chain[0])
    left = sum(member.uncompressed for member in block.files)
    plain = bytearray()
    for member in block.files:
        while len(plain) < member.uncompressed:
            at = file.tell()
            piece = decompressor.decompress(source, min(_PIECE_BYTES, left))
            if not piece and file.tell() == at:
                raise Bad7zFile("the data end too early")
            plain += piece
            left -= len(piece)
        data = bytes(memoryview(plain)[: member.uncompressed])
        del plain[: member.uncompressed]
        if member.crc32 is not None and zlib.crc32(data) != member.crc32:
            raise Bad7zFile(f"wrong checksum of '{member.filename}'")
        emit(_checked(path, member.filename, len(data)), data)
    if decompressor.crc is not None and not decompressor.check_crc():
        raise Bad7zFile("wrong checksum")


class _Paced:
    """Gives the decompressor input only when it has none left, and little of it."""

    def __init__(self, file: BinaryIO, first: Any):
        self._file, self._first = file, first

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, _INPUT_BYTES)) if getattr(self._first, "needs_input", True) else b""


def _from_tar(path: Path, emit: Emit, wanted: Wanted) -> None:
    compressed = not path.name.lower().endswith(".tar")
    with path.open("rb") as file:
        # gzip's own reader, since tarfile's does not verify the checksum.
        plain = io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 20) if compressed else file  # type: ignore[arg-type]
        with tarfile.open(fileobj=plain, mode="r|", bufsize=1 << 18) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps every header
                name = _checked(path, member.name, member.size)
                if member.isdir():
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise _refused(path, member.name)
                if wanted(name):
                    emit(name, content.read())
        while plain.read(1 << 20):  # to the end, where the checksum is
            pass
        if not compressed:
            # Without compression only the closing zeros tell that nothing is missing.
            file.seek(-min(512, path.stat().st_size), os.SEEK_END)
            if any(file.read()):
                raise tarfile.ReadError("the end of the archive is missing")


def _from_zip(path: Path, emit: Emit, wanted: Wanted) -> None:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        for info in infos:
            _checked(path, info.orig_filename, info.file_size)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(path, info.filename)
            if info.flag_bits & 1:
                raise _encrypted(path)
            if info.compress_type in _UNREAD_ZIP_METHODS:
                raise _unread(path, _UNREAD_ZIP_METHODS[info.compress_type])
        for info in infos:
            name = _checked(path, info.filename, info.file_size)
            if not info.is_dir() and wanted(name):
                emit(name, archive.read(info))


def _from_folder(path: Path, emit: Emit, wanted: Wanted) -> None:
    for name, file in files_below(path):
        if wanted(name):
            emit(name, file.read_bytes())


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, path) of every file below `folder`, sorted; refuse links that lead out of it, and devices.

    Raises PipelineError for those, and for a link to a folder: its files would be read twice, or for ever.
    """
    root = folder.resolve()
    for parent, folders, names in os.walk(root):
        folders.sort()
        for name in sorted([*names, *folders]):
            file = Path(parent, name)
            relative = file.relative_to(root).as_posix()
            if name in folders:
                if file.is_symlink():
                    raise _refused(folder, relative)
                continue
            target = file.resolve() if file.is_symlink() else file
            if not target.is_relative_to(root) or not target.is_file():
                raise _refused(folder, relative)
            yield _checked(folder, relative, target.stat().st_size), file
