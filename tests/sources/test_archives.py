import zipfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import py7zr
import pytest

from pipeline.clips.recording import Recording, SplitList, bytes_of
from pipeline.errors import PipelineError
from pipeline.sources import archives
from pipeline.sources.archives import Params, answers, catalogue, fetch, read, sample

TRAIN = {
    "audio/yes/0a_nohash_0.wav": b"1",
    "audio/no/without_speaker.wav": b"2",
    "audio/yes/notes.txt": b"3",
    "audio/stray.wav": b"7",
    "audio/_background_noise_/pink_noise.wav": b"4",
    "audio/_background_noise_/README.md": b"about",
    "validation_list.txt": b"yes/0a_nohash_0.wav\r\nno/b.wav\n\n",
    "testing_list.txt": b"",
    "README.md": b"about",
    "LICENSE": b"about",
}
TEST = {"audio/clip_b.wav": b"5", "audio/clip_a.wav": b"6"}
SAMPLE = b"fname,label\nclip_b.wav,silence\nclip_a.wav,silence\n"
EXPECTED = {
    Recording("train", "yes/0a_nohash_0.wav", b"1", "yes", "0a"),
    Recording("train", "no/without_speaker.wav", b"2", "no"),
    Recording("train", "yes/notes.txt", b"3", "yes"),
    Recording("train", "stray.wav", b"7"),
    Recording("train", "_background_noise_/pink_noise.wav", b"4", is_noise=True),
    SplitList("validation", frozenset({"yes/0a_nohash_0.wav", "no/b.wav"})),
    SplitList("testing", frozenset()),
    Recording("test", "clip_a.wav", b"6"),
    Recording("test", "clip_b.wav", b"5"),
}
MINI = Path(__file__).parents[2] / "../shared/data/mini-competition"


def packed(path: Path, files: dict[str, bytes]) -> None:
    with py7zr.SevenZipFile(path, "w") as file:
        for name, data in files.items():
            file.writestr(data, name)


def unpacked(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def kaggle_archives(folder: Path) -> None:
    packed(folder / "train.7z", {f"train/{name}": data for name, data in TRAIN.items()})
    packed(folder / "test.7z", {f"test/{name}": data for name, data in TEST.items()})
    packed(folder / "sample_submission.7z", {"sample_submission.csv": SAMPLE})


def kaggle_folders(folder: Path) -> None:
    unpacked(folder / "train", TRAIN)
    unpacked(folder / "test", TEST)
    (folder / "sample_submission.csv").write_bytes(SAMPLE)


def one_deeper(folder: Path) -> None:
    unpacked(folder / "train/train", TRAIN)
    unpacked(folder / "test/test", TEST)
    unpacked(folder / "sample_submission", {"sample_submission.csv": SAMPLE})


def without_audio_folder(folder: Path) -> None:
    unpacked(folder / "train", {name.removeprefix("audio/"): data for name, data in TRAIN.items()})
    unpacked(folder / "test", {name.removeprefix("audio/"): data for name, data in TEST.items()})
    (folder / "sample_submission.csv").write_bytes(SAMPLE)


@pytest.mark.parametrize("layout", [kaggle_archives, kaggle_folders, one_deeper, without_audio_folder])
def test_every_layout_reads_the_same(tmp_path, layout):
    layout(tmp_path)
    files = fetch(Params(folder=tmp_path), seed=0)
    assert [file.role for file in files] == ["train", "test", "sample"]
    assert {
        replace(each, data=bytes_of(each.data)) if isinstance(each, Recording) else each for each in read(files)
    } == (EXPECTED)
    assert sample(files) == ["clip_b.wav", "clip_a.wav"]
    assert answers(files) is None


def test_archives_go_before_folders(tmp_path):
    kaggle_archives(tmp_path)
    (tmp_path / "train").mkdir()
    assert catalogue(tmp_path)[0].path == str(tmp_path / "train.7z")


def test_identity_follows_the_content(tmp_path):
    kaggle_folders(tmp_path)
    before = catalogue(tmp_path)
    assert before == catalogue(tmp_path)
    assert (before[0].bytes, before[2].bytes) == (sum(map(len, TRAIN.values())), len(SAMPLE))
    (tmp_path / "train/audio/yes/new.wav").write_bytes(b"new")
    (tmp_path / "sample_submission.csv").write_bytes(SAMPLE[:-1] + b" ")
    after = catalogue(tmp_path)
    assert [a.sha256 == b.sha256 for a, b in zip(after, before, strict=True)] == [False, True, False]


def test_one_error_lists_everything_missing(tmp_path):
    (tmp_path / "train").mkdir()  # empty, so as good as absent
    packed(tmp_path / "test.7z", TEST)
    with pytest.raises(PipelineError) as caught:
        fetch(Params(folder=tmp_path, answers=tmp_path / "answers.csv"), seed=0)
    text = str(caught.value)
    assert f"in {tmp_path}" in text
    assert "train: none of train.7z, train.zip" in text
    assert "sample_submission: none of" in text
    assert "answers: there is no file" in text
    assert "test: none" not in text
    assert "https://www.kaggle.com/c/tensorflow-speech-recognition-challenge/data" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the first line must be 'fname,label'; found ''"),
        (b"name,label\na,b\n", "found 'name,label'"),
        (b"fname,label\n", "holds no rows"),
        (b"fname,label\na.wav,yes\na.wav,no\n", r"lists 1 clips more than once, 'a\.wav'"),
        (b"fname,label\na.wav\n", r"expected 2 values a line; found 'a\.wav'"),
        ("fname,label\né.wav,yes\n".encode("latin-1"), "not UTF-8"),
        (b'fname,label\n"a.wav,yes\n', "no valid CSV"),
    ],
)
def test_broken_sample_submissions(tmp_path, content, message):
    kaggle_folders(tmp_path)
    (tmp_path / "sample_submission.csv").write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        sample(catalogue(tmp_path))


