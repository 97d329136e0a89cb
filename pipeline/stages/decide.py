"""Turn one run's probabilities into a submission, by the rule in params.yaml. Seconds; nothing is retrained."""

from typing import Any

import numpy as np

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import Kind
from pipeline.clips.target import WORD, Presence, is_submitted, target_of
from pipeline.delivery.commit import commit_of
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.scoring import judgement, provenance, submission, verdict
from pipeline.scoring.decision import Decide
from pipeline.scoring.ensemble import NAME as ENSEMBLE
from pipeline.scoring.probabilities import Probabilities
from pipeline.settings import Settings


def main(layout: Layout, run: str) -> None:
    """Write submissions/<run>/: submission.csv, metrics.json, confusion.csv, confusion.png.

    A run with another target than the competition's has figures, but no submission.
    """
    tree = params.read(layout.params)
    rule, question = settings(tree).for_run(run), question_of(tree, run)
    corpus = Corpus.open(layout.prepare)
    folder = layout.probabilities(run)
    validation = Probabilities.read(folder / "validation.parquet")
    held_out = folder / "testing.parquet"
    testing = Probabilities.read(held_out) if held_out.exists() else None
    # Where words are learnt, the labels tell which vocabulary it was.
    kind: Kind = "words" if validation.labels == corpus.vocabulary.labels("words") else "commands"
    target = target_of(corpus, question.target, kind, question.presence)
    about = question.model_dump()
    if parts := judgement.judge_parts(folder, corpus, target):
        about["parts"] = parts
    if not question.is_submitted:
        judgement.publish(layout.submission(run), corpus, target, validation, testing, about)
        return
    provenance.keep_aside(layout.submission(run))
    verdict.publish(
        layout.submission(run),
        rule,
        corpus,
        submission.read_sample(layout.prepare / "sample.csv"),
        validation,
        Probabilities.read(folder / "test.parquet"),
        testing,
        np.random.default_rng(params.seed(tree)),
        about,
    )
    made = params.digest(provenance.makers(tree, run, rule.model_dump()))
    provenance.note(layout.submission(run), commit_of(layout.root), made)


class Question(Settings):
    """What a run answers: the part of its entry in params.yaml that says what its labels are."""

    target: str = WORD
    presence: Presence | None = None

    @property
    def is_submitted(self) -> bool:
        return is_submitted(self.target, self.presence)


def question_of(tree: dict[str, Any], run: str) -> Question:
    """Return the run's question, without looking at its model. Raises PipelineError if the run is not listed."""
    if run not in runs(tree):
        raise PipelineError(f"params.yaml lists no run '{run}'. Runs: {', '.join(runs(tree))}.")
    merged = {**(tree.get("train") or {}), **(tree["runs"][run] or {})}
    values = {key: merged[key] for key in Question.model_fields if key in merged}
    return params.validate(values, Question, f"runs.{run}")


def settings(tree: dict[str, Any]) -> Decide:
    """Return the section `decide`. Raises PipelineError if it overrides a run that is not listed."""
    decide = params.section(tree, "decide", Decide)
    strange = sorted(set(decide.overrides) - {*runs(tree), ENSEMBLE})
    if strange:
        raise PipelineError(
            f"params.yaml, decide.overrides: {', '.join(strange)} is no run. Runs: {', '.join([*runs(tree), ENSEMBLE])}"
        )
    return decide


def runs(tree: dict[str, Any]) -> list[str]:
    """Return the names of the runs. Raises PipelineError if params.yaml lists none."""
    listed = tree.get("runs")
    if not isinstance(listed, dict) or not listed:
        raise PipelineError(f"params.yaml: 'runs' must list at least one run by name; found {listed!r}.")
    if ENSEMBLE in listed:
        raise PipelineError(f"params.yaml: a run cannot be called '{ENSEMBLE}', since that is the vote of all runs.")
    return [str(run) for run in listed]
