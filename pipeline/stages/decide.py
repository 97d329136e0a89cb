"""decide: one run's probabilities into a submission, by the rule in params.yaml. Seconds; nothing is retrained."""

import numpy as np

from pipeline import params, runs, sections
from pipeline.clips.corpus import Corpus
from pipeline.delivery.commit import commit_of
from pipeline.examples.target import target_of
from pipeline.jobs import priors
from pipeline.layout import Layout
from pipeline.reporting import competition_report, target_report
from pipeline.scoring import submission
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities


def main(layout: Layout, run: str) -> None:
    """Write submissions/<run>/: submission.csv, metrics.json, confusion.csv, confusion.png.

    A run with another target than the competition's has figures, but no submission.
    """
    tree = params.read(layout.params)
    task, rule = runs.task_of(tree, run), sections.decide(tree).for_run(run)
    corpus = Corpus.open(layout.prepare)
    folder = runs.paths(layout, tree, run).probabilities
    out_of_fold = OutOfFold.read(folder, corpus)
    holdout = Probabilities.read(folder / "holdout.parquet") if (folder / "holdout.parquet").exists() else None
    target = target_of(corpus, task)
    about = task.model_dump(include={"target", "presence"})
    if note := sections.note_of(tree, run):
        about["estimate_note"] = note
    if parts := target_report.judge_parts(folder, corpus, target):
        about["parts"] = parts
    if not task.is_submitted:
        target_report.publish(layout.submission(run), corpus, target, out_of_fold, holdout, about)
        return
    sample = submission.read_sample(layout.prepare / "sample.csv")
    test = Probabilities.read(folder / "test.parquet")
    rng = np.random.default_rng(params.seed(tree))
    settled, found = priors.settle(rule, corpus, out_of_fold, folder)
    if found is not None:
        print(found.report())
        about["prior_estimate"] = found.told()
    by = commit_of(layout.root), params.digest(sections.makers(tree, run))
    folder = layout.submission(run)
    competition_report.publish(folder, settled, corpus, sample, out_of_fold, test, holdout, rng, about, *by)
