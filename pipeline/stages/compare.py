"""compare: one table of all runs, from what the stages left: cost, accuracy with its interval, the authors' figure."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from pipeline import metrics, params, runs
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing
from pipeline.layout import Layout
from pipeline.reporting import comparison
from pipeline.scoring.ensemble import NAME as ENSEMBLE


def main(layout: Layout, into: Path | None = None) -> None:
    """Write artifacts/compare/table.md and table.csv, print the table, and put it into the file `into`, if given.

    A terminal that is too narrow for all columns gets the most important ones.
    Runs that are not decided yet are left out by name. Raises PipelineError if none is decided.
    """
    tree = params.read(layout.params)
    scores = read_json(layout.scores) if layout.scores.exists() else {}
    rows, lacking = [], []
    for run in [*runs.names(tree), ENSEMBLE]:
        path = layout.submission(run) / "metrics.json"
        if path.exists():
            rows.append(row_of(layout, tree, run, read_json(path), scores.get(run, {})))
        else:
            lacking.append(run)
    if not rows:
        raise PipelineError("No run is decided yet, so there is nothing to compare. Run: dvc repro")
    table = comparison.markdown(rows)
    for name, text in (("table.md", table), ("table.csv", comparison.to_csv(rows))):
        with replacing(layout.comparison / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if into is not None:
        comparison.put_into(into, table)
    console = Console()
    if console.is_terminal:
        fits = console.width >= max(map(len, table.splitlines()))
        console.print(Markdown(table if fits else comparison.markdown(rows, comparison.SHORT)))
    else:
        print(table)
    if lacking:
        console.print(f"Not decided yet: {', '.join(lacking)}. Run: dvc repro", soft_wrap=True)
    console.print(f"{layout.comparison / 'table.md'} and table.csv", soft_wrap=True)


def row_of(
    layout: Layout, tree: dict[str, Any], run: str, figures: dict[str, Any], score: dict[str, Any]
) -> comparison.Row:
    """Return what is known of one run: `figures` are its metrics.json, `score` its entry in scores.json."""
    own = runs.entry(tree, run) if run != ENSEMBLE else {}
    estimate = figures["estimate"]
    judge = "map" if "map" in estimate else "prior_accuracy"
    seconds = [_timing(layout, run, f"train-{fold}") for fold in params.folds(tree)]
    predicting = _timing(layout, run, "predict")
    presence = figures["presence"]
    question = f"{presence['name']} or not" if presence else figures["target"]
    return comparison.Row(
        run=run,
        model=str(own.get("model", "vote")),
        question=question,
        learns=own.get("vocabulary", "commands") if question == "word" and own else question,
        parameters=comparison.parameters_in(layout.run(run, run in runs.students(tree)).model(params.folds(tree)[0])),
        train_seconds=sum(each["seconds"] for each in seconds if each) if any(seconds) else None,
        clips_a_second=predicting["clips"] / predicting["seconds"] if predicting and predicting["seconds"] else None,
        judge=judge,
        estimate=_judged(estimate),
        selected=figures["selected"][judge],
        test=_scored(score) or (_judged(figures["holdout"]) if figures["holdout"] else None),
        macro_f1=estimate.get("macro_f1"),
        unknown_recall=estimate.get("unknown_recall"),
        silence_recall=estimate.get("silence_recall"),
        reported=str(own.get("reported", "")),
    )


def _judged(figures: dict[str, Any]) -> comparison.Judged:
    if "map" in figures:  # mean average precision has no interval of its own
        return comparison.Judged(figures["map"], figures["map"], figures["map"], figures["clips"])
    low, high = figures["prior_accuracy_low"], figures["prior_accuracy_high"]
    return comparison.Judged(figures["prior_accuracy"], low, high, figures["clips"])


def _scored(score: dict[str, Any]) -> comparison.Judged | None:
    """Return the accuracy on the test clips whose answers are known."""
    parts = [(score[part], score[f"n_{part}"]) for part in ("private", "public") if score.get(part) is not None]
    clips = sum(count for _, count in parts)
    if not clips:
        return None
    accuracy = sum(share * count for share, count in parts) / clips
    return comparison.Judged(accuracy, *metrics.wilson(accuracy, clips), clips)


def _timing(layout: Layout, run: str, stage: str) -> dict[str, Any] | None:
    path = layout.timing(run, stage)
    return read_json(path) if path.exists() else None
