"""A gate that has learnt tones against noise, on recordings made of both."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from pipeline import listening_verbs as verbs
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.listening.gate import Gate
from pipeline.stages import gate, train

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = {"epochs": 10, "batch_size": 16, "learning_rate": 0.003, "optimizer": "adam"}
SPEECH = {"name": "speech", "of": "all"}
RUNS = {
    "untrained": {"model": "linear"},
    "words": {"model": "linear", "training": QUICK, "parameters": {"frames": 10}},
    "ear": {"model": "linear", "training": QUICK, "parameters": {"frames": 10}, "presence": SPEECH},
}


def tone(samples: int, rate_hz: int = 16_000, hertz: float = 1_000) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / rate_hz) * 8_000


def noise(samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-900, 900, samples)


def stretch(samples: np.ndarray, start_s: float, end_s: float, rate_hz: int = 44_100) -> np.ndarray:
    return samples[round(start_s * rate_hz) : round(end_s * rate_hz)]


def write_corpus(layout: Layout, embeddings: bool = False) -> None:
    """Half of the clips are noise; half hold a word, a tone of 0.3 to 0.6 s: "low" or "high"."""
    layout.prepare.mkdir(parents=True)
    rng = np.random.default_rng(1)
    with CorpusWriter(layout.prepare) as writer:
        for number in range(200):
            word = ("_silence_", "low", "_silence_", "high")[number % 4]
            if embeddings:
                values = rng.integers(0, 256, (10, 128)).astype(np.uint8)
            else:
                clip = noise(16_000, number)
                if word != "_silence_":
                    start = rng.integers(0, 7_000)
                    end = start + rng.integers(5_000, 9_000)
                    clip[start:end] += tone(end - start, hertz={"low": 500, "high": 2_000}[word])
                values = clip.astype(np.int16)
            writer.add(values, clip=f"{number}.wav", part="train", word=word)
        splits = np.array(["train", "train", "train", "train", "validation"] * 40)
        folds = np.where(splits == "validation", 0, -1)
        writer.finish(splits, folds, source="made", seed=1, commands=("low", "high"))


def project(root: Path, runs: dict[str, object]) -> Layout:
    layout = Layout(root)
    root.mkdir()
    tree = {"seed": 1, "train": {"augmentation": []}, "runs": runs}
    layout.params.write_text(yaml.safe_dump(tree, sort_keys=False))
    return layout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = project(tmp_path_factory.mktemp("gate") / "project", RUNS)
    write_corpus(layout)
    for run in ("words", "ear"):
        train.main(layout, run)
    return layout


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Eight seconds of noise in stereo at 44.1 kHz, with tones of 500 Hz at 2 to 2.4 s and of 2 kHz at 5 to 5.4 s."""
    # Averaged and resampled, the noise is as loud as the corpus's.
    heard = np.stack([noise(8 * 44_100, seed) for seed in (1, 2)], axis=1) * np.sqrt(2 * 44_100 / 16_000)
    for start, hertz in ((2, 500), (5, 2_000)):
        stretch(heard, start, start + 0.4)[:] += tone(17_640, 44_100, hertz)[:, None]
    soundfile.write(tmp_path / "in.wav", heard.astype(np.int16), 44_100)
    return tmp_path / "in.wav"


def test_a_gain_that_is_no_number_is_told(layout):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "gate", "in.wav", "out.wav", "--keep", "yes", "--range-db=-inf"],
        cwd=layout.root,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "error: --range-db: Input should be a finite number; found -inf.\n"


