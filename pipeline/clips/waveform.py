"""From the bytes of one audio file to samples: 16 kHz, mono, int16."""

import io
import struct
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = 16_000

# A header outside of this is damaged; resampling from 1 Hz would fill the memory.
_RATES_HZ = range(1_000, 768_001)
_LONGEST_S = 3_600
_BLOCK_FRAMES = 1 << 18
_PCM = 1


class UnreadableAudio(Exception):  # noqa: N818 (it names a finding about one clip, which ends on the quarantine list)
    """The bytes are no audio that can be used; the message is the reason."""


@dataclass(frozen=True)
class Decoded:
    """What a file holds: `samples` int16 [samples] at 16 kHz, and what was changed to make them so, if anything."""

    samples: np.ndarray
    note: str | None = None


def decode(data: bytes) -> Decoded:
    """Decode one file of any format and rate that libsndfile reads; the name's suffix plays no part.

    Channels are averaged, other rates resampled by soxr (HQ), values scaled by 32,768, rounded and clipped to int16.
    A WAV file whose header promises more than the file holds gives what is there. Raises UnreadableAudio.
    """
    if not data:
        raise UnreadableAudio("empty file")
    notes = []
    wav = _locate_wav(data)
    if wav is not None:
        layout, start, promised, held = wav
        if held < promised:
            notes.append(f"truncated: {held} of {promised} bytes of audio are there")
        # Nearly every clip of the competition: ten times as fast as the way through libsndfile.
        if layout == (_PCM, 1, SAMPLE_RATE_HZ, 16):
            samples = np.frombuffer(data, dtype="<i2", count=held // 2, offset=start).astype(np.int16, copy=False)
            return Decoded(_not_empty(samples), "; ".join(notes) or None)

    frames, rate_hz, is_opus = _read_any(data)  # [frames, channels]
    channels = frames.shape[1]
    if not np.isfinite(frames).all():
        raise UnreadableAudio("holds values that are not finite")
    changes = []
    if channels > 1:
        changes.append("mixed")
    if rate_hz != SAMPLE_RATE_HZ:
        changes.append("resampled")
    # Opus is decoded at 48 kHz whatever was recorded: that is no news of a clip.
    if changes and not (is_opus and channels == 1):
        notes.append(f"{channels} channel{'s'[: channels > 1]} at {rate_hz} Hz, {' and '.join(changes)}")
    too_loud = int((np.abs(frames) > 1).any(axis=1).sum())
    if too_loud:
        notes.append(f"{too_loud} samples beyond full scale, clipped")
    mono = frames.mean(axis=1)
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    samples = np.clip(np.rint(mono * 32_768), -32_768, 32_767).astype(np.int16)
    return Decoded(_not_empty(samples), "; ".join(notes) or None)


def fit(samples: np.ndarray, length: int = CLIP_SAMPLES) -> tuple[np.ndarray, str | None]:
    """Return `samples` as exactly `length` of them, int16 [length], and a note if something was cut away.

    Shorter: zeros follow, as in the organisers' baseline (TensorFlow, examples/speech_commands). Longer: the window
    with the most energy stays, the earliest of equals; the word of a long recording is not always at its start.
    """
    surplus = len(samples) - length
    if surplus == 0:  # nearly every clip
        return samples, None
    if surplus < 0:
        return np.pad(samples, (0, -surplus)), None
    energy = np.concatenate([[0], np.cumsum(samples.astype(np.int64) ** 2)])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    seconds = len(samples) / SAMPLE_RATE_HZ
    window = "second" if length == SAMPLE_RATE_HZ else f"{length / SAMPLE_RATE_HZ:.2f} s"
    return samples[start : start + length].copy(), f"{seconds:.2f} s long, cut to its loudest {window}"


def _locate_wav(data: bytes) -> tuple[tuple[int, int, int, int], int, int, int] | None:
    """Return (tag, channels, rate, bits), and the audio's first byte, promised and held length in bytes.

    None if the data is no RIFF WAVE file or its chunks make no sense: libsndfile may know better.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    layout = None
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if kind == b"fmt " and at + 16 <= len(data):
            tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, at)
            layout = (tag, channels, rate_hz, bits)
        elif kind == b"data":
            return None if layout is None else (layout, at, size, min(size, len(data) - at))
        at += size + size % 2  # chunks begin at even places
    return None


def _read_any(data: bytes) -> tuple[np.ndarray, int, bool]:
    """Return float64 [frames, channels], the rate in Hz, and whether it is Opus, through libsndfile."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate_hz = file.samplerate
            if rate_hz not in _RATES_HZ:
                raise UnreadableAudio(f"sample rate of {rate_hz} Hz")
            blocks: list[np.ndarray] = []
            # Block by block: a damaged header may promise more frames than the memory can hold.
            while len(block := file.read(_BLOCK_FRAMES, dtype="float64", always_2d=True)):
                blocks.append(block)
                if len(blocks) * _BLOCK_FRAMES > _LONGEST_S * rate_hz:
                    raise UnreadableAudio(f"longer than {_LONGEST_S} s")
            return np.concatenate([np.empty((0, file.channels)), *blocks]), rate_hz, file.subtype == "OPUS"
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise UnreadableAudio(f"not decodable: {reason.strip()}") from None


def _not_empty(samples: np.ndarray) -> np.ndarray:
    if not len(samples):
        raise UnreadableAudio("holds no samples")
    return samples
