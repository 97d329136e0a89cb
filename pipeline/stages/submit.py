"""submit: upload a run's submission, or a file made elsewhere, to Kaggle, once, and record it."""

import os
from pathlib import Path

from pipeline import params, runs, sources
from pipeline.delivery import access
from pipeline.delivery.competition import Competition
from pipeline.delivery.journal import Journal
from pipeline.delivery.scores import Scores
from pipeline.delivery.settings import Submit
from pipeline.delivery.submitting import Submitter
from pipeline.delivery.terminal import ask, say
from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.jobs.validating import sample_for
from pipeline.layout import Layout
from pipeline.scoring import candidates, validation
from pipeline.scoring.settings import ENSEMBLE

_LONGEST_NAME_BYTES = 200  # what is kept has its score before it, and may have digits after it


def main(
    layout: Layout, target: str, message: str = "", wait: bool = False, force: bool = False, sample: Path | None = None
) -> None:
    """Submit submissions/<target>/submission.csv, or the file `target`; with `wait`, until it is scored.

    A file needs no corpus, no run and no params.yaml, only a `sample`. Raises PipelineError, with nothing submitted,
    for a file that is invalid, of too long a name, not of this competition, or (unless `force`) has one label only or
    was submitted before, without access, and where no submission is left; also if the scoring failed.
    """
    tree = params.read(layout.params) if layout.params.exists() else {}
    listed = [*runs.names(tree), ENSEMBLE] if tree.get("runs") else []
    run, path = _located(target, listed, layout)
    reference = sample_for(path, run, layout, tree, sample)
    data = reference.read(path)
    findings = reference.examine(path, data)
    _refuse_elsewhere(path, reference.path.parent / "corpus.json")
    reference.warn(findings)
    if not force:
        validation.refuse_one_label(path, findings)
    settings = params.section(tree, "submit", Submit)
    competition = Competition(settings.slug(tree.get("download")), settings.patience)
    access.check(competition)
    journal = Journal(layout.journal)
    submitter = Submitter(competition, journal, layout.ledger, settings, say, ask)
    candidate = candidates.make(target, run, path, data, layout.submissions, message)
    ref = submitter.submit(candidate, force, wait)
    if wait:
        keep = candidates.keeper(layout.submissions, say)
        row = Scores(competition, journal, layout.ledger, settings, keep, say).wait(ref)
        say(candidates.outcome(row, competition.page))
    else:
        say("Kaggle scores it now. For the score: python -m pipeline submissions")


def _located(target: str, listed: list[str], layout: Layout) -> tuple[str, Path]:
    name, most = max(Path(target).parts, key=len, default=""), _LONGEST_NAME_BYTES
    if len(os.fsencode(name)) > most:
        raise PipelineError(f"The name {name} is too long: with at most {most} bytes, a file is kept under its score.")
    return candidates.locate(target, listed, layout.submissions)


def _refuse_elsewhere(path: Path, corpus: Path) -> None:
    source = read_json(corpus).get("source") if corpus.exists() else None
    if source is not None and not sources.is_kaggle(source):
        raise PipelineError(
            f"{path} labels clips of the source '{source}', which no competition at Kaggle asks for; nothing was\n"
            "uploaded. For the competition's own clips: cp profiles/kaggle.yaml params.yaml && dvc repro"
        )