def test_the_verb_keeps_speech_and_turns_down_the_rest(layout, recording, tmp_path):
    target = tmp_path / "made" / "out.wav"
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "gate",
        str(recording),
        str(target),
        "--keep",
        "speech",
        "--run",
        "ear",
    ]
    done = subprocess.run(
        command,
        cwd=layout.root,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"out\.wav: open for ([\d.]+)% of 8\.0 s, in 2 stretches; run ear, speech >= 0\.5", done.stdout)
    assert found, done.stdout

    before, after = soundfile.info(recording), soundfile.info(target)
    for name in ("samplerate", "channels", "frames", "format", "subtype"):
        assert getattr(after, name) == getattr(before, name)
    given, left = (soundfile.read(path, dtype="int16")[0] for path in (recording, target))
    for start in (2, 5):
        np.testing.assert_array_equal(stretch(left, start, start + 0.4), stretch(given, start, start + 0.4))
    for start, end in ((0, 1.0), (3.4, 4.0), (6.4, 8)):
        assert np.abs(stretch(left, start, end)).max() <= 3  # 2,100 at -60 dB
    untouched = float((given == left).all(axis=1).mean())
    assert abs(untouched - float(found[1]) / 100) < 0.05
    assert list(target.parent.iterdir()) == [target]


def test_the_verb_s_defaults_are_those_of_the_gate():
    defaults = {name: given.default for name, given in inspect.signature(verbs.gate).parameters.items()}
    assert {name: defaults[name] for name in Gate.model_fields} == Gate().model_dump()


@pytest.mark.parametrize(
    ("keep", "is_kept"), [("low", (True, False)), ("high", (False, True)), ("low,high", (True, True))]
)
def test_a_run_over_words_keeps_the_labels_that_are_named(layout, recording, tmp_path, keep, is_kept):
    gate.main(layout, recording, tmp_path / "out.wav", keep, "words", Gate())
    given, left = (soundfile.read(path, dtype="int16")[0] for path in (recording, tmp_path / "out.wav"))
    assert tuple(bool((stretch(given - left, at, at + 0.4) == 0).all()) for at in (2, 5)) == is_kept


def test_speech_of_a_run_over_words_is_all_but_silence(layout, recording, tmp_path, capsys):
    gate.main(layout, recording, tmp_path / "out.wav", "speech", "words", Gate())
    assert "in 2 stretches; run words, low + high + unknown >= 0.5" in capsys.readouterr().out


def test_without_a_name_the_first_trained_run_that_knows_the_label_listens(layout, recording, tmp_path, capsys):
    gate.main(layout, recording, tmp_path / "out.wav", "high", None, Gate())
    assert "run words, high" in capsys.readouterr().out
    gate.main(layout, recording, tmp_path / "out.wav", "other", None, Gate())
    assert "run ear, other" in capsys.readouterr().out


