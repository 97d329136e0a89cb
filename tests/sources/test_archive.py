import base64
import io
import os
import shutil
import stat
import subprocess
import tarfile
import threading
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import py7zr
import pytest

from pipeline.clips.recording import Span, bytes_of
from pipeline.errors import PipelineError
from pipeline.sources import _archive as archive
from pipeline.sources import _archive_refusals
from pipeline.sources._archive import located, members

FILES = {
    "train/audio/yes/a_nohash_0.wav": b"yes" * 9_000,
    "train/audio/no/b_nohash_0.wav": b"no" * 16_000,
    "train/audio/no/empty.wav": b"",
    "train/validation_list.txt": b"yes/a_nohash_0.wav\n",
}
MINI = Path(__file__).parents[2] / "../shared/data/mini-competition/train.7z"


def packed_7z(path: Path, files: dict[str, bytes], **options) -> Path:
    with py7zr.SevenZipFile(path, "w", **options) as file:
        for name, data in files.items():
            file.writestr(data, name)
    return path


def packed_tar(path: Path, files: dict[str, bytes], prefix: str = "", mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:
        for name, data in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def packed_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("train")
        for name, data in files.items():
            file.writestr(name, data)
    return path


def unpacked(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


PACKERS = {
    "train.7z": packed_7z,
    "train.tar.gz": packed_tar,
    "train.tgz": lambda path, files: packed_tar(path, files, prefix="./"),
    "train.tar": lambda path, files: packed_tar(path, files, mode="w"),
    "train.ZIP": packed_zip,
    "train": unpacked,
}


@pytest.mark.parametrize("name", PACKERS)
def test_every_format_gives_every_file(tmp_path, name):
    path = PACKERS[name](tmp_path / name, FILES)
    assert dict(members(path)) == FILES


@pytest.mark.parametrize("name", ["größer/a.wav", "gro\u0308\u00dfer/a.wav", "дом/a.wav"])
def test_a_zip_need_not_say_that_its_names_are_utf8(tmp_path, name):
    """As `zip` makes them on Linux and macOS."""
    path, twin = tmp_path / "train.zip", "x" * len(name.encode())
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(twin, b"1")
    path.write_bytes(path.read_bytes().replace(twin.encode(), name.encode()))
    assert dict(members(path)) == {name: b"1"}


def test_a_name_of_windows_in_a_zip_stays_what_it_is(tmp_path):
    path = tmp_path / "train.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("cafX.wav", b"1")
    path.write_bytes(path.read_bytes().replace(b"cafX", b"caf\x82"))
    assert dict(members(path)) == {"café.wav": b"1"}


@pytest.mark.parametrize("name", PACKERS)
def test_only_what_is_wanted(tmp_path, name):
    path = PACKERS[name](tmp_path / name, FILES)
    lists = {name: data for name, data in FILES.items() if name.endswith(".txt")}
    assert dict(members(path, lambda name: name.endswith(".txt"))) == lists


def test_unwanted_files_of_a_zip_are_not_read(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"a": b"a" * 9_000, "b": b"b"})
    packed = zlib.compress(b"a" * 9_000, wbits=-15)
    path.write_bytes(path.read_bytes().replace(packed, bytes(len(packed))))
    with pytest.raises(PipelineError, match="damaged"):
        list(members(path))
    assert list(members(path, lambda name: name == "b")) == [("b", b"b")]


@pytest.mark.parametrize("filters", [None, [{"id": py7zr.FILTER_COPY}], [{"id": py7zr.FILTER_BZIP2}]])
def test_7z_methods(tmp_path, filters):
    assert dict(members(packed_7z(tmp_path / "a.7z", FILES, filters=filters))) == FILES


# a.wav with the content "yes", packed by 7-Zip with -m0=BCJ2.
BCJ2 = (
    "N3q8ryccAAScYjNKFwAAAAAAAACCAAAAAAAAABwVFdkAPJlKxgUgAAAAAAAAAAAAAAAAAAAAAAEEBgAECQgFBQUABwsBAAQjAwEBBV0AEAAAIwMB"
    "AQVdABAAACMDAQEFXQAQAAAUAwMBGwQBBQAEAQMCAgYBAAwAAAMDAAgKAak153UAAAUBGQsAAAAAAAAAAAAAABENAGEALgB3AGEAdgAAABQKAQAL"
    "ZFnE3HndARUGAQAggKSBAAA="
)


def test_compression_that_is_not_read_is_not_called_damage(tmp_path):
    (tmp_path / "a.7z").write_bytes(base64.b64decode(BCJ2))
    with pytest.raises(PipelineError, match=r"(?s)a\.7z is compressed in a way .*BCJ2.*Unpack it") as error:
        list(members(tmp_path / "a.7z"))
    assert "damaged" not in str(error.value)
    path = packed_zip(tmp_path / "a.zip", {"a.wav": b"yes" * 100})
    data = bytearray(path.read_bytes())
    for at in (data.rindex(b"PK\x03\x04") + 8, data.rindex(b"PK\x01\x02") + 10):
        data[at] = 9  # Deflate64
    path.write_bytes(data)
    with pytest.raises(PipelineError, match=r"(?s)a\.zip is compressed .*Deflate64.*the archive's place"):
        list(members(path))


def test_7z_of_several_blocks(tmp_path):
    path = packed_7z(tmp_path / "a.7z", {"a": b"1" * 70_000})
    with py7zr.SevenZipFile(path, "a") as file:
        file.writestr(b"2" * 70_000, "b")
    assert list(members(path)) == [("a", b"1" * 70_000), ("b", b"2" * 70_000)]


@pytest.mark.parametrize("name", PACKERS)
def test_files_that_lie_plainly_are_only_pointed_at(tmp_path, name):
    found = dict(located(PACKERS[name](tmp_path / name, FILES)))
    assert {name: bytes_of(content) for name, content in found.items()} == FILES
    lie_plainly = name in ("train", "train.tar")
    assert all(isinstance(content, Span) == lie_plainly for content in found.values())


def test_a_file_that_shrank_since_it_was_found_is_told(tmp_path):
    ((_, content),) = located(unpacked(tmp_path / "in", {"a": b"123"}))
    (tmp_path / "in" / "a").write_bytes(b"12")
    with pytest.raises(PipelineError, match="was changed while it was read"):
        bytes_of(content)
    (tmp_path / "in" / "a").unlink()
    with pytest.raises(PipelineError, match="cannot be read"):
        bytes_of(content)


def test_folder_is_sorted(tmp_path):
    unpacked(tmp_path, {"b/2": b"", "b/1": b"", "a": b"", "c": b""})
    assert [name for name, _ in members(tmp_path)] == ["a", "c", "b/1", "b/2"]


@pytest.mark.parametrize("name", ["train.7z", "train.tar.gz", "train.ZIP"])
@pytest.mark.parametrize("bad", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "a\\..\\evil"])
def test_names_that_lead_out_are_refused(tmp_path, name, bad, monkeypatch):
    monkeypatch.setattr(py7zr.py7zr, "check_archive_path", lambda name: True)  # it would not write such an archive
    path = tmp_path / name
    if name.endswith("7z"):
        with py7zr.SevenZipFile(path, "w") as file:
            file.writestr(b"good", "good")
            file.writestr(b"x", "PLACEHOLDER")
            file.files.files_list[-1]["filename"] = bad
    else:
        PACKERS[name](path, {"good": b"good", bad: b"x"})
    with pytest.raises(PipelineError, match="unsafe name"):
        list(members(path))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_tar_links_and_devices_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("yes/a.wav")
        info.type = kind
        info.linkname = "/etc/passwd"
        file.addfile(info)
    with pytest.raises(PipelineError, match=r"'yes/a\.wav', which is a link, device or pipe"):
        list(members(tmp_path / "a.tar"))


