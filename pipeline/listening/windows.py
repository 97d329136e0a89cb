"""A recording of any length heard in overlapping windows of one second at 16 kHz; memory stays flat."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.errors import PipelineError

BLOCK_FRAMES = 1 << 16
BATCH_WINDOWS = 256  # 8 MB
_RATES_HZ = range(1_000, 768_001)


def open_audio(path: Path) -> soundfile.SoundFile:
    """Open a file of any format that libsndfile reads. Raises PipelineError if there is none, or it is no audio."""
    if not path.is_file():
        raise PipelineError(f"There is no file {path}.")
    try:
        file = soundfile.SoundFile(path)
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise PipelineError(
            f"{path} is no audio that can be read: {reason.strip()}\nConvert it to WAV first."
        ) from None
    if file.samplerate not in _RATES_HZ or file.frames == 0:
        raise PipelineError(f"{path} has {file.frames} samples at {file.samplerate} Hz: nothing can be heard in it.")
    return file


def windows(file: soundfile.SoundFile, hop_samples: int) -> Iterator[NDArray[np.int16]]:
    """Yield int16 [windows, 16000] of the whole file, channels averaged, resampled by soxr (HQ).

    Window k has its middle at sample k x `hop_samples` of the resampled recording, from its first sample to its last;
    beyond them is silence.
    """
    held = np.zeros(CLIP_SAMPLES // 2, np.int16)
    batch = (BATCH_WINDOWS - 1) * hop_samples + CLIP_SAMPLES
    for samples in _resampled(file):
        held = np.concatenate([held, samples])
        while len(held) >= batch:
            yield _cut(held[:batch], hop_samples)
            held = held[BATCH_WINDOWS * hop_samples :]
    # Half a window of silence, and a sample less: the last middle is a sample of the recording.
    held = np.concatenate([held, np.zeros(CLIP_SAMPLES // 2 - 1, np.int16)])
    if len(held) >= CLIP_SAMPLES:
        yield _cut(held, hop_samples)


def _cut(samples: NDArray[np.int16], hop_samples: int) -> NDArray[np.int16]:
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(samples, CLIP_SAMPLES)[::hop_samples])


def _resampled(file: soundfile.SoundFile) -> Iterator[NDArray[np.int16]]:
    file.seek(0)
    stream = soxr.ResampleStream(file.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    is_last = False
    while not is_last:
        try:
            block = file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise PipelineError(f"{file.name} is damaged: {error}\nWrite it anew.") from None
        is_last = len(block) < BLOCK_FRAMES
        if not np.isfinite(block).all():
            raise PipelineError(f"{file.name} holds values that are not finite. Write it anew.")
        mono = block.mean(axis=1)
        if file.samplerate != SAMPLE_RATE_HZ:
            mono = stream.resample_chunk(mono, last=is_last)
        yield np.clip(np.rint(mono * 32_768), -32_768, 32_767).astype(np.int16)
