"""The shares of the labels in the test set, estimated from its clips; their labels are never asked for.

The likelihood of the shares, given what a net says of each test clip, has one maximum, which expectation maximisation
finds (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002). It holds for a net that is calibrated, and whose
labels sound in the test set as they do here. So the net is calibrated first, on clips that it never learnt from, by a
temperature and a bias a label (Alexandari, Kundaje and Shrikumar, ICML 2020); all labels weigh the same in that, so how
much silence was made for training does not matter. And the same is estimated from the confusion matrix alone (after
Lipton, Wang and Smola, ICML 2018), which needs no calibration: where both disagree, the note says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.metrics import ALONE, alike, bootstrap_widening
from pipeline.scoring import stacking
from pipeline.scoring.combination import combined
from pipeline.scoring.probabilities import Probabilities

RESAMPLES = 200
CLIPS = 20_000  # of the test set in a resample at most; more would narrow the interval by nothing that matters
STEPS, CLOSE = 500, 1e-5
DEVIATION = 2.0  # of the calibration: hardly drawn to what the net says, whose training may have had any shares
STANDARD_ERRORS = 3.0  # by which both estimates of a share must differ to be called different


@dataclass(frozen=True)
class EstimatedPrior:
    """Shares of the labels, [labels] each: the estimate, its 95 % interval, and that by the confusion matrix alone.

    `low` and `high` are the shares themselves where no interval was asked for.
    """

    labels: list[str]
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    by_confusion: NDArray[np.float64]
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return what metrics.json says of it."""
        numbers = {"shares": self.shares, "low": self.low, "high": self.high, "by_confusion": self.by_confusion}
        return {name: self._by_label(of) for name, of in numbers.items()} | {"note": self.note}

    def as_prior(self) -> dict[str, float]:
        """Return the shares as decide.prior takes them."""
        return self._by_label(self.shares)

    def report(self) -> str:
        """Return it as lines to print."""
        rows = zip(self.labels, self.shares, self.low, self.high, strict=True)
        told = ", ".join(f"{label} {share:.3f} ({low:.3f}-{high:.3f})" for label, share, low, high in rows)
        return "\n".join(filter(None, (f"Estimated shares of the test set (95 %): {told}", self.note)))

    def _by_label(self, values: NDArray[np.float64]) -> dict[str, float]:
        return {label: round(value, 5) for label, value in zip(self.labels, values.tolist(), strict=True)}