class Ear:
    """Hears whatever is loud in the middle half of a window."""

    labels = ("other", "loud")
    multi_label = False

    def predict_proba(self, inputs: np.ndarray) -> np.ndarray:
        loud = (np.abs(inputs[:, 4_000:12_000].astype(float)).mean(axis=1) > 500).astype(np.float32)
        return np.stack([1 - loud, loud], axis=1)


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate_hz", "channels"),
    [
        ("wav", "PCM_16", 8_000, 1),
        ("wav", "PCM_24", 48_000, 2),
        ("wav", "PCM_U8", 16_000, 1),
        ("wav", "FLOAT", 96_000, 1),
        ("flac", "PCM_24", 44_100, 3),
        ("aiff", "PCM_16", 22_050, 2),
    ],
)
def test_format_rate_and_channels_stay(layout, tmp_path, monkeypatch, suffix, subtype, rate_hz, channels):
    monkeypatch.setattr(gate, "_ear", lambda *_: ("ear", [1], Ear()))
    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.01, 0.01, (6 * rate_hz, channels))
    sound[2 * rate_hz : 3 * rate_hz] = rng.uniform(-0.5, 0.5, (rate_hz, channels))
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    soundfile.write(source, sound, rate_hz, subtype=subtype)
    gate.main(layout, source, target, "loud", None, Gate(range_db=-20))
    before, after = soundfile.info(source), soundfile.info(target)
    assert (after.samplerate, after.channels, after.subtype) == (rate_hz, channels, subtype)
    assert after.frames == before.frames
    given, left = (soundfile.read(path, always_2d=True)[0] for path in (source, target))
    np.testing.assert_array_equal(stretch(left, 2, 3, rate_hz), stretch(given, 2, 3, rate_hz))
    rounding = 1 / 128 if subtype == "PCM_U8" else 2e-5
    quiet = stretch(given, 4, 6, rate_hz) / 10
    np.testing.assert_allclose(stretch(left, 4, 6, rate_hz), quiet, rtol=0, atol=rounding)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_no_utf_8_is_written_and_told(layout, recording, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.wav")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "gate", recording, odd, "--keep", "speech", "--run", "ear"],
        cwd=layout.root,
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "utf-8:strict", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert r"caf\udce9.wav: open for " in done.stdout
    assert odd.stat().st_size == recording.stat().st_size


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")])
def test_a_lossy_format_is_written_as_such(layout, tmp_path, monkeypatch, suffix, subtype):
    monkeypatch.setattr(gate, "_ear", lambda *_: ("ear", [1], Ear()))
    sound = tone(6 * 44_100, 44_100) / 32_768
    sound[: 2 * 44_100] /= 50
    sound[4 * 44_100 :] /= 50
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    soundfile.write(source, sound, 44_100)
    gate.main(layout, source, target, "loud", None, Gate(range_db=-20))
    assert soundfile.info(target).subtype == subtype
    left = soundfile.read(target)[0]
    loud = np.abs(stretch(left, 2.2, 3.8).reshape(-1, 441)).max(axis=1)  # also where a block begins, at 2.97 s
    assert loud == pytest.approx(0.244, abs=0.04)
    assert np.abs(stretch(left, 5, 6)).max() == pytest.approx(0.00049, abs=0.0003)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limit on a file's size")
@pytest.mark.parametrize(("suffix", "lacking"), [("flac", 10), ("ogg", 10), ("ogg", 20_000), ("mp3", 10)])
def test_a_disk_that_is_full_leaves_what_was_there(layout, recording, tmp_path, suffix, lacking):
    """With few bytes lacking, the last write fails when libsndfile closes the file, and it does not say so."""
    source, target = tmp_path / f"in.{suffix}", tmp_path / "made" / f"out.{suffix}"
    soundfile.write(source, *soundfile.read(recording))
    gate.main(layout, source, target, "speech", "ear", Gate())
    before = target.read_bytes()

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - lacking,) * 2)

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "gate", source, target, "--keep", "speech", "--run", "ear"],
        cwd=layout.root,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert done.returncode == 1, done.stdout
    assert re.search(rf"error: .*out\.{suffix} cannot be written: .* The disk may be full\.\n$", done.stderr)
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_what_cannot_be_done_is_refused_and_nothing_is_written(layout, recording, tmp_path):
    def refused(match: str, source=recording, name="out.wav", keep="speech", run=None, where=layout):
        with pytest.raises(PipelineError, match=match):
            gate.main(where, source, tmp_path / name, keep, run, Gate())

    refused("The run 'untrained' is not trained", run="untrained")
    refused("lists no run 'nobody'", run="nobody")
    refused(
        r"(?s)'words' knows no cat\. It knows: low, .*silence, speech \(all but silence\).*--keep",
        keep="low,cat",
        run="words",
    )
    refused(r"(?s)'untrained' is not trained.*'words' knows no cat.*'ear' knows no cat", keep="cat")
    refused(r"in\.wav would be replaced", name="in.wav")
    refused(r"out\.flac .* must end in \.wav", name="out.flac")
    refused("There is no file", source=tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("no sound")
    refused("is no audio", source=tmp_path / "text.wav")

    deaf = project(tmp_path / "deaf", {"bytes": {"model": "linear", "training": {**QUICK, "epochs": 1}}})
    write_corpus(deaf, embeddings=True)
    train.main(deaf, "bytes")
    refused("'bytes' was trained on embeddings and cannot hear audio", where=deaf)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deaf", "in.wav", "text.wav"]
