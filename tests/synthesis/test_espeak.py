import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.synthesis.espeak import SAMPLE_RATE_HZ, Utterance, speak

MAN = "language variant\nname man\npitch 90 120\nformant 1 95 100 100\n"
CHILD = "language variant\nname child\npitch 230 300\nformant 1 120 100 100\n"
BREATHY = MAN + "flutter 8\nbreath 5 5 5 5 5 5 5 5\n"


def utterance(text="seven.", dialect="en-us", variant=MAN, words_per_minute=160, pitch=50, pitch_range=50):
    return Utterance(text, dialect, variant, words_per_minute, pitch, pitch_range)


def test_same_seed_speaks_the_same_samples_and_another_seed_others():
    requests = [utterance(variant=BREATHY), utterance("no!", variant=CHILD), utterance(variant=BREATHY)]
    first, again, other = list(speak(requests, 3)), list(speak(requests, 3)), list(speak(requests, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_words_are_audible_and_of_a_word_s_length():
    for pcm in speak([utterance("yes."), utterance("marvin."), utterance("up.")], 0):
        assert pcm.dtype == np.int16
        assert 0.15 < len(pcm) / SAMPLE_RATE_HZ < 1
        assert np.sqrt(np.mean(pcm.astype(float) ** 2)) > 1_000


@pytest.mark.parametrize(
    "change", [{"dialect": "en-gb-scotland"}, {"variant": CHILD}, {"words_per_minute": 100}, {"pitch": 90}]
)
def test_each_parameter_is_heard(change):
    plain, changed = speak([utterance(), utterance(**change)], 0)
    assert not np.array_equal(plain, changed)


def test_slower_is_longer():
    fast, slow = speak([utterance(words_per_minute=200), utterance(words_per_minute=100)], 0)
    assert len(slow) > 1.4 * len(fast)


def test_reading_may_stop_early_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stopped = speak([utterance()] * 200, 0)
    assert len(next(stopped)) > 0
    assert len(list(tmp_path.iterdir())) == 1
    stopped.close()
    assert len(list(speak([utterance()], 0))) == 1
    assert not list(tmp_path.iterdir())


def test_unknown_dialect_is_named():
    with pytest.raises(PipelineError, match="no voice for the dialect 'en-gb'"):
        list(speak([utterance(), utterance(dialect="en-gb")], 0))


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        ("raise ImportError('No module named espeakng_loader')", "No module named espeakng_loader"),
        ("get_data_path = lambda: '{folder}'\nget_library_path = lambda: '{folder}/no.so'", "no.so"),
        (
            "get_data_path = lambda: '{folder}'\n"
            "import ctypes\nctypes.CDLL = lambda path: None\nget_library_path = lambda: ''",
            "lacks phontab",
        ),
        ("import os\nos._exit(7)", "it ended with 7"),
    ],
    ids=["not installed", "no library", "no data", "crash"],
)
def test_a_broken_library_says_what_to_do(tmp_path, monkeypatch, loader, reason):
    folder = tmp_path.as_posix()
    (tmp_path / "espeakng_loader.py").write_text(loader.replace("{folder}", folder))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PipelineError) as caught:
        list(speak([utterance()], 0))
    for part in (reason, "espeakng-loader", "requirements.txt", "profiles/archives.yaml"):
        assert part in str(caught.value)
