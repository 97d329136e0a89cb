"""Let the runs vote: the sum of their probabilities, weighted by validation accuracy, decided as a run is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.clips.target import target_of
from pipeline.delivery.commit import commit_of
from pipeline.layout import Layout
from pipeline.scoring import decision, ensemble, judgement, provenance, submission, verdict
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import decide


def main(layout: Layout) -> None:
    """Write submissions/ensemble/: submission.csv, metrics.json, confusion.csv, confusion.png.

    The runs that answer the competition's question vote; where there is none, those that answer the first run's.
    """
    tree = params.read(layout.params)
    corpus = Corpus.open(layout.prepare)
    settings = params.section(tree, "ensemble", ensemble.Ensemble)
    members, question = voters(tree, settings)
    # Folders of runs that are no longer listed stay on the disk; only the list counts.
    folders = {run: layout.probabilities(run) for run in members}
    held_out = all((folder / "testing.parquet").exists() for folder in folders.values())

    def tables(split: str) -> dict[str, Probabilities]:
        return {run: Probabilities.read(folder / f"{split}.parquet") for run, folder in folders.items()}

    validation = tables("validation")
    first = next(iter(validation.values()))
    folder = layout.submission(ensemble.NAME)
    if not question.is_submitted:
        target = target_of(corpus, question.target, presence=question.presence)
        values = judgement.truth_of(corpus, "validation", target, first)
        if target.multi_label:
            weights = _by_precision(settings, validation, values)
        else:
            names = [target.labels[index] if index >= 0 else "" for index in values]
            weights = ensemble.weigh(settings, validation, names, None, None)
        voted = ensemble.vote(validation, weights, None)
        testing = ensemble.vote(tables("testing"), weights, None) if held_out else None
        judgement.publish(folder, corpus, target, voted, testing, {**question.model_dump(), **_told(weights)})
        return
    commands = corpus.vocabulary.commands
    truth = verdict.truth_of(corpus, "validation", first)
    rule = decide.settings(tree).for_run(ensemble.NAME)
    shares = decision.shares_of(rule.prior, corpus.vocabulary.submission_labels)
    weights = ensemble.weigh(settings, validation, truth, commands, shares)
    provenance.keep_aside(folder)
    verdict.publish(
        folder,
        rule,
        corpus,
        submission.read_sample(layout.prepare / "sample.csv"),
        ensemble.vote(validation, weights, commands),
        ensemble.vote(tables("test"), weights, commands),
        ensemble.vote(tables("testing"), weights, commands) if held_out else None,
        np.random.default_rng(params.seed(tree)),
        {**question.model_dump(), **_told(weights)},
    )
    made = params.digest(provenance.makers(tree, ensemble.NAME, rule.model_dump()))
    provenance.note(folder, commit_of(layout.root), made)


def voters(tree: dict[str, Any], settings: ensemble.Ensemble) -> tuple[list[str], decide.Question]:
    """Return the runs that vote, and the question that they answer.

    Raises PipelineError if the section `ensemble` names runs that answer different questions.
    """
    questions = {run: decide.question_of(tree, run) for run in decide.runs(tree)}
    named = settings.runs or [run for run, question in questions.items() if question.is_submitted] or list(questions)
    asked = questions.get(named[0], decide.Question())
    alike = [run for run, question in questions.items() if question == asked]
    return settings.members(alike), asked


def _by_precision(
    settings: ensemble.Ensemble, tables: dict[str, Probabilities], truth: NDArray[Any]
) -> dict[str, float]:
    """Return weights by mean average precision, where a clip may have several labels."""
    if settings.weights != "accuracy":
        return ensemble.weigh(settings, tables, [], None, None)
    figures = {run: judgement.describe(truth, table)["map"] for run, table in tables.items()}
    return {run: figure / sum(figures.values()) for run, figure in figures.items()}


def _told(weights: dict[str, float]) -> dict[str, Any]:
    return {"weights": {run: round(weight, 5) for run, weight in weights.items()}}
