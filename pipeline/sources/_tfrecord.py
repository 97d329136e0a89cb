"""The record framing of TensorFlow's TFRecord files, uncompressed.

A record is: length, uint64; masked CRC-32C of those 8 bytes, uint32; data; masked CRC-32C of the data, uint32; all
little endian. Source: TensorFlow, tensorflow/core/lib/io/record_writer.h and hash/crc32c.h (the mask).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from pipeline.errors import PipelineError

# A clip of AudioSet takes 1.5 kB. What is larger than this is no clip, or made to fill the memory.
LARGEST_RECORD_BYTES = 64 << 20

_LENGTH = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True)
class DamagedRecord:
    """A record that cannot be used; the reason says what else was lost with it."""

    reason: str


def records(path: Path) -> Iterator[bytes | DamagedRecord]:
    """Yield the data of each record, or what is wrong with it; one record at a time is in memory.

    Reading goes on behind a record with wrong data or too much of it. Where the length itself is wrong or the file
    ends too early, nothing tells where the next record starts: one last DamagedRecord accounts for the rest. Raises
    PipelineError if the file cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while (start := file.tell()) < size:
                head = file.read(_LENGTH.size)
                rest = f"the last {size - start} bytes of the file are lost"
                if len(head) < _LENGTH.size:
                    yield DamagedRecord(f"cut off in the length of a record; {rest}")
                    return
                length, length_checksum = _LENGTH.unpack(head)
                if masked_crc32c(head[:8]) != length_checksum:
                    yield DamagedRecord(f"wrong checksum of the length of a record; {rest}")
                    return
                end = start + _LENGTH.size + length + _CHECKSUM.size
                if end > size:
                    yield DamagedRecord(f"cut off in a record of {length} bytes; {rest}")
                    return
                if length > LARGEST_RECORD_BYTES:
                    yield DamagedRecord(f"a record of {length} bytes; {LARGEST_RECORD_BYTES} is the most")
                    file.seek(end)
                    continue
                data = file.read(length)
                (checksum,) = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
                yield data if masked_crc32c(data) == checksum else DamagedRecord("wrong checksum of the data")
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C as TFRecord stores it: rotated right by 15 bits, plus a constant, modulo 2^32."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
