"""Let the runs vote: the sum of their probabilities, weighted by validation accuracy, decided as a run is."""

import numpy as np

from pipeline import params
from pipeline.clips.corpus import Corpus
from pipeline.layout import Layout
from pipeline.scoring import decision, ensemble, submission, verdict
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import decide


def main(layout: Layout) -> None:
    """Write submissions/ensemble/: submission.csv, metrics.json, confusion.csv, confusion.png."""
    tree = params.read(layout.params)
    corpus = Corpus.open(layout.prepare)
    commands = corpus.vocabulary.commands
    settings = params.section(tree, "ensemble", ensemble.Ensemble)
    rule = decide.settings(tree).for_run(ensemble.NAME)
    # Folders of runs that are no longer listed stay on the disk; only the list counts.
    folders = {run: layout.probabilities(run) for run in settings.members(decide.runs(tree))}

    def tables(split: str) -> dict[str, Probabilities]:
        return {run: Probabilities.read(folder / f"{split}.parquet") for run, folder in folders.items()}

    validation = tables("validation")
    truth = verdict.truth_of(corpus, "validation", next(iter(validation.values())))
    shares = decision.shares_of(rule.prior, corpus.vocabulary.submission_labels)
    weights = ensemble.weigh(settings, validation, truth, commands, shares)
    held_out = all((folder / "testing.parquet").exists() for folder in folders.values())
    verdict.publish(
        layout.submission(ensemble.NAME),
        rule,
        corpus,
        submission.read_sample(layout.prepare / "sample.csv"),
        ensemble.vote(validation, weights, commands),
        ensemble.vote(tables("test"), weights, commands),
        ensemble.vote(tables("testing"), weights, commands) if held_out else None,
        np.random.default_rng(params.seed(tree)),
        {"weights": {run: round(weight, 5) for run, weight in weights.items()}},
    )