def test_byte_order_mark_is_no_part_of_the_header(tmp_path):
    kaggle_folders(tmp_path)
    (tmp_path / "sample_submission.csv").write_bytes(b"\xef\xbb\xbf" + SAMPLE)
    assert sample(catalogue(tmp_path)) == ["clip_b.wav", "clip_a.wav"]


def test_sample_archive_must_hold_one_table(tmp_path):
    kaggle_archives(tmp_path)
    packed(tmp_path / "sample_submission.7z", {"a.csv": SAMPLE, "b.csv": SAMPLE})
    with pytest.raises(PipelineError, match="it holds 2"):
        sample(catalogue(tmp_path))


def test_answers(tmp_path):
    kaggle_folders(tmp_path)
    path = tmp_path / "answers.csv"
    path.write_text("fname,label,usage\nclip_a.wav,yes,public\nclip_b.wav,unknown,PRIVATE\n")
    files = catalogue(tmp_path, path)
    assert files[3].role == "answers"
    assert answers(files).to_dict("list") == {
        "fname": ["clip_a.wav", "clip_b.wav"],
        "label": ["yes", "unknown"],
        "usage": ["Public", "Private"],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("fname,label\na.wav,yes\n", "found 'fname,label'. Write usage Private in each row"),
        ("fname,label,usage\na.wav,yes,ignored\n", r"usage of a\.wav is 'Ignored'"),
    ],
)
def test_broken_answers(tmp_path, content, message):
    kaggle_folders(tmp_path)
    path = tmp_path / "answers.csv"
    path.write_text(content)
    with pytest.raises(PipelineError, match=message):
        answers(catalogue(tmp_path, path))


def test_unreadable_list(tmp_path):
    unpacked(tmp_path, {"validation_list.txt": b"\xff\xfe"})
    with pytest.raises(PipelineError, match=r"validation_list\.txt is not UTF-8"):
        list(archives.training(tmp_path))


