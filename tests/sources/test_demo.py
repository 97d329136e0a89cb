import io
import json
import shutil
import wave
from collections import Counter

import numpy as np
import pandas
import py7zr
import pytest
from py7zr.io import BytesIOFactory
from pydantic import ValidationError

from pipeline.clips.labels import COMMANDS
from pipeline.clips.recording import SplitList
from pipeline.errors import PipelineError
from pipeline.sources import demo
from pipeline.synthesis import espeak, speech

TINY = {
    "train_voices": 4,
    "validation_share": 0.25,
    "test_voices": 2,
    "clips_per_command": 5,
    "clips_per_other_word": 2,
    "test_clips_per_label": 5,
    "background_seconds": 3,
}
NAMES = ("train.7z", "test.7z", "sample_submission.7z", "answers.csv")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    params = demo.Params(folder=tmp_path_factory.mktemp("demo"), **TINY)
    return params, demo.fetch(params, 5)


@pytest.fixture(scope="module")
def members(tiny):
    return {name: unpacked(tiny[0].folder / f"{name}.7z") for name in ("train", "test", "sample_submission")}


def unpacked(path):
    factory = BytesIOFactory(10**8)
    with py7zr.SevenZipFile(path) as archive:
        archive.extractall(factory=factory)
    return {name: product.read() for name, product in factory.products.items()}


def pcm(data):
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def spoken(train):
    return {name: data for name, data in train.items() if name.endswith(".wav") and "_background_noise_" not in name}


def test_the_training_archive_is_laid_out_as_the_competition_s(members):
    words = Counter(name.split("/")[2] for name in spoken(members["train"]))
    assert words == {**dict.fromkeys(COMMANDS, 5), **dict.fromkeys(demo.OTHER_WORDS, 2)}
    assert len(words) == 30
    assert sum("_background_noise_" in name for name in members["train"]) == 6
    for name, data in spoken(members["train"]).items():
        assert name.startswith("train/audio/")
        assert pcm(data).size <= 16_000
    assert {name for name in members["train"] if name.endswith(".txt")} == {
        "train/validation_list.txt",
        "train/testing_list.txt",
    }


def test_every_word_is_audible(members):
    for name, data in spoken(members["train"]).items():
        assert np.std(pcm(data)) / 32_768 > 0.005, name


def test_validation_voices_are_in_the_list_and_only_there(members):
    listed = set(members["train"]["train/validation_list.txt"].decode().split())
    clips = {name.removeprefix("train/audio/") for name in spoken(members["train"])}
    speaker = {clip: clip.split("/")[1].split("_nohash_")[0] for clip in clips}
    assert listed <= clips
    assert len({speaker[clip] for clip in listed}) == 1
    assert len({speaker[clip] for clip in clips - listed}) == 3
    assert not {speaker[clip] for clip in listed} & {speaker[clip] for clip in clips - listed}


def test_test_voices_are_no_training_voices_and_another_seed_gives_other_bytes(tiny, monkeypatch, tmp_path):
    heard = []
    real = espeak.speak

    def speak(utterances, seed):
        heard.append(utterances)
        return real(utterances, seed)

    for module in (demo, speech):  # backgrounds, and clips
        monkeypatch.setattr(module, "speak", speak)
    other = demo.fetch(demo.Params(folder=tmp_path, **TINY), 6)
    assert not {file.sha256 for file in other} & {file.sha256 for file in tiny[1]}
    backgrounds, training, other_backgrounds, test = ({one.variant for one in utterances} for utterances in heard)
    assert (len(training), len(test)) == (4, 2)
    assert not training & test
    assert not (training | test) & (backgrounds | other_backgrounds)
    assert not backgrounds & other_backgrounds


def test_answers_and_sample_name_every_test_clip_once(tiny, members):
    params, files = tiny
    answers = pandas.read_csv(params.folder / "answers.csv")
    sample = pandas.read_csv(io.BytesIO(members["sample_submission"]["sample_submission.csv"]))
    assert list(answers.columns) == ["fname", "label", "usage"]
    assert list(sample.columns) == ["fname", "label"]
    assert list(sample.fname) == sorted(sample.fname) == list(answers.fname)
    assert set(sample.label) == {"silence"}
    assert {f"test/audio/{name}" for name in sample.fname} == set(members["test"])
    assert Counter(answers.label) == dict.fromkeys([*COMMANDS, "unknown", "silence"], 5)
    assert Counter(answers.usage) == {"Public": 18, "Private": 42}
    assert answers.fname.str.fullmatch(r"clip_[0-9a-f]{9}\.wav").all()
    assert [file.role for file in files] == ["train", "test", "sample", "answers"]
    assert demo.sample(files) == list(sample.fname)
    known = demo.answers(files)
    assert known is not None
    assert list(known.label) == list(answers.label)


def test_all_test_clips_are_whole_seconds_and_the_spoken_ones_audible(tiny, members):
    labels = pandas.read_csv(tiny[0].folder / "answers.csv").set_index("fname").label
    for name, data in members["test"].items():
        clip = pcm(data)
        assert len(clip) == 16_000
        if labels[name.removeprefix("test/audio/")] != "silence":
            assert np.std(clip) / 32_768 > 0.005, name


