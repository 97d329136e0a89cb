"""The file is real, written by TensorFlow: see tests/sources/test_audioset.py."""

import struct
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.sources import _tfrecord as tfrecord
from pipeline.sources._tfrecord import DamagedRecord, masked_crc32c, records

STORED = Path(__file__).parents[1] / "sources/audioset_by_tensorflow.tfrecord"
WHOLE = list(records(STORED))


def read(path: Path, data: bytes) -> list[bytes | DamagedRecord]:
    path.write_bytes(data)
    return list(records(path))


def test_tensorflow_file_is_read_to_its_end():
    assert all(isinstance(record, bytes) for record in WHOLE)
    assert WHOLE[14] == b"\xff\xffno message"
    assert sum(map(len, WHOLE)) + 16 * len(WHOLE) == STORED.stat().st_size


def test_wrong_data_costs_one_record(tmp_path):
    data = bytearray(STORED.read_bytes())
    data[12] ^= 128
    assert read(tmp_path / "a", data) == [DamagedRecord("wrong checksum of the data"), *WHOLE[1:]]


def test_a_wrong_length_costs_the_rest(tmp_path):
    data = bytearray(STORED.read_bytes())
    second = len(WHOLE[0]) + 16
    data[second] ^= 1
    lost = f"wrong checksum of the length of a record; the last {len(data) - second} bytes of the file are lost"
    assert read(tmp_path / "a", data) == [WHOLE[0], DamagedRecord(lost)]


@pytest.mark.parametrize("kept", [1, 8, 11])
def test_a_file_that_ends_in_a_length(tmp_path, kept):
    lost = f"cut off in the length of a record; the last {kept} bytes of the file are lost"
    assert read(tmp_path / "a", STORED.read_bytes()[: len(WHOLE[0]) + 16 + kept])[1:] == [DamagedRecord(lost)]


@pytest.mark.parametrize("missing", [1, 4, 5, 100])
def test_a_file_that_ends_in_a_record(tmp_path, missing):
    found = read(tmp_path / "a", STORED.read_bytes()[:-missing])
    lost = f"cut off in a record of {len(WHOLE[-1])} bytes; the last {len(WHOLE[-1]) + 16 - missing} bytes of the file"
    assert found == [*WHOLE[:-1], DamagedRecord(f"{lost} are lost")]


def test_a_length_beyond_all_memory_is_not_believed(tmp_path):
    length = struct.pack("<Q", 1 << 62)
    head = length + struct.pack("<I", masked_crc32c(length))
    lost = f"cut off in a record of {1 << 62} bytes; the last 1012 bytes of the file are lost"
    assert read(tmp_path / "a", head + bytes(1000)) == [DamagedRecord(lost)]


def test_a_record_that_is_too_large_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord, "LARGEST_RECORD_BYTES", 1000)
    found = list(records(STORED))
    assert found[0] == DamagedRecord(f"a record of {len(WHOLE[0])} bytes; 1000 is the most")
    assert [b for a, b in zip(WHOLE, found, strict=True) if len(a) <= 1000] == [a for a in WHOLE if len(a) <= 1000]


def test_a_flipped_byte_never_goes_unnoticed(tmp_path):
    data = STORED.read_bytes()
    for at in range(0, len(data), 13):
        found = read(tmp_path / "a", data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        assert sum(isinstance(record, DamagedRecord) for record in found) == 1
        assert all(record in WHOLE for record in found if isinstance(record, bytes))


def test_an_empty_file_has_no_records(tmp_path):
    assert read(tmp_path / "a", b"") == []


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(PipelineError, match=r"none\.tfrecord cannot be read: No such file"):
        list(records(tmp_path / "none.tfrecord"))
