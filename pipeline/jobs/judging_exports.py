"""What an exported file is worth, on the clips that judge its fold: near torch, small, quick, as good as it was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.clips.noise import Noise
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.examples.from_corpus import judged_labels
from pipeline.examples.target import Target
from pipeline.examples.task import Task
from pipeline.examples.training_data import as_float
from pipeline.export.graph import heard_exactly
from pipeline.export.latency import Latency, latency, timed
from pipeline.export.runtime import OnnxClassifier, OnnxSteps
from pipeline.learners.judging import mean_average_precision, summed_into
from pipeline.learners.neural_classifier import NeuralClassifier
from pipeline.listening import scenes
from pipeline.listening.ear import Ear, SlidingSecond, StreamingEar
from pipeline.listening.windows import BEFORE
from pipeline.scoring.truth import speakers_of

SCENE_WORDS, SCENE_SNR_DB, SCENE_GAP_S = 100, 20.0, 2.0


@dataclass(frozen=True)
class Exported:
    """One file: what it weighs, how much it hears at a time (a clip, or a step if it streams) and how long that takes
    on one thread, how well it does.

    `farthest` is by how much a probability differs from torch's at most. `agreement` is the share of clips whose
    likeliest label is that of torch; of a streaming net, of steps whose likeliest label is that of the sliding second.
    `figure` is accuracy where each label counts alike, with its 95 % interval by speaker; mean average precision,
    without one, where a clip may have several labels.
    """

    file: str
    bytes: int
    hears_ms: int
    median_ms: float
    p99_ms: float
    farthest: float
    agreement: float
    figure: float
    low: float | None
    high: float | None


class Judge:
    """Holds files against torch on the clips that judge a fold."""

    def __init__(self, corpus: Corpus, task: Task, target: Target, fold: int, seed: int) -> None:
        rows = target.among(corpus.judged_rows(fold))
        self._noises, self._seed = corpus.judging_noises(fold), seed
        self._samples = corpus.samples(rows)
        self._truth = target.values[rows]
        self._speakers = speakers_of(corpus, rows)
        self._labels, self._judged_as = target.labels, np.arange(len(target.labels))
        if task.is_submitted:
            self._judged_as = judged_labels(corpus, target.labels)
            self._labels = corpus.vocabulary.submission_labels

    def of_clips(self, path: Path, classifier: NeuralClassifier) -> Exported:
        """Return what is found of a file that hears a second at a time; `classifier` is the trained network."""
        exported = OnnxClassifier(path, threads=1)
        values, expected = exported.predict_proba(self._samples), heard_exactly(classifier, self._samples)
        agreement = float((values.argmax(axis=1) == expected.argmax(axis=1)).mean())
        farthest = _farthest(values, expected)
        return self._found(path, CLIP_SAMPLES, latency(exported.session), farthest, agreement, values)

    def slid(self, exported: OnnxClassifier, step_samples: int) -> NDArray[np.int64]:
        """Return the likeliest label of each step of a scene, int [steps], where each hears its whole second anew."""
        return self._labels_of(SlidingSecond(exported, hop_ms=1000 * step_samples // SAMPLE_RATE_HZ))

    def of_steps(self, path: Path, module: Any, slid: NDArray[np.int64]) -> Exported:
        """Return what is found of a file that hears a step at a time.

        `module` is the trained network's step; `slid` is what the same network says of whole seconds.
        """
        exported = OnnxClassifier(path, threads=1)
        step = exported.description.step_samples

        def ear() -> StreamingEar:
            return StreamingEar(OnnxSteps(exported.session), exported.labels, step, exported.multi_label)

        # Each clip after the same silence: nothing is known of what came before it.
        values = np.stack([ear().hear(clip)[-1] for clip in self._samples])
        steps, sound = OnnxSteps(exported.session), as_float(self._samples[:1, :step])
        speed = timed(lambda: steps(sound))
        farthest = _far_from(module, ear(), self._scene(20))
        return self._found(path, step, speed, farthest, float((self._labels_of(ear()) == slid).mean()), values)

    def _found(
        self, path: Path, samples: int, speed: Latency, farthest: float, agreement: float, values: NDArray[np.float32]
    ) -> Exported:
        figure = self._figure(values)
        size = path.stat().st_size
        hears_ms = 1000 * samples // SAMPLE_RATE_HZ
        return Exported(
            path.name, size, hears_ms, speed.median_ms, speed.p99_ms, farthest, round(agreement, 5), *figure
        )

    def _figure(self, values: NDArray[np.float32]) -> tuple[float, float | None, float | None]:
        if self._truth.ndim == 2:
            return round(mean_average_precision(values, self._truth), 5), None, None
        predicted = summed_into(values, self._judged_as).argmax(axis=1)
        told = metrics.judge(self._judged_as[self._truth], predicted, self._speakers, self._labels)
        return told["prior_accuracy"], told["prior_accuracy_low"], told["prior_accuracy_high"]

    def _scene(self, words: int) -> NDArray[np.int16]:
        """Return clips in background noise, int16 [samples], one every three to five seconds.

        In white noise where the corpus has none: files are held against each other here, not against the truth.
        """
        clips = ((clip, "") for clip in self._samples[:: max(1, len(self._samples) // words)])
        rng = np.random.default_rng(self._seed)
        noises = self._noises
        if not scenes.usable_of(noises):
            noises = [Noise("white", rng.normal(0, 1000, 10 * SAMPLE_RATE_HZ).astype(np.int16))]
        laid = scenes.words_in_noise(clips, noises, SCENE_SNR_DB, SCENE_GAP_S, rng)
        return np.concatenate([BEFORE, *(sound for sound, _ in laid)])

    def _labels_of(self, ear: Ear) -> NDArray[np.int64]:
        """Return the likeliest label of each step of a scene, int [steps]."""
        return summed_into(ear.hear(self._scene(SCENE_WORDS)), self._judged_as).argmax(axis=1)


def _farthest(values: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(values - expected).max())


def _far_from(module: Any, ear: StreamingEar, sound: NDArray[np.int16]) -> float:
    """Return by how much a streaming file differs from torch's own steps over the same sound."""
    import torch

    expected, state = [], list(module.state.values())
    with torch.inference_mode():
        for start in range(0, len(sound) - ear.hop_samples + 1, ear.hop_samples):
            step = torch.from_numpy(as_float(sound[None, start : start + ear.hop_samples]))
            values, *state = module(step, *state)
            expected.append(values[0].numpy())
    heard = ear.hear(sound)
    return _farthest(heard, np.stack(expected[-len(heard) :]))
