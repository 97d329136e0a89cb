"""Sound of any rate, channels and length as overlapping seconds at 16 kHz; memory stays flat."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ, Straight, as_int16
from pipeline.errors import PipelineError

BLOCK_FRAMES = 1 << 16
UNKNOWN_FRAMES = 2**63 - 1  # as libsndfile tells of a FLAC that was written into a pipe
RATES_HZ = range(1_000, 768_001)
# Window k has its middle at sample k x hop: half a second of silence before, and a sample less after, so that the last
# middle is a sample of the recording.
BEFORE = np.zeros(CLIP_SAMPLES // 2, np.int16)
AFTER = np.zeros(CLIP_SAMPLES // 2 - 1, np.int16)


def name_of(path: Path) -> Path | bytes:
    """Return a file's name as soundfile takes it: as bytes, since it may be no UTF-8; Windows has another kind."""
    return path if os.name == "nt" else os.fsencode(path)


def open_audio(path: Path) -> Straight:
    """Open a file of any format that libsndfile reads from any place in it.

    Raises PipelineError if there is none, or it is no audio, or it cannot be read twice, or tells no length.
    """
    if not path.is_file():
        raise PipelineError(f"There is no file {path}.")
    try:
        file = Straight(name_of(path))
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: samples alone (.raw), which tell no rate
        reason = getattr(error, "error_string", None) or str(error)
        raise PipelineError(
            f"{path} is no audio that can be read: {reason.strip()}\nConvert it to WAV first."
        ) from None
    if file.samplerate not in RATES_HZ or file.frames == 0:
        raise PipelineError(f"{path} has {file.frames} samples at {file.samplerate} Hz: nothing can be heard in it.")
    if not soundfile.SoundFile.seekable(file) or file.frames == UNKNOWN_FRAMES:
        raise PipelineError(
            f"{path} ({file.format}, {file.subtype}) can only be read as a stream: it tells no length, or none of its "
            "places can be found.\nConvert it to WAV (PCM) first."
        )
    return file


def blocks(file: soundfile.SoundFile) -> Iterator[NDArray[np.int16]]:
    """Yield the whole file, int16 [samples] at 16 kHz, silence of half a second before and after it.

    Raises PipelineError if it is damaged, or holds values that are not finite.
    """
    file.seek(0)
    resampler = Resampler(file.samplerate)
    yield BEFORE
    is_last = False
    while not is_last:
        try:
            block = file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise PipelineError(f"{os.fsdecode(file.name)} is damaged: {error}\nWrite it anew.") from None
        is_last = len(block) < BLOCK_FRAMES
        if not np.isfinite(block).all():
            raise PipelineError(f"{os.fsdecode(file.name)} holds values that are not finite. Write it anew.")
        yield resampler.push(block, is_last)
    yield AFTER


class Resampler:
    """Blocks of any rate and channels, as they come -> int16 [samples] at 16 kHz: channels averaged, soxr (HQ)."""

    def __init__(self, rate_hz: int) -> None:
        self._stream = None
        if rate_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, block: NDArray[np.float32], is_last: bool = False) -> NDArray[np.int16]:
        """Return what `block` [frames, channels], in -1..1, adds; some of it is held back until the last."""
        mono = block.mean(axis=1)
        if self._stream is not None:
            mono = self._stream.resample_chunk(mono, last=is_last)
        return as_int16(mono)


class SlidingWindows:
    """Samples as they come -> overlapping seconds, a new one each `hop_samples` (at most a second)."""

    def __init__(self, hop_samples: int) -> None:
        self.hop_samples = hop_samples
        self._held = np.empty(0, np.int16)

    def push(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return int16 [windows, 16000], the seconds that `samples` complete; none if they complete none."""
        held = np.concatenate([self._held, samples])
        if len(held) < CLIP_SAMPLES:
            self._held = held
            return np.empty((0, CLIP_SAMPLES), np.int16)
        cut = np.lib.stride_tricks.sliding_window_view(held, CLIP_SAMPLES)[:: self.hop_samples]
        self._held = held[len(cut) * self.hop_samples :].copy()
        return cut.copy()
