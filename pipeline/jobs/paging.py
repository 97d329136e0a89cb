"""The page's content, from what the stages left: tables, probabilities, clips; never weights."""

import json
import re
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import params, runs, sections, sources
from pipeline.clips.corpus import Corpus
from pipeline.delivery import ledger
from pipeline.errors import PipelineError
from pipeline.examples.rebalancing import Rebalancing
from pipeline.examples.target import target_of
from pipeline.examples.task import WORD, Task
from pipeline.files import read_json
from pipeline.jobs import run_page
from pipeline.jobs.comparing import rows_of, scores_of, submitted
from pipeline.jobs.provenance_page import provenance
from pipeline.jobs.resolving import edited_since
from pipeline.layout import Layout
from pipeline.reporting import competition_report
from pipeline.reporting.comparison import FIGURES, RunSummary
from pipeline.reporting.page import augmented, cells, changes, dataset, drift, errors, suspects
from pipeline.reporting.page.cache import cached
from pipeline.reporting.page.clipbook import ClipBook
from pipeline.reporting.page.evidence import JudgedRun, read
from pipeline.reporting.settings import Report
from pipeline.scoring import scoreboard
from pipeline.scoring.judged import FILE as JUDGED
from pipeline.scoring.settings import ENSEMBLE
from pipeline.scoring.truth import names_of

SUSPECTS = 12


def content(layout: Layout, tree: dict[str, Any]) -> dict[str, Any]:
    """Return all that the page tells, as JSON takes it. What is not made yet is None or empty.

    Raises PipelineError for a corpus that is broken, or tables of another corpus.
    """
    settings = params.section(tree, "report", Report)
    rows, lacking = rows_of(layout, tree)
    corpus = Corpus.open(layout.prepare) if (layout.prepare / "corpus.json").exists() else None
    if corpus is None:
        return bare(layout, tree, [], runs.names(tree))
    told = bare(layout, tree, rows, lacking, corpus)
    answers = scoreboard.read_answers(layout.prepare / "answers.csv", corpus.vocabulary.submission_labels)
    told["answered"] = answers is not None
    book = ClipBook(corpus, settings.clips, settings.audio)
    evidences = {row.run: _evidence(layout, tree, corpus, row.run) for row in rows}
    lead = leader(rows)
    task = run_page.task_of(tree, lead.run) if lead else _first_task(tree)
    if lead:
        told["lead"], told["heard"] = lead.run, sections.has_heard_judges(tree, lead.run)
        told["prior"] = read_json(layout.submission(lead.run) / "metrics.json").get("prior", "uniform")
        together = [each for row in _best_first(rows, lead) if (each := evidences[row.run])]
        lines = settings.lines(corpus.vocabulary.commands) if task.is_submitted else {}
        told["standing"] = standing(layout, rows, lead, lines, task)
        told["errors"] = failures(layout, tree, corpus, evidences, lead, together, book)
    told["data"] = data(layout, tree, corpus, task, lead, book)
    for row in _best_first(rows, lead) if lead else []:
        evidence = evidences[row.run]
        if evidence is not None and evidence.decided is not None and len(evidence.labels) <= cells.LARGEST:
            cells.carry_errors(evidence, book, together)
    told["runs"] = {
        row.run: run_page.detail(layout, tree, corpus, row, evidences[row.run], book, answers) for row in rows
    }
    for run in edited_since(read_json(layout.resolved), tree) if layout.resolved.exists() else ():
        if run in told["runs"]:
            told["runs"][run]["edited"] = True
    return {**told, "clips": book.entries, "media": book.media}


def content_or_error(layout: Layout, tree: dict[str, Any]) -> dict[str, Any]:
    """Return `content`; while stages write, what they left may not fit together: then a bare page that says so."""
    try:
        return content(layout, tree)
    except PipelineError as error:
        return {**bare(layout, tree, [], runs.names(tree)), "error": str(error)}