def estimate(
    judged: Probabilities,
    truth: NDArray[np.int64],  # [clips of `judged`], index of the label; -1: not known
    speakers: Sequence[str],
    test: Sequence[Probabilities],
    resamples: int = RESAMPLES,
) -> EstimatedPrior:
    """Return the shares of the labels among the clips of `test`: what the nets of each fold say of the same clips.

    `judged` holds clips by nets that never heard their speakers; all tables are over the submission's labels. Each clip
    of `judged` was heard by one fold's nets; the mean of all folds' is right more often, so what one fold's are like
    does not tell what theirs is: each net counts by itself. The interval is by bootstrap: speakers of the judged clips,
    and test clips, are drawn anew. A label that no judged clip has gets no share. Raises PipelineError if no truth is
    known, or there are no test clips.
    """
    known = np.flatnonzero(truth >= 0)
    clips = len(test[0].clips)
    if not len(known) or not clips:
        lacking = "clips whose label is known" if clips else "test clips"
        raise PipelineError(f"decide.prior: estimated needs {lacking}; there are none. Set uniform, or the shares.")
    there = np.unique(truth[known])
    data = _Data(
        judged.values[np.ix_(known, there)].astype(np.float64),
        np.searchsorted(there, truth[known]),
        np.unique(np.asarray(speakers, dtype=str)[known], return_inverse=True)[1],
        np.stack([table.values[:, there] for table in test]).astype(np.float64),
    )
    every = np.arange(len(test) * clips)
    found = data.estimate(np.ones(len(known)), every // clips, every % clips, 1 / len(test))
    rng = np.random.default_rng(0)
    drawn = np.array([data.resample(rng) for _ in range(resamples)] or [found])  # [resamples, estimates, labels]
    low, high = np.percentile(drawn[:, 0], [2.5, 97.5], axis=0)
    if resamples:
        share = 1 / np.bincount(data.truth)[data.truth]  # each label weighs the same in the calibration
        owners = alike(np.bincount(data.speaker, share))
        if owners < ALONE:
            low, high = np.zeros_like(low), np.ones_like(high)
        else:
            low, high = np.clip(found[0] + bootstrap_widening(owners) * (np.stack([low, high]) - found[0]), 0, 1)
    apart = np.abs(found[0] - found[1]) > STANDARD_ERRORS * (drawn[:, 0] - drawn[:, 1]).std(axis=0)
    names = [judged.labels[column] for column in there]
    strange = [name for name, differs in zip(names, apart.tolist(), strict=True) if differs] if resamples else []
    note = (
        f"The shares of {', '.join(strange)} come out otherwise by the confusion matrix alone: in the test set they do "
        "not sound as they do here (words or noises that nobody heard), so trust them less."
        if strange
        else ""
    )

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        everywhere = np.zeros(len(judged.labels))
        everywhere[there] = values
        return everywhere

    return EstimatedPrior(judged.labels, spread(found[0]), spread(low), spread(high), spread(found[1]), note)


def expectation_maximisation(likelihoods: NDArray[np.float64], clips: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the likeliest shares of the labels, float64 [labels].

    `likelihoods` is [kinds of clips, labels], up to a factor a row how likely such a clip is of each label; `clips`
    [kinds] is how many there are. One clip more, that is of each label alike, keeps every share above 0.
    """
    labels = likelihoods.shape[1]
    shares = np.full(labels, 1 / labels)
    for _ in range(STEPS):
        joint = likelihoods * shares
        new = (clips / joint.sum(axis=1)) @ joint
        new = (new + 1 / labels) / (new.sum() + 1)
        moved = np.abs(new - shares).max()
        shares = new
        if moved < CLOSE:
            break
    return shares


@dataclass(frozen=True)
class _Data:
    """What both estimates are made of.

    `judged` float64 [clips, labels], `truth`, `speaker` int [clips], `test` float64 [nets, clips, labels].
    """

    judged: NDArray[np.float64]
    truth: NDArray[np.int64]
    speaker: NDArray[np.int64]
    test: NDArray[np.float64]

    def estimate(
        self, times: NDArray[np.float64], nets: NDArray[np.int64], clips: NDArray[np.int64], weight: float
    ) -> NDArray[np.float64]:
        """Return both estimates, [2, labels].

        `times` [clips] each judged clip counts. Of the test set counts what each of `nets` says of the clip beside it
        in `clips`, `weight` each. A label of which no clip counts keeps one of each.
        """
        labels = self.judged.shape[1]
        of_label = np.bincount(self.truth, times, labels)
        times = np.where(of_label[self.truth] > 0, times, 1.0)
        inside = np.flatnonzero(times)
        judged, truth = self.judged[inside], self.truth[inside]
        weights = times[inside] / np.bincount(truth, times[inside], labels)[truth] / labels
        power, bias = stacking.fit(judged[None], truth, weights, DEVIATION)
        heard, each = self.test[nets, clips], np.full(len(clips), weight)
        by_clip = expectation_maximisation(combined(heard[None], power, bias), each)
        # How often a clip of a label is called each of them; half a clip more of each keeps all above 0.
        called = np.bincount(truth * labels + judged.argmax(axis=1), times[inside], labels**2).reshape(labels, labels)
        called = (called + 0.5) / (called + 0.5).sum(axis=1, keepdims=True)
        found = np.bincount(heard.argmax(axis=1), each, labels).astype(float)
        return np.stack([by_clip, expectation_maximisation(called.T, found)])

    def resample(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return both estimates of speakers and test clips that are drawn anew."""
        speakers = int(self.speaker.max()) + 1
        times = np.bincount(rng.integers(speakers, size=speakers), minlength=speakers)[self.speaker].astype(float)
        nets, clips = self.test.shape[:2]
        drawn = rng.integers(clips, size=min(CLIPS, clips))
        return self.estimate(times, np.arange(len(drawn)) % nets, drawn, 1.0)