def test_zip_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("a.wav")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(PipelineError, match="is a link"):
        list(members(tmp_path / "a.zip"))


def test_7z_link_is_refused(tmp_path):
    os.symlink("/etc/passwd", tmp_path / "a.wav")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as file:
        file.write(tmp_path / "a.wav", "a.wav")
    with pytest.raises(PipelineError, match="is a link"):
        list(members(tmp_path / "a.7z"))


def test_folder_links(tmp_path):
    folder = unpacked(tmp_path / "in", {"a": b"1"})
    os.symlink("a", folder / "b")
    assert dict(members(folder)) == {"a": b"1", "b": b"1"}
    (tmp_path / "secret").write_bytes(b"2")
    os.symlink("../secret", folder / "c")
    with pytest.raises(PipelineError, match="'c', which is a link"):
        list(members(folder))
    (folder / "c").unlink()
    os.symlink(".", folder / "d")
    with pytest.raises(PipelineError, match="'d', which is a link"):
        list(members(folder))
    (folder / "d").unlink()
    os.mkfifo(folder / "e")
    with pytest.raises(PipelineError, match="'e', which is a link, device or pipe"):
        list(members(folder))


@pytest.mark.parametrize("name", ["train.7z", "train.tar.gz", "train.tar", "train.ZIP"])
def test_truncated_archive(tmp_path, name):
    noise = {f"{i}.wav": np.random.default_rng(i).bytes(32_044) for i in range(8)}
    path = PACKERS[name](tmp_path / name, noise)
    whole = path.read_bytes()
    # A .tar may be cut exactly between two files, where only the missing end tells.
    for length in (0, 10, len(whole) // 2, 33_280 * 3, len(whole) - 10_300):
        path.write_bytes(whole[:length])
        with pytest.raises(PipelineError, match=rf"{name} is damaged or incomplete"):
            list(members(path))


@pytest.mark.parametrize("name", ["train.7z", "train.tar.gz", "train.ZIP"])
def test_flipped_bits_are_found(tmp_path, name):
    path = PACKERS[name](tmp_path / name, {"a": np.random.default_rng(0).bytes(100_000)})
    data = bytearray(path.read_bytes())
    data[50_000] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(PipelineError, match="damaged or incomplete"):
        list(members(path))


def test_damaged_7z_never_raises_anything_else(tmp_path):
    path = packed_7z(tmp_path / "a.7z", FILES)
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes(data)
        try:
            assert dict(members(path)) == FILES  # a date, say
        except PipelineError as error:
            assert "a.7z" in str(error)  # noqa: PT017 (either outcome is right)


def test_encrypted_archives(tmp_path):
    for options in ({}, {"header_encryption": True}):
        path = packed_7z(tmp_path / "a.7z", FILES, password="secret", **options)
        with pytest.raises(PipelineError, match="protected by a password"):
            list(members(path))
    path = packed_zip(tmp_path / "a.zip", {"a": b"1"})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(PipelineError, match="protected by a password"):
        list(members(path))


def test_repeated_names_are_refused(tmp_path):
    path = packed_tar(tmp_path / "a.tgz", {"a": b"1", "./a": b"2"})
    with pytest.raises(PipelineError, match="two files named 'a'"):
        list(members(path))


@pytest.mark.parametrize("name", PACKERS)
def test_too_large_a_member_is_refused(tmp_path, name, monkeypatch):
    monkeypatch.setattr(_archive_refusals, "_LARGEST_MEMBER_BYTES", 10_000)
    with pytest.raises(PipelineError, match="MiB"):
        list(members(PACKERS[name](tmp_path / name, FILES)))


def test_missing_and_unknown_files(tmp_path):
    with pytest.raises(PipelineError, match="no file or folder"):
        list(members(tmp_path / "none.7z"))
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(PipelineError, match=r"a\.rar is no archive"):
        list(members(tmp_path / "a.rar"))


def producers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("members of")]


