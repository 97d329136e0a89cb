"""What a trained run hears in a recording, second by second, and the recording written again, turned down elsewhere."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.clips.labels import SILENCE, composed
from pipeline.clips.waveform import Straight
from pipeline.errors import PipelineError
from pipeline.examples.task import WORD
from pipeline.listening import windows
from pipeline.listening.ear import Ear
from pipeline.listening.gate import Envelope
from pipeline.listening.progress import Seconds

SPEECH = "speech"
# Whole numbers are read and written as they are, so that an open gate changes no sample.
_WHOLE = {"PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "ULAW": "int16", "ALAW": "int16"}
_WHOLE |= {"PCM_24": "int32", "PCM_32": "int32"}


def columns_of(about: dict[str, Any], keep: str) -> list[int]:
    """Return the columns of the labels that `keep` names; `about` is what run.json tells of the run.

    `keep` is a label, or several with commas between them; "speech" of a run over words that has no such label is all
    but silence. Raises PipelineError if the run does not take audio, or knows no such label.
    """
    if about["inputs"] != "samples":
        raise PipelineError(
            f"The run '{about['run']}' was trained on {about['inputs']} and cannot hear audio.\n"
            "Name another with --run, trained on a source that has audio."
        )
    labels, keep = about["labels"], composed(keep)
    known = {label: [label] for label in labels}
    if about["target"] == WORD and SILENCE in labels:
        known.setdefault(SPEECH, [label for label in labels if label != SILENCE])
    names = [name.strip() for name in keep.split(",")] if keep not in labels else [keep]
    if unknown := [name or repr(name) for name in names if name not in known]:
        speech = f", {SPEECH} (all but {SILENCE})" if SPEECH in known.keys() - set(labels) else ""
        raise PipelineError(
            f"The run '{about['run']}' knows no {', '.join(unknown)}. It knows: {', '.join(labels)}{speech}.\n"
            "Change --keep, or name another run with --run."
        )
    return [labels.index(label) for label in dict.fromkeys(label for name in names for label in known[name])]


def heard(file: soundfile.SoundFile, ear: Ear, columns: list[int]) -> Iterator[NDArray[np.float32]]:
    """Yield the probabilities, float32 [steps], that any of the labels is there; step 0 is of the first sample."""
    with Seconds(file.frames / file.samplerate, "listening") as progress:
        for block in windows.blocks(file):
            values = ear.hear(block)[:, columns]
            # Labels that a clip may have side by side do not add up: the surest counts.
            yield values.max(axis=1) if ear.multi_label else values.sum(axis=1)
            progress.hear(len(values) * ear.hop_samples)


def write_gated(file: soundfile.SoundFile, target: Path, envelope: Envelope) -> int:
    """Write the recording to `target` in its own format, rate and channels, with the gain of `envelope`.

    Returns how many frames it has. Raises soundfile.SoundFileError or OSError if it cannot be written as a whole.
    """
    dtype = _WHOLE.get(file.subtype, "float64")
    file.seek(0)
    layout = {"samplerate": file.samplerate, "channels": file.channels, "format": file.format}
    with soundfile.SoundFile(windows.name_of(target), "w", subtype=file.subtype, endian=file.endian, **layout) as out:
        at = 0
        while len(block := file.read(windows.BLOCK_FRAMES, dtype=dtype, always_2d=True)):
            gated = block * envelope.gain(at, at + len(block))[:, None]
            out.write(gated if dtype == "float64" else np.rint(gated).astype(dtype))
            at += len(block)
    # libsndfile says nothing of what it could not write when it closed the file.
    if (held := _frames_of(target)) < at:
        raise OSError(f"only {held} of {at} frames were kept.")
    return at


def _frames_of(path: Path) -> int:
    """Return how many frames can be read: a header tells only how many there should be."""
    frames = 0
    with suppress(soundfile.SoundFileError), Straight(windows.name_of(path)) as file:
        while count := len(file.read(windows.BLOCK_FRAMES, always_2d=True)):
            frames += count
    return frames
