"""Streaming what an archive or a folder holds, file by file, in memory: nothing is unpacked to the disk."""

import gzip
import io
import os
import queue
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

from pipeline.clips.recording import Span, bytes_of
from pipeline.errors import PipelineError
from pipeline.sources import _seven_zip
from pipeline.sources._archive_refusals import checked, encrypted, explained, refused, unread

SUFFIXES = (".7z", ".zip", ".tar.gz", ".tgz", ".tar")

# The producer hands over about a MiB at a time and may be four such batches ahead.
_BATCH_BYTES = 1 << 20
_BATCHES_AHEAD = 4
_SPAN_BYTES = 1 << 12  # as what a file counts that is not read: hundreds are handed over at once
# Methods of .zip that Python does not read, and what 7-Zip and others call them.
_UNREAD_ZIP_METHODS = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}

Content = bytes | Span
Emit = Callable[[str, Content], None]
Wanted = Callable[[str], bool]


def members(path: Path, wanted: Wanted = lambda name: True) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every file that is `wanted` in an archive or, sorted by name, in a folder.

    Names are relative, with forward slashes; in a .zip or folder, what is not wanted is not even read. What macOS adds
    of its own (__MACOSX, ._*, .DS_Store) is left out. A thread decompresses while the caller works, a few MiB ahead at
    most; it ends when the iterator is closed or forgotten.
    Checksums are verified where the format has them, per file in .7z and .zip, over the whole in .tar.gz: only a
    caller who got to the end without an exception has sound data.

    Raises PipelineError that names the file for one that is missing, of another format, damaged, incomplete,
    encrypted, compressed in a way that is not read here, or with a member that is a link or device, has an unsafe or a
    repeated name or one that is not UTF-8, or is over 256 MiB.
    """
    with closing(_streamed(path, wanted, located=False)) as stream:
        for name, content in stream:
            yield name, bytes_of(content)


def located(path: Path, wanted: Wanted = lambda name: True) -> Iterator[tuple[str, Content]]:
    """Yield as `members` does, but of files that lie plainly in a folder or a .tar, where they lie, unread."""
    return _streamed(path, wanted, located=True)


def _streamed(path: Path, wanted: Wanted, located: bool) -> Generator[tuple[str, Content]]:
    produce = _producer(path)
    batches: queue.Queue[list[tuple[str, Content]] | BaseException | None] = queue.Queue(_BATCHES_AHEAD)
    abandoned = threading.Event()

    def hand_over(batch: list[tuple[str, Content]]) -> None:
        if abandoned.is_set():
            raise _AbandonedError
        batches.put(batch)

    def work() -> None:
        batch: list[tuple[str, Content]] = []
        held = 0
        seen: set[str] = set()

        def emit(name: str, content: Content) -> None:
            nonlocal batch, held
            if name in seen:
                raise PipelineError(f"{path} holds two files named '{name}'. Remove one of them, or get the file anew.")
            seen.add(name)
            batch.append((name, content))
            held += len(content) if isinstance(content, bytes) else _SPAN_BYTES
            if held >= _BATCH_BYTES:
                hand_over(batch)
                batch, held = [], 0

        try:
            produce(path, emit, lambda name: wanted(name) and not _is_of_macos(name), located)
            hand_over(batch)
            batches.put(None)
        except _AbandonedError:
            pass
        except BaseException as error:  # it belongs to the caller, whose thread raises it
            batches.put(explained(error, path))

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


def _is_of_macos(name: str) -> bool:
    """Say whether a member is what macOS notes beside files: it holds no clip."""
    *folders, last = name.split("/")
    return "__MACOSX" in folders or last.startswith("._") or last == ".DS_Store"


class _AbandonedError(Exception):
    """Nobody listens any more."""


def _producer(path: Path) -> Callable[[Path, Emit, Wanted, bool], None]:
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


def _from_7z(path: Path, emit: Emit, wanted: Wanted, located: bool) -> None:
    _seven_zip.read(path, lambda name, data: emit(name, data) if wanted(name) else None)


def _from_tar(path: Path, emit: Emit, wanted: Wanted, located: bool) -> None:
    compressed = not path.name.lower().endswith(".tar")
    with path.open("rb") as file:
        # gzip's own reader, since tarfile's does not verify the checksum.
        plain = io.BufferedReader(gzip.GzipFile(fileobj=file), 1 << 20) if compressed else file  # type: ignore[arg-type]
        skips = located and not compressed  # from header to header
        with tarfile.open(fileobj=plain, mode="r:" if skips else "r|", bufsize=1 << 18) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps every header
                if member.isdir() and set(member.name.split("/")) == {"."}:
                    continue  # the folder itself: `tar -C train .` begins with it
                name = checked(path, member.name, member.size)
                if member.isdir():
                    continue
                if not member.isreg():
                    raise refused(path, member.name)
                if not wanted(name):
                    continue
                if skips and not member.issparse():
                    emit(name, Span(str(path), member.offset_data, member.size))
                elif content := archive.extractfile(member):
                    emit(name, content.read())
        while plain.read(1 << 20):  # to the end, where the checksum is
            pass
        if not compressed:
            # Without compression only the closing zeros tell that nothing is missing.
            file.seek(-min(512, path.stat().st_size), os.SEEK_END)
            if any(file.read()):
                raise tarfile.ReadError("the end of the archive is missing")


def _from_zip(path: Path, emit: Emit, wanted: Wanted, located: bool) -> None:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        for info in infos:
            checked(path, info.orig_filename, info.file_size)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise refused(path, info.filename)
            if info.flag_bits & 1:
                raise encrypted(path)
            if info.compress_type in _UNREAD_ZIP_METHODS:
                raise unread(path, _UNREAD_ZIP_METHODS[info.compress_type])
        for info in infos:
            name = checked(path, _name_of(info), info.file_size)
            if not info.is_dir() and wanted(name):
                emit(name, archive.read(info))


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return a member's name, which `zip` writes in UTF-8 without saying so: Python reads it as code page 437."""
    if info.flag_bits & 0x800:
        return info.filename
    with suppress(UnicodeError):
        return info.filename.encode("cp437").decode()
    return info.filename


def _from_folder(path: Path, emit: Emit, wanted: Wanted, located: bool) -> None:
    for name, file in _files(path):
        if wanted(name):
            span = Span(file.path, 0, file.stat().st_size)
            emit(name, span if located else span.read())


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (relative name, path) of every file below `folder`, sorted; refuse links that lead out of it, and devices.

    What macOS adds of its own is left out. Raises PipelineError for those, for a link to a folder (its files would be
    read twice, or for ever), and for a name that is not UTF-8.
    """
    for name, file in _files(folder):
        if not _is_of_macos(name):
            yield name, Path(file.path)


def _files(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    root = folder.resolve()
    left = [(str(root), "")]
    while left:
        parent, relative = left.pop()
        entries = sorted(os.scandir(parent), key=lambda entry: entry.name)
        deeper = []
        for entry in entries:
            name = relative + entry.name
            if entry.is_dir():
                if entry.is_symlink():
                    raise refused(folder, name)
                deeper.append((entry.path, f"{name}/"))
            elif entry.is_file() and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root)):
                yield checked(folder, name, entry.stat().st_size), entry
            else:
                raise refused(folder, name)
        left += reversed(deeper)
