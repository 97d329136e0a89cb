"""What a table of probabilities comes to: a submission, the figures that judge it, its confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline import metrics
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.reporting import confusion
from pipeline.scoring import decision, submission
from pipeline.scoring.probabilities import Probabilities

SYNTHETIC = "synthetic speech: says nothing of the leaderboard"


def truth_of(corpus: Corpus, split: Literal["validation", "testing"], judged: Probabilities) -> list[str]:
    """Return the submission label of each judged clip, in the table's order.

    Raises PipelineError if the table is of another corpus, or lacks a readable clip of the split.
    """
    rows = corpus.rows[corpus.rows["split"] == split]
    words = dict(zip(rows["clip"], rows["word"], strict=True))
    unjudged = set(rows.loc[rows["readable"], "clip"]) - set(judged.clips)
    if judged.corpus != corpus.fingerprint or unjudged or not words.keys() >= set(judged.clips):
        raise PipelineError(
            f"The {split} probabilities of run '{judged.run}' are not of the corpus in {corpus.folder} "
            f"({len(judged.clips)} clips judged, {len(rows)} there). Run `dvc repro` to predict anew."
        )
    return [corpus.vocabulary.label_of(words[clip], "commands") for clip in judged.clips]


def caption_of(corpus: Corpus) -> str:
    """Return what a picture must say of where the clips come from."""
    return SYNTHETIC if corpus.description["source"] == "demo" else ""


def publish(
    folder: Path,
    rule: decision.Rule,
    corpus: Corpus,
    sample: Sequence[str],
    validation: Probabilities,
    test: Probabilities,
    testing: Probabilities | None,
    rng: np.random.Generator,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Decide all clips by `rule` and write submission.csv, confusion.csv, confusion.png and metrics.json to `folder`.

    `sample` names the test clips in the order of the submission; `testing` is a labelled split that nothing was tuned
    on; `about` is added to the metrics, which are returned. Raises PipelineError as `truth_of`, `decision.prepare` and
    `submission.write` do.
    """
    commands, labels = corpus.vocabulary.commands, corpus.vocabulary.submission_labels
    truth = truth_of(corpus, "validation", validation)
    decider = decision.prepare(rule, validation, truth, commands, rng)
    shares = decision.shares_of(rule.prior, labels)
    predicted = decider.labels_of(test).tolist()
    counts = metrics.count(truth, decider.labels_of(validation), labels)
    undecided = metrics.count(truth, decision.argmax(validation, commands), labels)
    run = validation.run
    figures = {
        "run": run,
        **metrics.describe(counts, labels, shares),
        "accuracy_argmax": round(metrics.accuracy(undecided, shares), 5),
        "rule": rule.rule,
        "thresholds": decider.thresholds,
        "prior": rule.prior,
        "predicted_on_test": {label: predicted.count(label) for label in labels},
        "testing": None,
        **(about or {}),
    }
    if testing is not None and testing.clips:
        held_out = metrics.count(truth_of(corpus, "testing", testing), decider.labels_of(testing), labels)
        figures["testing"] = metrics.describe(held_out, labels, shares)
    submission.write(folder / "submission.csv", dict(zip(test.clips, predicted, strict=True)), sample, labels)
    confusion.write_table(folder / "confusion.csv", counts, labels)
    title = f"{run}  ·  validation accuracy {figures['accuracy']:.3f}"
    interval = f"95 % interval {figures['accuracy_low']:.3f} to {figures['accuracy_high']:.3f}"
    confusion.draw(
        folder / "confusion.png", counts, labels, title, "  ·  ".join(filter(None, (interval, caption_of(corpus))))
    )
    write_json(folder / "metrics.json", figures)
    return figures
