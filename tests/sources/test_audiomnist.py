import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.clips.recording import Recording, Rejected
from pipeline.clips.waveform import decode
from pipeline.errors import PipelineError
from pipeline.sources.audiomnist import Params, fetch, read

SPOKEN_DIGITS = Path(__file__).parents[2] / "../shared/data/spoken-digits.zip"
META = "data/audioMNIST_meta.txt"
SPEAKERS = {
    "01": {"accent": "german", "age": 30, "gender": "male", "native speaker": "no", "recordingroom": "Kino"},
    "02": {"accent": "German", "age": "1234", "gender": "female", "native speaker": "no", "recordingroom": " "},
    "12": {"accent": "German", "age": None, "gender": "female", "native speaker": "yes", "origin": ""},
}


def tone(value: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(24_000, value), 48_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


FILES = {
    "data/01/0_01_0.wav": tone(0.1),
    "data/01/7_01_49.wav": tone(0.2),
    "data/02/7_02_3.wav": tone(0.3),
    "data/12/9_12_11.wav": tone(0.4),
    META: json.dumps(SPEAKERS).encode(),
}
METADATA = {
    "01": {"accent": "German", "age": "30", "gender": "male", "native speaker": "no", "recordingroom": "Kino"},
    "02": {"accent": "German", "gender": "female", "native speaker": "no"},
    "12": {"accent": "German", "gender": "female", "native speaker": "yes"},
}
CLIPS = [
    Recording("train", "01/0_01_0.wav", FILES["data/01/0_01_0.wav"], "0", "01", metadata=METADATA["01"]),
    Recording("train", "01/7_01_49.wav", FILES["data/01/7_01_49.wav"], "7", "01", metadata=METADATA["01"]),
    Recording("train", "02/7_02_3.wav", FILES["data/02/7_02_3.wav"], "7", "02", metadata=METADATA["02"]),
    Recording("train", "12/9_12_11.wav", FILES["data/12/9_12_11.wav"], "9", "12", metadata=METADATA["12"]),
]


def zipped(folder: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    with zipfile.ZipFile(folder / "audiomnist.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(prefix + name, data)
    return folder / "audiomnist.zip"


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def items(path: Path) -> list[Recording | Rejected]:
    return list(read(fetch(Params(path=path), seed=0)))


def test_zip(tmp_path):
    files = fetch(Params(path=zipped(tmp_path, FILES)), seed=0)
    assert [(file.role, Path(file.path).name) for file in files] == [("train", "audiomnist.zip")]
    assert list(read(files)) == CLIPS
    assert len(decode(CLIPS[0].data).samples) == 8_000


def test_unpacked(tmp_path):
    unpacked(tmp_path, FILES)
    assert items(tmp_path) == items(tmp_path / "data") == CLIPS
    before = fetch(Params(path=tmp_path), seed=0)
    (tmp_path / META).write_bytes(FILES[META].replace(b"30", b"31"))
    assert fetch(Params(path=tmp_path), seed=0) != before


def test_a_clone_is_read_without_the_repository_around_the_data(tmp_path):
    unpacked(tmp_path, FILES | {".git/objects/pack/a.pack": b"x", "audiomnist/train.py": b"x"})
    assert items(tmp_path) == CLIPS


def test_a_zip_of_the_repository(tmp_path):
    around = {"README.md": b"x", "audiomnist/train.py": b"x", "elsewhere/0_01_0.wav": b"x"}
    found = items(zipped(tmp_path, around | FILES, prefix="AudioMNIST-master/"))
    stray = "AudioMNIST-master/elsewhere/0_01_0.wav"
    assert found == [Rejected("train", stray, "not in the folder of audioMNIST_meta.txt"), *CLIPS]


def test_a_folder_with_the_unpacked_zip_of_the_repository(tmp_path):
    unpacked(tmp_path, {f"AudioMNIST-master/{name}": data for name, data in FILES.items()})
    assert items(tmp_path) == CLIPS


def test_values_that_differ_in_case_get_the_commonest_spelling(tmp_path):
    speakers = {f"{i:02}": {"recordingroom": room} for i, room in enumerate(["VR-Room", "vr-room", "Kino", "vr-room"])}
    clips = {f"data/{speaker}/1_{speaker}_0.wav": b"" for speaker in speakers}
    found = items(zipped(tmp_path, {META: json.dumps(speakers).encode(), **clips}))
    assert [clip.metadata["recordingroom"] for clip in found] == ["vr-room", "vr-room", "Kino", "vr-room"]


@pytest.mark.parametrize("age", [None, "", 0, "1234", "121", "-3", "unknown", "2 5"])
def test_absurd_ages_are_unknown(tmp_path, age):
    files = {META: json.dumps({"01": {"age": age}}).encode(), "data/01/0_01_0.wav": b""}
    assert items(zipped(tmp_path, files))[0].metadata == {}


def test_what_does_not_fit_is_rejected_with_its_reason(tmp_path):
    form = "not named <speaker>/<digit>_<speaker>_<repetition>.wav"
    strays = ["01/0_02_0.wav", "01/10_01_0.wav", "01/0_01_x.wav", "0_01_0.wav", "01/Thumbs.db", "01/a/0_01_0.wav"]
    files = {f"data/{name}": b"x" for name in strays} | {"data/60/0_60_0.wav": b"x"} | FILES
    assert items(zipped(tmp_path, files)) == [
        *(Rejected("train", name, form) for name in strays),
        Rejected("train", "60/0_60_0.wav", "audioMNIST_meta.txt does not know speaker 60"),
        *CLIPS,
    ]


@pytest.mark.parametrize("name", ["../0_01_0.wav", "/data/01/0_01_0.wav", "data/../../01/0_01_0.wav"])
def test_names_that_lead_out_of_the_zip_are_refused(tmp_path, name):
    with pytest.raises(PipelineError, match="unsafe name"):
        fetch(Params(path=zipped(tmp_path, FILES | {name: b"x"})), seed=0)


def test_no_data(tmp_path):
    with pytest.raises(PipelineError, match=r"There is no .*none[\s\S]*https://github\.com/soerenab/AudioMNIST"):
        fetch(Params(path=tmp_path / "none"), seed=0)


@pytest.mark.parametrize("count", [0, 2])
def test_one_file_of_metadata(tmp_path, count):
    files = {f"data{i}/audioMNIST_meta.txt": FILES[META] for i in range(count)}
    with pytest.raises(PipelineError, match=rf"must hold one audioMNIST_meta\.txt.*; it holds {count}"):
        fetch(Params(path=zipped(tmp_path, files | {"a": b""})), seed=0)


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"01": 3}', b'{"01": {"age": [30]}}', b"\xff"])
def test_metadata_of_another_form(tmp_path, content):
    with pytest.raises(PipelineError, match="must be JSON with metadata by speaker"):
        fetch(Params(path=zipped(tmp_path, FILES | {META: content})), seed=0)


def test_no_clips(tmp_path):
    with pytest.raises(PipelineError, match="holds no clip data/<speaker>"):
        items(zipped(tmp_path, {META: FILES[META]}))


@pytest.mark.skipif(not SPOKEN_DIGITS.exists(), reason="needs ../shared/data/spoken-digits.zip")
def test_spoken_digits():
    files = fetch(Params(path=SPOKEN_DIGITS), seed=0)
    counts: dict[tuple[str, str], int] = {}
    metadata, first = {}, None
    tracemalloc.start()
    for clip in read(files):
        counts[clip.speaker, clip.word] = counts.get((clip.speaker, clip.word), 0) + 1
        metadata[clip.speaker] = dict(clip.metadata)
        first = first or clip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts == {(f"{speaker:02}", str(digit)): 50 for speaker in range(1, 7) for digit in range(10)}
    assert metadata["04"] == {"accent": "BEL/French", "gender": "male", "native speaker": "no"}
    assert len({of["accent"] for of in metadata.values()}) == 4
    assert peak < 16 << 20  # the clips are 21 MB; their index takes some, and five batches of a MiB may be under way
    assert decode(first.data).note == "1 channel at 8000 Hz, resampled"