def bare(
    layout: Layout, tree: dict[str, Any], rows: list[RunSummary], lacking: list[str], corpus: Corpus | None = None
) -> dict[str, Any]:
    """Return the page's content without what the corpus and the judged clips tell."""
    return {
        "at_kaggle": corpus is not None and sources.is_kaggle(corpus.description["source"]),
        "source": corpus.description["source"] if corpus else params.mapping(tree, "download").get("source", ""),
        "caption": competition_report.caption_of(corpus) if corpus else "",
        "error": "",
        "lacking": lacking,
        "new_voices": are_new_voices(tree, corpus),
        "audio": params.section(tree, "report", Report).audio,
        "provenance": provenance(layout, tree, rows, corpus),
        "changes": changes.changes(
            ledger.read(layout.ledger),
            {run: submitted(layout, run) for run in [*runs.names(tree), ENSEMBLE]},
        ),
        "groups": groups(layout, rows),
        "runs": {},
        "lead": None,
        "heard": False,
        "prior": "uniform",
        "answered": False,
        "clips": [],
        "media": {},
        "errors": None,
        "data": None,
    }


def are_new_voices(tree: dict[str, Any], corpus: Corpus | None) -> bool:
    """Return whether it is known of all recorded clips that judge that their speakers are in no training clip."""
    if corpus is None or params.mapping(tree, "prepare").get("splits") == "random":
        return False
    judging = (corpus.rows["fold"] >= 0) & corpus.rows["noise_source"].isna()
    return bool(corpus.rows.loc[judging, "speaker"].notna().all())


def leader(rows: list[RunSummary]) -> RunSummary | None:
    """Return the run with the best estimate among those that answer what the ensemble does, None without any."""
    if not rows:
        return None
    asked = next((row.question for row in rows if row.run == ENSEMBLE), rows[0].question)
    return max((row for row in rows if row.question == asked), key=lambda row: row.estimate.value)


def groups(layout: Layout, rows: list[RunSummary]) -> list[dict[str, Any]]:
    """Return the rows of the table, a group for each question, the best estimate first."""
    scores = scores_of(layout)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: -row.estimate.value):
        score = scores.get(row.run, {})
        line = {name: getattr(row, name) for name in RunSummary.__dataclass_fields__}
        line |= {"estimate": vars(row.estimate)}
        line |= {
            name: vars(of) if of else None for name, of in (("test", row.test), ("unheard_recall", row.unheard_recall))
        }
        line |= {part: score.get(part) for part in ("private", "public")}
        found.setdefault((row.question, row.judge), []).append(line)
    return [
        {"question": question, "judge": judge, "figure": FIGURES[judge], "rows": lines}
        for (question, judge), lines in found.items()
    ]


def standing(
    layout: Layout, rows: list[RunSummary], lead: RunSummary, lines: dict[str, float], task: Task
) -> dict[str, Any]:
    """Return the points of the first chart, and the `lines` that they are measured by; what the runs' authors reported
    of the competition's private part is among the points."""
    scores = scores_of(layout)
    points, intervals = [], []
    for row in _best_first(rows, lead):
        if row.question == lead.question:
            kinds = {"estimate": row.estimate.value, "selected": row.selected}
            kinds |= {part: scores.get(row.run, {}).get(part) for part in ("private", "public")}
            kinds["reported"] = reported(row.reported)
            if row.test and not kinds["private"]:
                kinds["held out"] = row.test.value
            points += [{"run": row.run, "kind": kind, "value": value} for kind, value in kinds.items() if value]
            if row.estimate.low is not None:
                intervals.append({"run": row.run, "low": row.estimate.low, "high": row.estimate.high})
    # Of many lines two have room for their names, which the key tells of all.
    sides = dict(zip(sorted(lines, key=lines.__getitem__, reverse=True), ("right", "left"), strict=False))
    return {
        "submitted": task.is_submitted,
        "points": points,
        "intervals": intervals,
        "lines": [{"name": name, "value": value, "side": sides.get(name, "")} for name, value in lines.items()],
    }


def reported(text: str) -> float | None:
    """Return the private score that a run's `reported` tells, None where it tells none."""
    found = re.search(r"private (0\.\d+)", text)
    return float(found[1]) if found else None


