"""gate: let through what a trained run hears in a recording, and turn down the rest. Outside `dvc repro`."""

from pathlib import Path

import numpy as np
import soundfile

from pipeline import params, runs
from pipeline.errors import PipelineError
from pipeline.files import printable, replacing
from pipeline.jobs.recipes import trained
from pipeline.layout import Layout
from pipeline.learners.classifier import Classifier
from pipeline.listening import windows
from pipeline.listening.ear import SlidingSecond
from pipeline.listening.gate import Envelope, Gate, openings, share_open
from pipeline.listening.hearing import columns_of, heard, write_gated


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
        values = np.concatenate(list(heard(file, SlidingSecond(classifier, hop_ms), columns)))
        stretches = openings(values, gate, hop_ms / 1000)
        try:
            with replacing(target) as temporary:
                frames = write_gated(file, temporary, Envelope(stretches, gate, file.samplerate))
        except (OSError, soundfile.SoundFileError) as error:
            full = "" if isinstance(error, OSError) and error.errno else " The disk may be full."
            raise PipelineError(f"{target} cannot be written: {error}{full}") from None
        seconds = frames / file.samplerate
    labels = " + ".join(classifier.labels[column] for column in columns)
    print(
        f"{printable(target)}: open for {share_open(stretches, seconds):.1%} of {seconds:.1f} s, in {len(stretches)} "
        f"stretch{'es'[: 2 * (len(stretches) != 1)]}; run {run}, {labels if len(columns) < 4 else keep} "
        f">= {gate.threshold:g}, {gate.range_db:g} dB elsewhere"
    )


def _ear(layout: Layout, keep: str, wanted: str | None) -> tuple[str, list[int], Classifier]:
    """Return the run's name, the columns whose probabilities count, and the classifier: that of its first fold."""
    tree = params.read(layout.params)
    reasons = []
    for name in [wanted] if wanted else runs.names(tree):
        try:
            folder = runs.paths(layout, tree, name).model(params.folds(tree)[0])
            classifier, about = trained(folder, tree, name)
            return name, columns_of(about, keep), classifier
        except PipelineError as error:
            reasons.append(str(error))
    raise PipelineError("\n".join(reasons))