@pytest.mark.skipif(not MINI.exists(), reason="the mini-competition is not here")
def test_mini_competition():
    files = fetch(Params(folder=MINI), seed=0)
    names = sample(files)
    assert len(names) == 1_720
    first = list(islice(archives.test(Path(files[1].path)), 50))
    assert {recording.name for recording in first} <= set(names)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"name\na\n", "must begin with the column fname"), (b"", "found nothing"), (b"fname\n\xff\n", "no CSV in UTF-8")],
)
def test_a_sample_of_another_shape(tmp_path, data, message):
    path = tmp_path / "sample_submission.csv"
    path.write_bytes(data)
    with pytest.raises(PipelineError, match=message):
        archives.names(path)
    with pytest.raises(PipelineError, match="cannot be read"):
        archives.names(tmp_path / "missing.csv")


def test_a_path_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError) as error:
        archives.describe("train", Path("data/recordings"))
    assert str(error.value) == (
        f"There is no data/recordings (looked for at {tmp_path / 'data/recordings'}). "
        "Set the path under download in params.yaml."
    )


def zipped(path: Path, files: dict[str, bytes]) -> None:
    """Pack as macOS does: each file has a twin of Apple's own data, and each folder may have a .DS_Store."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in files.items():
            folder, _, last = name.rpartition("/")
            twin = f"{folder}/._{last}".lstrip("/")
            file.writestr(name, data)
            file.writestr(f"__MACOSX/{twin}", b"\x00\x05\x16\x07")
            file.writestr(twin, b"\x00\x05\x16\x07")
        file.writestr(f"{name.split('/')[0]}/.DS_Store" if "/" in name else ".DS_Store", b"Bud1")


def test_zips_of_macos_read_the_same(tmp_path):
    zipped(tmp_path / "train.zip", {f"train/{name}": data for name, data in TRAIN.items()})
    zipped(tmp_path / "test.zip", {f"test/{name}": data for name, data in TEST.items()})
    zipped(tmp_path / "sample_submission.zip", {"sample_submission.csv": SAMPLE})
    files = fetch(Params(folder=tmp_path), seed=0)
    assert set(read(files)) == EXPECTED
    assert sample(files) == archives.names(tmp_path / "sample_submission.zip") == ["clip_b.wav", "clip_a.wav"]


def test_a_folder_that_a_mac_has_looked_at_is_the_same_folder(tmp_path):
    unpacked(tmp_path / "train", TRAIN)
    before = archives.describe("train", tmp_path / "train")
    unpacked(tmp_path / "train", {".DS_Store": b"Bud1", "audio/._a.wav": b"5"})
    assert archives.describe("train", tmp_path / "train") == before


def test_noise_in_folders_of_its_own_is_noise_in_both_layouts(tmp_path):
    name = "_background_noise_/kitchen/tap.wav"
    for layout, prefix in {"kaggle": "train/audio/", "public": "", "deeper": "speech_commands/"}.items():
        unpacked(tmp_path / layout, {f"{prefix}{name}": b"4", f"{prefix}yes/a_nohash_0.wav": b"1"})
        found = {replace(each, data=b"") for each in archives.training(tmp_path / layout)}
        assert found == {
            Recording("train", name, is_noise=True),
            Recording("train", "yes/a_nohash_0.wav", b"", "yes", "a"),
        }


def test_clips_may_be_called_as_what_tells_of_an_archive(tmp_path):
    unpacked(tmp_path / "train", {"audio/readme/readme.0.wav": b"1", "audio/README.md": b"2", "LICENSE": b"3"})
    unpacked(tmp_path / "test", {"audio/license.wav": b"1", "README.txt": b"2"})
    assert [item.name for item in archives.training(tmp_path / "train")] == ["readme/readme.0.wav"]
    assert [item.name for item in archives.test(tmp_path / "test")] == ["license.wav"]


def test_a_test_clip_in_a_folder_below_audio_keeps_the_folder_in_its_name(tmp_path):
    unpacked(tmp_path / "test", {"audio/a/clip.wav": b"1", "audio/b/clip.wav": b"2"})
    assert {item.name: bytes_of(item.data) for item in archives.test(tmp_path / "test")} == {
        "a/clip.wav": b"1",
        "b/clip.wav": b"2",
    }
