import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing, replacing_folder, restored, sha256_of, write_json, yaml_text

ROOT = Path(__file__).resolve().parents[1]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    with pytest.raises(RuntimeError, match="cut off"):
        _half_written(path)
    assert path.read_text() == "old"
    assert names(path.parent) == ["file.txt"]


def test_a_folder_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with replacing_folder(folder) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError, match="cut off"):
        _half_filled(folder)
    assert names(folder) == ["a"]
    with replacing_folder(folder) as temporary:
        (temporary / "c").write_text("3")
        assert names(folder) == ["a"]
    assert names(folder) == ["c"]
    assert names(tmp_path) == ["folder"]


def test_json_comes_back_and_its_hash_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"käse": [1, 2.5, None]})
    assert read_json(path) == {"käse": [1, 2.5, None]}
    assert path.read_text(encoding="utf-8").endswith("}\n")
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("text", ["", "{", "\x00\x00"])
def test_a_file_that_a_power_cut_has_left_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PipelineError, match=r"a\.json is no JSON .*Delete it, and run: dvc repro"):
        read_json(tmp_path / "a.json")


def test_yaml_comes_back_as_params_are_read(tmp_path: Path) -> None:
    # Words that YAML 1.1 may write bare, and YAML 1.2 reads as numbers: a short Git hash, say.
    values = {"runs": {"b": {"revision": "12e4"}, "a": {"name": "0o17", "long": "word " * 80}}, "seed": 1}
    path = tmp_path / "params.yaml"
    path.write_text(yaml_text(values), encoding="utf-8")
    assert params.read(path) == values
    assert list(params.read(path)["runs"]) == ["b", "a"]


REPLACING = """
    import os
    import shutil
    import signal
    import sys
    from pathlib import Path

    from pipeline import files

    folder, point = Path(sys.argv[1]), int(sys.argv[2])

    def die_at(number, function, after=False):
        def call(*arguments, **options):
            if number == point and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if number == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return call

    replaced = []

    def replace(source, target):
        replaced.append(target)
        # 1: before the old folder is moved; 2: between the two renames; 3: before and 4: after the old one is doomed.
        die_at(len(replaced), die_at(4 if len(replaced) == 3 else None, os_replace, after=True))(source, target)

    os_replace, os.replace = os.replace, replace
    with files.replacing_folder(folder) as temporary:
        for name in "ab":
            (temporary / f"{name}.json").write_text('"new"')
        if point == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    if point == 5:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE)


def contents(folder: Path) -> list[str]:
    return [read_json(folder / f"{name}.json") for name in "ab"]


def filled(folder: Path, content: str) -> None:
    with replacing_folder(folder) as temporary:
        for name in "ab":
            write_json(temporary / f"{name}.json", content)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize(
    ("point", "left"), [(0, "old"), (1, "old"), (2, "old"), (3, "new"), (4, "new"), (5, "new")], ids=lambda value: value
)
def test_killed_at_any_point_a_reader_sees_one_whole_version_and_the_next_call_mends(
    point: int, left: str, tmp_path: Path
) -> None:
    folder = tmp_path / "there" / "folder"
    filled(folder, "old")
    killed = start(REPLACING, folder, point)
    assert killed.wait() == -signal.SIGKILL, killed.communicate()[1]
    assert folder.exists() is (point != 2)
    assert contents(folder) == [left, left]
    filled(folder, "newest")
    assert contents(folder) == ["newest", "newest"]
    assert names(folder.parent) == ["folder"]


def test_what_a_kill_left_is_never_half_of_a_folder(tmp_path: Path) -> None:
    """Killed while it deleted the old folder; then someone deletes the new one, as DVC does before it runs a stage."""
    half = tmp_path / ".folder.doomed"
    half.mkdir()
    (half / "a.json").write_text('"old"')
    assert not restored(tmp_path / "folder").exists()
    filled(tmp_path / "folder", "new")
    assert names(tmp_path) == ["folder"]


HOLDING = """
    import sys
    import time
    from pathlib import Path

    from pipeline import files

    folder = Path(sys.argv[1])
    with files.replacing_folder(folder) as temporary:
        (temporary / "a.json").write_text('"first"')
        (folder.parent / "holds").touch()
        while not (folder.parent / "go").exists():
            time.sleep(0.01)
        (temporary / "b.json").write_text('"first"')
"""


def test_the_temporary_folder_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    filled(folder, "old")
    first = start(HOLDING, folder)
    while not (tmp_path / "holds").exists():
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.01)
    assert contents(folder) == ["old", "old"]
    filled(tmp_path / "folder.2", "other")  # one whose name begins alike
    second = start(REPLACING, folder, -1)
    time.sleep(0.5)
    assert (second.poll(), contents(folder)) == (None, ["old", "old"])  # it waits
    (tmp_path / "go").touch()
    assert (first.wait(), second.wait()) == (0, 0), first.communicate()[1] + second.communicate()[1]
    assert contents(folder) == ["new", "new"]
    assert names(tmp_path) == ["folder", "folder.2", "go", "holds"]


def _half_written(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("new, but only half")
        raise RuntimeError("cut off")


def _half_filled(folder: Path) -> None:
    with replacing_folder(folder) as temporary:
        (temporary / "b").write_text("2")
        raise RuntimeError("cut off")