@pytest.mark.parametrize("name", PACKERS)
def test_an_abandoned_iterator_ends_its_thread(tmp_path, name):
    noise = {f"{i}.wav": bytes(1 << 20) for i in range(20)}
    stream = members(PACKERS[name](tmp_path / name, noise))
    next(stream)
    time.sleep(0.05)  # the producer now waits for room
    assert producers()
    stream.close()
    assert not producers()


def test_memory_stays_flat(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_BATCH_BYTES", 1 << 16)
    noise = {f"{i}.wav": np.random.default_rng(i).bytes(1 << 15) for i in range(96)}
    path = packed_7z(tmp_path / "a.7z", noise, filters=[{"id": py7zr.FILTER_LZMA2, "preset": 0}])
    assert path.stat().st_size > 3 << 20
    tracemalloc.start()
    try:
        stream = members(path)
        next(stream)
        tracemalloc.reset_peak()  # reading the header takes a fixed amount for a moment
        assert sum(1 for _ in stream) == 95
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20  # so neither the packed nor the plain bytes are kept


@pytest.mark.skipif(not MINI.exists(), reason="the mini-competition is not here")
@pytest.mark.skipif(shutil.which("7z") is None, reason="needs the program 7z")
def test_real_archive_agrees_with_7z(tmp_path):
    small = MINI.with_name("sample_submission.7z")
    expected = subprocess.run(["7z", "x", "-so", str(small)], capture_output=True, check=True).stdout
    assert list(members(small)) == [("sample_submission.csv", expected)]


@pytest.mark.parametrize(("name", "mode"), [("train.tar", "w"), ("train.tgz", "w:gz")])
@pytest.mark.parametrize("root", ["./", ".", "././"])
def test_the_folder_itself_in_a_tar_is_no_unsafe_name(tmp_path, name, mode, root):
    """`tar -C train -czf train.tgz .` begins with it."""
    with tarfile.open(tmp_path / name, mode) as file:
        info = tarfile.TarInfo(root)
        info.type = tarfile.DIRTYPE
        file.addfile(info)
        for member, data in FILES.items():
            info = tarfile.TarInfo(f"./{member}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    assert dict(members(tmp_path / name)) == FILES


NOT_UTF8 = os.fsdecode(b"yes/caf\xe9.wav")


@pytest.mark.parametrize("name", ["train", "train.tar", "train.tgz"])
def test_a_name_that_is_not_utf8_is_refused(tmp_path, name):
    path = PACKERS[name](tmp_path / name, {"yes/a.wav": b"1", NOT_UTF8: b"2"})
    with pytest.raises(PipelineError, match=r"yes/caf\\udce9\.wav', which is not UTF-8.*Rename it") as error:
        list(members(path, lambda name: name == "yes/a.wav"))
    str(error.value).encode()  # it can be printed
    if path.is_dir():
        with pytest.raises(PipelineError, match="Rename it"):
            list(archive.files_below(path))
