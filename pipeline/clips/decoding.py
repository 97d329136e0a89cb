"""From one recording to its clips, with what there is to say of it; done by whichever process has time."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.clips import waveform
from pipeline.clips.audio_shards import digest_of
from pipeline.clips.recording import Span, bytes_of

Cut = Literal["fit", "segments"]


@dataclass(frozen=True)
class Encoded:
    """A file, and what is made of it: one clip (`waveform.fit`), or one a second, of all that it holds."""

    data: bytes | Span
    cut: Cut = "fit"


@dataclass
class Decoded:
    """What a file came to: clips, int16 [16000] each, their digests, and what was changed on the way.

    `refusal` says why there is none. Between processes only the digests are sent.
    """

    samples: list[np.ndarray] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    note: str | None = None
    refusal: str | None = None


def clips_of(encoded: Encoded) -> Decoded:
    """Decode a file. Raises PipelineError if it cannot be read from the disk."""
    is_whole = encoded.cut == "segments"
    try:
        decoded = waveform.decode(bytes_of(encoded.data), waveform.LONGEST_S if is_whole else waveform.LONGEST_CLIP_S)
    except waveform.UnreadableAudio as error:
        return Decoded(refusal=str(error))
    if is_whole:
        samples, note = _seconds(decoded.samples), decoded.note
    else:
        fitted, cut = waveform.fit(decoded.samples)
        samples, note = [fitted], "; ".join(each for each in (decoded.note, cut) if each) or None
    return Decoded(samples, [digest_of(each) for each in samples], note)


def _seconds(samples: np.ndarray) -> list[np.ndarray]:
    """Return one clip a second; what is left at the end counts as one if it is half a second or more."""
    second = waveform.CLIP_SAMPLES
    count = max(1, (len(samples) + second // 2) // second)
    return [waveform.fit(samples[start : start + second])[0] for start in range(0, count * second, second)]
