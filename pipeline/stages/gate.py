"""gate: let through what a trained run hears in a recording, and turn down the rest. Outside `dvc repro`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline import params
from pipeline.clips.labels import SILENCE
from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.examples.target import WORD
from pipeline.files import replacing
from pipeline.layout import Layout
from pipeline.learners.classifier import Classifier
from pipeline.listening import windows
from pipeline.listening.gate import Envelope, Gate, openings, share_open
from pipeline.stages import decide
from pipeline.stages.predict import restored, trained

SPEECH = "speech"
# Whole numbers are read and written as they are, so that an open gate changes no sample.
_WHOLE = {"PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "ULAW": "int16", "ALAW": "int16"}
_WHOLE |= {"PCM_24": "int32", "PCM_32": "int32"}


def main(
    layout: Layout,
    source: Path,
    target: Path,
    keep: str,
    run: str | None,
    gate: Gate,
    hop_ms: int = 100,
) -> None:
    """Write `source` to `target`, in the same format, rate and channels, turned down where `keep` is not heard.

    `keep` is a label of the run `run`, or several with commas between them, whose probabilities add up; "speech" of a
    run over words that has no such label is all but silence. Without `run`, the first trained run of params.yaml that
    can. The run hears a second at a time, every `hop_ms`; what it finds is said of the middle of that second.

    Raises PipelineError if no such run is trained, it does not take audio or knows no such label, or a file cannot be
    read or written.
    """
    if source.resolve() == target.resolve():
        raise PipelineError(f"{source} would be replaced by what is left of it. Name another file to write.")
    if source.suffix.lower() != target.suffix.lower():
        raise PipelineError(f"{target} is written in the format of {source}: its name must end in {source.suffix}.")
    with windows.open_audio(source) as file:
        run, columns, classifier = _ear(layout, keep, run)
        heard = np.concatenate(list(_heard(file, classifier, columns, hop_ms)))
        stretches = openings(heard, gate, hop_ms / 1000)
        try:
            with replacing(target) as temporary:
                _write(file, temporary, Envelope(stretches, gate, file.samplerate))
        except (OSError, soundfile.SoundFileError) as error:
            raise PipelineError(f"{target} cannot be written: {error}") from None
        seconds = file.frames / file.samplerate
    labels = " + ".join(classifier.labels[column] for column in columns)
    print(
        f"{target}: open for {share_open(stretches, seconds):.1%} of {seconds:.1f} s, in {len(stretches)} "
        f"stretch{'es'[: 2 * (len(stretches) != 1)]}; run {run}, {labels if len(columns) < 4 else keep} "
        f">= {gate.threshold:g}, {gate.range_db:g} dB elsewhere"
    )


def _ear(layout: Layout, keep: str, wanted: str | None) -> tuple[str, list[int], Classifier]:
    """Return the run's name, the columns whose probabilities count, and the classifier."""
    tree = params.read(layout.params)
    reasons = []
    for name in [wanted] if wanted else decide.runs(tree):
        try:
            about = trained(layout, tree, name)
            columns = _columns(about, keep)
        except PipelineError as error:
            reasons.append(str(error))
            continue
        return name, columns, restored(layout, tree, about)
    raise PipelineError("\n".join(reasons))


def _columns(about: dict[str, Any], keep: str) -> list[int]:
    """Return the columns of the labels that `keep` names."""
    if about["inputs"] != "samples":
        raise PipelineError(
            f"The run '{about['run']}' was trained on {about['inputs']} and cannot hear audio.\n"
            "Name another with --run, trained on a source that has audio."
        )
    labels = about["labels"]
    if keep == SPEECH and keep not in labels and about["target"] == WORD and SILENCE in labels:
        return [column for column, label in enumerate(labels) if label != SILENCE]
    names = keep.split(",") if keep not in labels else [keep]
    if unknown := [name for name in names if name not in labels]:
        speech = f", {SPEECH} (all but {SILENCE})" if about["target"] == WORD and SILENCE in labels else ""
        raise PipelineError(
            f"The run '{about['run']}' knows no {', '.join(unknown)}. It knows: {', '.join(labels)}{speech}.\n"
            "Change --keep, or name another run with --run."
        )
    return [labels.index(name) for name in dict.fromkeys(names)]


def _heard(
    file: soundfile.SoundFile, classifier: Classifier, columns: list[int], hop_ms: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the probabilities, float32 [windows], that any of the labels is there."""
    hop_samples = round(hop_ms / 1000 * SAMPLE_RATE_HZ)
    with tqdm(total=round(file.frames / file.samplerate), desc="listening", unit=" s", file=sys.stderr) as progress:
        for batch in windows.windows(file, hop_samples):
            values = classifier.predict_proba(batch)[:, columns]
            # Labels that a clip may have side by side do not add up: the surest counts.
            yield values.max(axis=1) if classifier.multi_label else values.sum(axis=1)
            progress.update(round(len(batch) * hop_ms / 1000))


def _write(file: soundfile.SoundFile, target: Path, envelope: Envelope) -> None:
    dtype = _WHOLE.get(file.subtype, "float64")
    file.seek(0)
    layout = {"samplerate": file.samplerate, "channels": file.channels, "format": file.format}
    with soundfile.SoundFile(target, "w", subtype=file.subtype, endian=file.endian, **layout) as out:
        at = 0
        while len(block := file.read(windows.BLOCK_FRAMES, dtype=dtype, always_2d=True)):
            gated = block * envelope.gain(at, at + len(block))[:, None]
            out.write(gated if dtype == "float64" else np.rint(gated).astype(dtype))
            at += len(block)
