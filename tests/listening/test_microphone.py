"""A microphone as sounddevice presents one: its blocks come from another thread, at its own rate and channels."""

import itertools
import sys
import threading
import types

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.listening import microphone
from tests.listening.loud import tones


class FakeSound(types.ModuleType):
    """The part of sounddevice that is used; the microphone gives `sound` [frames, channels] and then nothing."""

    class PortAudioError(Exception):
        pass

    def __init__(self, sound: np.ndarray, rate_hz: int) -> None:
        super().__init__("sounddevice")
        self.sound, self.rate_hz, self.closed, self.refusal = sound, rate_hz, False, None
        self.spoken = threading.Event()

    def query_devices(self, device=None, kind=None):
        about = {"name": "a fake", "default_samplerate": float(self.rate_hz), "max_input_channels": self.sound.shape[1]}
        if kind is None:
            return [{"name": "speakers", "max_input_channels": 0}, about]
        if device not in (None, 1):
            raise ValueError(f"No input device matching {device}")
        return about

    def InputStream(self, rate, blocksize, device, channels, dtype, callback):  # noqa: N802 (sounddevice's name)
        fake = self

        def speak(sound, every=lambda: None):
            for start in range(0, len(sound), blocksize):
                callback(sound[start : start + blocksize], blocksize, None, None)
                every()
            fake.spoken.set()

        self.speak = speak

        class Stream:
            def __enter__(self):
                if fake.refusal:
                    raise fake.refusal
                threading.Thread(target=speak, args=[fake.sound]).start()

            def __exit__(self, *error):
                fake.closed = True

        return Stream()


@pytest.fixture
def eight_channels(monkeypatch):
    sound = np.repeat(tones({1.0: "low"}, 3, 44_100)[:, None], 8, axis=1).astype(np.float32)
    fake = FakeSound(sound, 44_100)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_sound_that_is_not_taken_in_time_is_silence_and_what_follows_keeps_its_time(monkeypatch, capsys):
    sound = tones({1.0: "low", 20.0: "high"}, 24, 44_100)[:, None].astype(np.float32)
    fake = FakeSound(sound[: 12 * 44_100], 44_100)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    blocks, parts = microphone.blocks(None), []
    next(blocks)
    fake.spoken.wait(60)  # 12 s have come, of which 5 are kept
    fake.speak(sound[12 * 44_100 :], every=lambda: parts.append(next(blocks)))
    monkeypatch.setattr(microphone, "SILENT_S", 0.2)
    with pytest.raises(PipelineError, match="has given no sound"):
        parts.extend(blocks)
    heard = np.concatenate(parts) / 32_768
    assert len(heard) == pytest.approx(24 * 16_000, abs=2_000)
    assert not heard[5 * 16_000 + 2_000 : 12 * 16_000 - 2_000].any()
    for start in (1, 20):
        expected = tones({1.0: "low", 20.0: "high"}, 24)[start * 16_000 :][:8_000]
        assert np.corrcoef(heard[start * 16_000 :][:8_000], expected)[0, 1] > 0.99
    assert capsys.readouterr().err.startswith("7.0 s of the microphone's sound were lost")


def test_a_microphone_that_cannot_be_started_says_so(eight_channels, monkeypatch):
    eight_channels.refusal = eight_channels.PortAudioError("Error starting stream: Unanticipated host error.")
    with pytest.raises(PipelineError, match=r"(?s)'a fake' cannot be started: Error .* error\.\nIs another program"):
        next(microphone.blocks(None))


def test_odd_rates_and_many_channels_come_as_16_khz_mono_and_it_is_closed(eight_channels):
    blocks = microphone.blocks(1)
    heard = np.concatenate(list(itertools.islice(blocks, 50)))[8_000:] / 32_768
    assert 35_000 < len(heard) <= 48_000
    expected = tones({1.0: "low"}, 3)[: len(heard)]
    assert np.corrcoef(heard[16_000:24_000], expected[16_000:24_000])[0, 1] > 0.99
    blocks.close()
    assert eight_channels.closed


def test_a_microphone_that_stops_is_told_of(eight_channels, monkeypatch):
    monkeypatch.setattr(microphone, "SILENT_S", 0.2)
    with pytest.raises(PipelineError, match=r"'a fake' has given no sound for 0\.2 s"):
        list(microphone.blocks(None))
    assert eight_channels.closed


def test_no_such_microphone_and_no_package(eight_channels, monkeypatch):
    with pytest.raises(PipelineError, match=r"(?s)Device 7 is no microphone.*Microphones: 1: a fake\.\n.*FILE\.wav"):
        next(microphone.blocks(7))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(PipelineError, match=r"pip install sounddevice\n.*listen FILE\.wav"):
        next(microphone.blocks(None))
