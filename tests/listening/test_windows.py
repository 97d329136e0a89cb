import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.errors import PipelineError
from pipeline.listening import windows

HOP = 1_600


def heard(path: Path, hop: int = HOP) -> np.ndarray:
    with windows.open_audio(path) as file:
        sliding = windows.SlidingWindows(hop)
        return np.concatenate([sliding.push(block) for block in windows.blocks(file)])


@pytest.mark.parametrize("samples", [1, HOP, HOP + 1, 16_000, 100_000])
def test_window_k_has_its_middle_at_hop_k_and_silence_lies_beyond(tmp_path: Path, samples: int) -> None:
    recording = np.random.default_rng(1).integers(-32_768, 32_767, samples, np.int16)
    soundfile.write(tmp_path / "a.wav", recording, 16_000)
    padded = np.pad(recording, 8_000)
    windows = heard(tmp_path / "a.wav")
    assert windows.dtype == np.int16
    assert len(windows) == 1 + (samples - 1) // HOP  # one for every hop that lies in the recording
    for k, window in enumerate(windows):
        assert np.array_equal(window, np.pad(padded[k * HOP : k * HOP + 16_000], (0, 16_000))[:16_000]), k


@pytest.mark.parametrize(("rate_hz", "channels", "kind"), [(44_100, 2, "wav"), (8_000, 1, "flac"), (48_000, 6, "wav")])
def test_other_rates_and_channels_are_heard_at_the_same_times(
    tmp_path: Path, rate_hz: int, channels: int, kind: str
) -> None:
    seconds = np.arange(3 * rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 440 * seconds) * (np.abs(seconds - 1.5) < 0.25)
    soundfile.write(tmp_path / f"a.{kind}", np.repeat(tone[:, None] / 2, channels, axis=1), rate_hz)
    windows = heard(tmp_path / f"a.{kind}") / 32_768
    assert len(windows) in (30, 31)  # the resampler may give a sample more
    middle = windows[15]  # the tone lies in the middle of the window in the middle
    assert np.sqrt(np.mean(middle[4_100:11_900] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert np.abs(middle[:3_900]).max() < 0.01
    assert np.abs(middle[12_100:]).max() < 0.01


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_an_mp3_that_is_longer_than_a_block_has_no_gaps_either_time_it_is_read(tmp_path: Path, rate_hz: int) -> None:
    seconds = np.arange(12 * rate_hz) / rate_hz
    soundfile.write(tmp_path / "a.mp3", 0.5 * np.sin(2 * np.pi * 440 * seconds), rate_hz)
    with windows.open_audio(tmp_path / "a.mp3") as file:
        for _ in range(2):  # as the gate, which hears it and then writes it
            sound = np.concatenate(list(windows.blocks(file))) / 32_768
            assert len(sound) == 12 * 16_000 + 15_999
            levels = np.sqrt(np.mean(sound[9_600:-9_599].reshape(-1, 160) ** 2, axis=1))
            assert levels == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 16_000, 1, subtype="PCM_16") as file:
        for _ in range(120):
            file.write(np.ones(160_000, np.int16))  # 20 minutes, 38 MB
    tracemalloc.start()
    with windows.open_audio(path) as file:
        sliding = windows.SlidingWindows(16_000)
        heard = sum(len(sliding.push(block)) for block in windows.blocks(file))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heard == 1_200
    assert peak < 30e6


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"There is no file .*none\.wav"):
        windows.open_audio(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(PipelineError, match=r"text\.wav is no audio that can be read"):
        windows.open_audio(tmp_path / "text.wav")
    soundfile.write(tmp_path / "empty.wav", np.empty(0, np.int16), 16_000)
    with pytest.raises(PipelineError, match="0 samples"):
        windows.open_audio(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(PipelineError, match="not finite"):
        heard(tmp_path / "nan.wav")


def without_length(path: Path) -> None:
    """Make a FLAC one that was written into a pipe: nobody went back to its header to note how long it is."""
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # 36 bits of STREAMINFO, which begins at byte 8
    data[22:26] = bytes(4)
    path.write_bytes(data)


def test_what_can_only_be_read_as_a_stream_says_so(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 1_000, 24_000).astype(np.int16)
    soundfile.write(tmp_path / "telephone.wav", sound, 8_000, subtype="GSM610")
    soundfile.write(tmp_path / "piped.flac", sound, 16_000)
    without_length(tmp_path / "piped.flac")
    for name in ("telephone.wav", "piped.flac"):
        with pytest.raises(PipelineError, match=rf"{name} .* can only be read as a stream.*\n.*Convert it to WAV"):
            windows.open_audio(tmp_path / name)
    sound.tofile(tmp_path / "samples.raw")
    with pytest.raises(PipelineError, match=r"samples\.raw is no audio that can be read"):
        windows.open_audio(tmp_path / "samples.raw")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_no_utf_8_is_heard(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "plain.wav", np.ones(16_000, np.int16), 16_000)
    odd = tmp_path / os.fsdecode(b"caf\xe9.wav")
    (tmp_path / "plain.wav").rename(odd)
    assert len(heard(odd)) == 10


def test_the_seconds_that_come_are_copies() -> None:
    assert windows.SlidingWindows(1_600).push(np.zeros(16_000, np.int16)).flags.writeable


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_nothing_of_the_end_is_held_back_after_the_last_block(rate_hz: int) -> None:
    resampler = windows.Resampler(rate_hz)
    blocks = np.array_split(np.zeros((rate_hz, 2), np.float32), 3)
    assert sum(len(resampler.push(block, number == 2)) for number, block in enumerate(blocks)) == 16_000
