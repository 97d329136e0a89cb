"""Reading .7z, block by block, from the first byte to the last."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import py7zr
from py7zr.exceptions import Bad7zFile

from pipeline.sources._archive_refusals import checked, encrypted, refused

_PIECE_BYTES = 1 << 18
_INPUT_BYTES = 1 << 16

Emit = Callable[[str, bytes], None]


def read(path: Path, emit: Emit) -> None:
    """Give each file's name and content to `emit`. Raises PipelineError as `_archive.members`, or what py7zr raises."""
    with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
        if archive.needs_password():
            raise encrypted(path)
        for member in archive.files:
            if member.is_symlink or member.is_junction or member.is_socket:
                raise refused(path, member.filename)
            checked(path, member.filename, member.uncompressed)
        for member in archive.files:
            if member.emptystream and not member.is_directory:
                emit(checked(path, member.filename, 0), b"")
        streams = archive.header.main_streams
        if streams is None:
            return
        starts = [archive.afterheader + position for position in streams.packinfo.packpositions]
        for block, start, end in zip(streams.unpackinfo.folders, starts, starts[1:], strict=False):
            file.seek(start)
            _read_block(path, emit, file, block, end - start)


def _read_block(path: Path, emit: Emit, file: BinaryIO, block: Any, packed_bytes: int) -> None:
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
        emit(checked(path, member.filename, len(data)), data)
    if decompressor.crc is not None and not decompressor.check_crc():
        raise Bad7zFile("wrong checksum")


class _Paced:
    """Gives the decompressor input only when it has none left, and little of it."""

    def __init__(self, file: BinaryIO, first: Any):
        self._file, self._first = file, first

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, _INPUT_BYTES)) if getattr(self._first, "needs_input", True) else b""
