"""decide: one run's probabilities into a submission, by the rule in params.yaml. Seconds; nothing is retrained."""

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.examples.target import target_of
from pipeline.jobs.deciding import Predictions, estimated_prior, publish
from pipeline.layout import Layout
from pipeline.reporting import target_report
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities


def main(layout: Layout, run: str) -> None:
    """Write submissions/<run>/: submission.csv, metrics.json, confusion.csv, confusion.png.

    A run with another target than the competition's has figures, but no submission.
    """
    tree = params.read(layout.params)
    task, corpus = runs.task_of(tree, run), Corpus.open(layout.prepare)
    folder, target = runs.paths(layout, tree, run).probabilities, target_of(corpus, task)
    out_of_fold = OutOfFold.read(folder, corpus)
    holdout = folder / "holdout.parquet"
    predictions = Predictions(
        out_of_fold,
        Probabilities.read(holdout) if holdout.exists() else None,
        test=lambda: Probabilities.read(folder / "test.parquet"),
        estimated_prior=lambda: estimated_prior(corpus, out_of_fold, folder),
    )
    parts = target_report.judge_parts(folder, corpus, target)
    publish(layout, tree, corpus, run, task, target, predictions, {"parts": parts} if parts else {})
