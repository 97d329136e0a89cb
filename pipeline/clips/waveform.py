"""From the bytes of one audio file to samples: 16 kHz, mono, int16."""

import io
import struct
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = 16_000

# Of a clip one second is kept, the loudest (`fit`); what lies further from its start is not even decoded.
LONGEST_CLIP_S = 60
# A background recording, or one that is cut into segments, is kept as a whole.
LONGEST_S = 3_600

# A header outside of this is damaged; resampling from 1 Hz would fill the memory.
_RATES_HZ = range(1_000, 768_001)
_BLOCK_VALUES = 1 << 20  # of all channels: 8 MB
_PCM = 1
FULL_SCALE = 32_768  # int16 of a sample of 1


class UnreadableAudio(Exception):  # noqa: N818 (it names a finding about one clip, which ends on the quarantine list)
    """The bytes are no audio that can be used; the message is the reason."""


@dataclass(frozen=True)
class Decoded:
    """What a file holds: `samples` int16 [samples] at 16 kHz, and what was changed to make them so, if anything."""

    samples: np.ndarray
    note: str | None = None


def decode(data: bytes, longest_s: int = LONGEST_CLIP_S) -> Decoded:
    """Decode one file of any format and rate that libsndfile reads; the name's suffix plays no part.

    Channels are averaged, other rates resampled by soxr (HQ), values scaled by 32,768, rounded and clipped to int16,
    block by block. What comes after `longest_s` seconds is not read. A WAV file whose header promises more than the
    file holds gives what is there. Raises UnreadableAudio.
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
        if promised and layout == (_PCM, 1, SAMPLE_RATE_HZ, 16):
            count = min(held // 2, longest_s * SAMPLE_RATE_HZ)
            if count < held // 2:
                notes.append(_too_long(longest_s))
            samples = np.frombuffer(data, dtype="<i2", count=count, offset=start).astype(np.int16, copy=False)
            return Decoded(_not_empty(samples), "; ".join(notes) or None)
    samples, changes = _read_any(data, longest_s)
    return Decoded(_not_empty(samples), "; ".join([*notes, *changes]) or None)


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


class Straight(soundfile.SoundFile):
    """Reads on from where it is: soundfile seeks there after each read, at which libsndfile's MP3 falls silent."""

    def seekable(self) -> bool:
        return self.format != "MP3" and bool(super().seekable())


def _read_any(data: bytes, longest_s: int) -> tuple[np.ndarray, list[str]]:
    """Return int16 [samples] and what was changed, through libsndfile. Memory holds one block beside the samples."""
    try:
        with Straight(io.BytesIO(data)) as file:
            return _mono(file, longest_s)
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        reason = getattr(error, "error_string", None) or str(error)
        raise UnreadableAudio(f"not decodable: {reason.strip()}") from None


def _mono(file: soundfile.SoundFile, longest_s: int) -> tuple[np.ndarray, list[str]]:
    rate_hz, channels = file.samplerate, file.channels
    if rate_hz not in _RATES_HZ:
        raise UnreadableAudio(f"sample rate of {rate_hz} Hz")
    is_resampled = rate_hz != SAMPLE_RATE_HZ
    resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, "float64", "HQ") if is_resampled else None
    samples, too_loud, left = [np.empty(0, np.int16)], 0, longest_s * rate_hz
    # Block by block, since a damaged header may promise more frames than the memory can hold, and a sound one too.
    while left and len(block := file.read(min(left, -(-_BLOCK_VALUES // channels)), "float64", always_2d=True)):
        left -= len(block)
        if not np.isfinite(block).all():
            raise UnreadableAudio("holds values that are not finite")
        too_loud += int((np.abs(block) > 1).any(axis=1).sum())
        mono = block.mean(axis=1)
        samples.append(as_int16(mono if resampler is None else resampler.resample_chunk(mono)))
    if resampler is not None:
        samples.append(as_int16(resampler.resample_chunk(np.empty(0), last=True)))
    changes = ["mixed"] * (channels > 1) + ["resampled"] * is_resampled
    # Opus is decoded at 48 kHz whatever was recorded: of a corpus of millions of such clips that would be no news.
    is_plain_opus = file.subtype == "OPUS" and channels == 1
    is_changed = changes and not is_plain_opus
    notes = [
        *([] if is_plain_opus else _as_encoded(file)),
        *([f"{channels} channel{'s'[: channels > 1]} at {rate_hz} Hz, {' and '.join(changes)}"] if is_changed else []),
        *([f"{too_loud} samples beyond full scale, clipped"] if too_loud else []),
        *([_too_long(longest_s)] if not left and len(file.read(1)) else []),
    ]
    return np.concatenate(samples), notes


def _as_encoded(file: soundfile.SoundFile) -> list[str]:
    """Return how the samples were kept, if in another way than all of the competition's are."""
    if file.format in ("WAV", "WAVEX") and file.subtype == "PCM_16":
        return []
    return [f"decoded from {file.format_info.split(' (')[0]}, {file.subtype_info}"]


def as_int16(values: np.ndarray) -> np.ndarray:
    """Return samples of -1..1 as int16, what is louder clipped."""
    return np.clip(np.rint(values * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _too_long(longest_s: int) -> str:
    return f"longer than {longest_s:,} s, of which only the first {longest_s:,} were read"


def _not_empty(samples: np.ndarray) -> np.ndarray:
    if not len(samples):
        raise UnreadableAudio("holds no samples")
    return samples
