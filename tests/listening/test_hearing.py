"""What is heard of several labels at once, and how they are named."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from pipeline.errors import PipelineError
from pipeline.listening import hearing, windows
from pipeline.listening.ear import SlidingSecond
from pipeline.listening.hearing import columns_of, heard
from pipeline.listening.progress import Seconds
from tests.listening.loud import Loud

ABOUT = {"run": "words", "inputs": "samples", "target": "word", "labels": ["left", "right", "silence"]}


@pytest.mark.parametrize(("multi_label", "expected"), [(False, 0.7), (True, 0.4)])
def test_probabilities_of_labels_that_exclude_each_other_add_up(multi_label, expected, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    ear = SimpleNamespace(
        hear=lambda block: np.array([[0.3, 0.3, 0.4]], np.float32), hop_samples=8_000, multi_label=multi_label
    )
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert np.concatenate(list(heard(file, ear, [0, 2]))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("keep", "columns"),
    [("right,left", [1, 0]), ("left, right ", [0, 1]), ("speech", [0, 1]), ("silence, speech,left", [2, 0, 1])],
)
def test_labels_are_named_with_commas_between_them(keep, columns):
    assert columns_of(ABOUT, keep) == columns


def test_a_label_that_is_unknown_is_told():
    with pytest.raises(PipelineError, match=r"knows no cat, ''\. It knows: left, right, silence, speech \(all but"):
        columns_of(ABOUT, "speech,cat,")


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 192_000])
@pytest.mark.parametrize("seconds", [60, 7.45])
def test_the_bar_ends_where_the_recording_ends(rate_hz, seconds, tmp_path, monkeypatch):
    bars = []
    monkeypatch.setattr(hearing, "Seconds", lambda *about: bars.append(Seconds(*about)) or bars[0])
    soundfile.write(tmp_path / "a.wav", np.zeros(round(seconds * rate_hz)), rate_hz)
    with windows.open_audio(tmp_path / "a.wav") as file:
        for _ in heard(file, SlidingSecond(Loud(), 100), [0]):
            pass
    assert bars[0].n == bars[0].total == round(seconds)