def test_unseen_words_are_most_of_the_unknown():
    params = demo.Params(test_clips_per_label=50)
    voices = demo.draw_voices(3, np.random.default_rng(0))
    clips, labels = demo._test_clips(params, voices, np.random.default_rng(0))
    unknown = [clip.word for clip in clips if labels[clip.name] == "unknown"]
    assert sum(word in demo.UNSEEN_WORDS for word in unknown) == 30
    assert sum(word in demo.OTHER_WORDS for word in unknown) == 20
    assert len(labels) == 12 * 50
    assert not set(demo.UNSEEN_WORDS) & {*COMMANDS, *demo.OTHER_WORDS}


def test_silence_comes_at_any_volume_and_digital():
    noise = np.random.default_rng(0).integers(-3_000, 3_000, size=40_000).astype(np.int16)
    rng = np.random.default_rng(1)
    levels = np.array([np.std(demo._silence([noise], rng)) / 32_768 for _ in range(200)])
    assert 5 <= np.sum(levels == 0) <= 45
    assert np.min(levels[levels > 0]) < 0.002
    assert np.max(levels) > 0.1


def test_reading_gives_every_recording(tiny, members):
    recordings = list(demo.read(tiny[1]))
    lists = [one for one in recordings if isinstance(one, SplitList)]
    clips = [one for one in recordings if not isinstance(one, SplitList)]
    assert Counter(one.part for one in clips) == {"train": 5 * 10 + 2 * 20 + 6, "test": 60}
    assert sum(one.is_noise for one in clips) == 6
    listed = next(one for one in lists if one.split == "validation").names
    assert listed == set(members["train"]["train/validation_list.txt"].decode().split())


def test_a_killed_making_is_begun_again_and_the_same_seed_gives_the_same_bytes(tiny, tmp_path, monkeypatch):
    params = demo.Params(folder=tmp_path, **TINY)

    def killed(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "_training_clips", killed)
        with pytest.raises(KeyboardInterrupt):
            demo.fetch(params, 5)
    assert {path.name for path in tmp_path.iterdir()} == {"demo.json"}
    for name in ("train.7z", ".test.1.part.7z"):
        (tmp_path / name).write_bytes(b"what kill -9 left")
    made = demo.fetch(params, 5)
    assert [(file.role, file.bytes, file.sha256) for file in made] == [
        (file.role, file.bytes, file.sha256) for file in tiny[1]
    ]
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES, "demo.json"}


def test_what_is_whole_is_kept_and_what_is_not_is_made_again(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny[0].folder, tmp_path, dirs_exist_ok=True)
    made = []

    def make(params, _seed):
        made.append(params)
        shutil.copytree(tiny[0].folder, params.folder, dirs_exist_ok=True)
        return [params.folder / name for name in NAMES]

    monkeypatch.setattr(demo, "_make", make)
    params = demo.Params(folder=tmp_path, **TINY)
    demo.fetch(params, 5)
    assert len(made) == 0
    (tmp_path / "test.7z").write_bytes((tmp_path / "test.7z").read_bytes()[:-10])
    demo.fetch(params, 5)
    assert len(made) == 1
    (tmp_path / "answers.csv").unlink()
    demo.fetch(params, 5)
    assert len(made) == 2
    demo.fetch(params, 5)
    assert len(made) == 2


@pytest.mark.parametrize("change", [{"seed": 6}, {"generator": 0}, {"params": {}}])
def test_a_demo_of_other_parameters_is_not_taken_for_this_one(tiny, tmp_path, change):
    stamp = json.loads((tiny[0].folder / "demo.json").read_text())
    key = demo._key(tiny[0], 5)
    for name in stamp["bytes"]:
        (tmp_path / name).write_bytes((tiny[0].folder / name).read_bytes())
    (tmp_path / "demo.json").write_text(json.dumps(stamp))
    assert demo._is_made(tmp_path / "demo.json", key)
    (tmp_path / "demo.json").write_text(json.dumps({**stamp, **change}))
    assert not demo._is_made(tmp_path / "demo.json", key)


def test_archives_of_others_are_not_overwritten(tmp_path):
    (tmp_path / "train.7z").write_bytes(b"the real one")
    with pytest.raises(PipelineError, match=r"train\.7z, which the demo did not make"):
        demo.fetch(demo.Params(folder=tmp_path, **TINY), 5)
    assert (tmp_path / "train.7z").read_bytes() == b"the real one"


@pytest.mark.parametrize("name", ["answers.csv", "train/audio/yes/a.wav", "sample_submission.csv", "notes.txt"])
def test_a_folder_with_files_of_others_is_left_alone(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"theirs")
    with pytest.raises(PipelineError, match=rf"{name.split('/')[0]}, which the demo did not make"):
        demo.fetch(demo.Params(folder=tmp_path, **TINY), 5)
    assert [path.name for path in tmp_path.iterdir()] == [name.split("/")[0]]
    assert (tmp_path / name).read_bytes() == b"theirs"


@pytest.mark.parametrize(
    "bad",
    [
        {"train_voices": 1},
        {"validation_share": 0},
        {"validation_share": 1},
        {"test_voices": 0},
        {"clips_per_command": 1},
        {"background_seconds": 2},
        {"voices": 3},
    ],
)
def test_bad_sizes_are_refused(bad):
    with pytest.raises(ValidationError):
        demo.Params(**bad)