def failures(
    layout: Layout,
    tree: dict[str, Any],
    corpus: Corpus,
    evidences: dict[str, JudgedRun | None],
    lead: RunSummary,
    together: list[JudgedRun],
    book: ClipBook,
) -> dict[str, Any] | None:
    """Return where the leading run fails, each clip with what all runs of its question say of it."""
    evidence = evidences[lead.run]
    if evidence is None:
        return None
    same = [each for each in together if each.labels == evidence.labels]
    finest = next((each for each in same if len(each.fine.labels) > len(evidence.labels)), evidence)
    task = run_page.task_of(tree, finest.run)
    asked = f"{corpus.fingerprint} {task!r} {SUSPECTS}".encode()
    of = asked + finest.fine.values.tobytes() + finest.rows.tobytes()
    find = partial(suspects.find, finest, corpus, task, SUSPECTS)
    found = cached(layout.page_parts, "suspects", of, find)
    labelled, judge_all = judging(corpus, evidence.rows)
    return {
        "run": lead.run,
        "clips": len(evidence.rows),
        "wrong": int(evidence.wrong.sum()),
        "labelled": labelled,
        "judge_all": judge_all,
        "tags": evidence.decided is None,
        "worst": errors.worst(evidence, book, same),
        "suspects": [{**each, "clip": book.carry(int(finest.rows[each["place"]]), same)} for each in found],
        "suspects_run": finest.run,
        "passing": errors.passing(evidence, corpus, book, same),
        "speakers": errors.speakers(evidence, book, same),
        "torn": errors.torn(evidence, book, same),
    }


def judging(corpus: Corpus, rows: NDArray[np.int64]) -> tuple[int, bool]:
    """Return how many labelled clips there are, made silence too, and whether `rows` [clips] are of all their folds.

    Synthetic speech judges nothing, and what is held out does not judge out of fold: neither counts.
    """
    learnt = corpus.rows["split"].isin(("train", "validation")).to_numpy()
    judged = set(corpus.rows["fold"].to_numpy()[rows].tolist())
    return len(set(names_of(corpus)[learnt])), corpus.folds > 1 and judged == set(range(corpus.folds))


def data(
    layout: Layout, tree: dict[str, Any], corpus: Corpus, task: Task, lead: RunSummary | None, book: ClipBook
) -> dict[str, Any]:
    """Return what the data looked like, to a run that answers `task`."""
    target = target_of(corpus, task.model_copy(update={"vocabulary": "commands"}))
    name = next(run for run in [lead.run if lead else "", *runs.names(tree)] if run in runs.names(tree))
    entry = runs.entry(tree, name)
    fold = params.folds(tree)[0]
    of = corpus.fingerprint.encode()
    told: dict[str, Any] = {
        "counts": dataset.counts(corpus, target),
        "quarantine": dataset.quarantine(layout.prepare / "quarantine.csv"),
        "drift": cached(layout.page_parts, "drift", of, partial(drift.compare, corpus)),
        "examples": dataset.examples(corpus, target, book),
        "run": name,
        "augmented": [],
        "rebalanced": [],
    }
    if task.target == WORD and task.presence is None and fold < corpus.folds:
        settings = params.validate(entry.get("rebalancing"), Rebalancing, "rebalancing")
        told["rebalanced"] = dataset.rebalanced(corpus, target, settings, fold)
    spoken = [each["clip"] for each in told["examples"]]
    if spoken and book.has_room:
        row = int(corpus.training_rows(fold)[0])
        entries = entry.get("augmentation")
        asked = of + json.dumps([row, fold, entries]).encode()
        make = partial(augmented.made, corpus, row, entries, fold)
        made = cached(layout.page_parts, "augmented", asked, make)
        told["augmented"] = augmented.examples(made, row, book)
    return told


def _first_task(tree: dict[str, Any]) -> Task:
    return runs.task_of(tree, runs.names(tree)[0])


def _best_first(rows: list[RunSummary], lead: RunSummary) -> list[RunSummary]:
    return sorted(rows, key=lambda row: (row.question != lead.question, -row.estimate.value))


def _evidence(layout: Layout, tree: dict[str, Any], corpus: Corpus, run: str) -> JudgedRun | None:
    path = layout.submission(run) / JUDGED
    return read(path, corpus, run_page.task_of(tree, run), run) if path.exists() else None
