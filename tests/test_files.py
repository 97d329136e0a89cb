from pathlib import Path

import pytest

from pipeline.files import read_json, replacing, replacing_folder, sha256_of, write_json


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    with pytest.raises(RuntimeError, match="cut off"):
        _half_written(path)
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replacing_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError, match="cut off"):
        _half_filled(folder)
    assert [entry.name for entry in folder.iterdir()] == ["a"]
    with replacing_folder(folder) as temporary:
        (temporary / "c").write_text("3")
    assert [entry.name for entry in folder.iterdir()] == ["c"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / ".folder.99999999.part"
    left.mkdir()
    (left / "half").write_text("x")
    with replacing_folder(tmp_path / "folder") as temporary:
        (temporary / "a").write_text("1")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder"]


def test_json_comes_back_and_its_hash_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"käse": [1, 2.5, None]})
    assert read_json(path) == {"käse": [1, 2.5, None]}
    assert path.read_text(encoding="utf-8").endswith("}\n")
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _half_written(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("new, but only half")
        raise RuntimeError("cut off")


def _half_filled(folder: Path) -> None:
    with replacing_folder(folder) as temporary:
        (temporary / "b").write_text("2")
        raise RuntimeError("cut off")
