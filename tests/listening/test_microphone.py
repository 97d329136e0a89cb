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
        self.sound, self.rate_hz, self.closed = sound, rate_hz, False

    def query_devices(self, device=None, kind=None):
        about = {"name": "a fake", "default_samplerate": float(self.rate_hz), "max_input_channels": self.sound.shape[1]}
        if kind is None:
            return [{"name": "speakers", "max_input_channels": 0}, about]
        if device not in (None, 1):
            raise ValueError(f"No input device matching {device}")
        return about

    def InputStream(self, rate, blocksize, device, channels, dtype, callback):  # noqa: N802 (sounddevice's name)
        fake = self

        class Stream:
            def __enter__(self):
                def speak():
                    for start in range(0, len(fake.sound), blocksize):
                        callback(fake.sound[start : start + blocksize], blocksize, None, None)

                threading.Thread(target=speak).start()

            def __exit__(self, *error):
                fake.closed = True

        return Stream()


@pytest.fixture
def eight_channels(monkeypatch):
    sound = np.repeat(tones({1.0: "low"}, 3, 44_100)[:, None], 8, axis=1).astype(np.float32)
    fake = FakeSound(sound, 44_100)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


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
