"""What it cost and how to get it again: the graph with its times, versions, commit, hashes, machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.files import read_json
from pipeline.jobs import timing
from pipeline.layout import Layout
from pipeline.reporting.comparison import RunSummary
from pipeline.reporting.page import machine

FEW = 8  # runs whose names do not lie upon each other


def provenance(layout: Layout, tree: dict[str, Any], rows: list[RunSummary], corpus: Corpus | None) -> dict[str, Any]:
    """Return the last part of the page."""
    made = {row.run: read_json(layout.submission(row.run) / "metrics.json").get("provenance") or {} for row in rows}
    commits = list(dict.fromkeys(each["commit"] for each in made.values() if each.get("commit")))
    return {
        "graph": graph(layout, tree),
        "seed": params.seed(tree),
        "folds": params.folds(tree),
        "commits": commits,
        "corpus": corpus.fingerprint if corpus else "",
        "libraries": corpus.description["libraries"] if corpus else {},
        "versions": machine.versions(),
        "machine": machine.described(),
        "submissions": [
            {"run": run, "sha256": each["sha256"], "params": each["params"], "commit": each["commit"]}
            for run, each in made.items()
            if each.get("sha256")
        ],
        "params": params.digest(tree),
        "points": costs(rows),
    }


def costs(rows: list[RunSummary]) -> list[dict[str, Any]]:
    """Return what each run's training took and came to.

    `named` are those whose names a chart has room for: of many, those that no cheaper run of their question beats.
    """
    timed = sorted(((row.train_seconds, row) for row in rows if row.train_seconds), key=lambda each: each[0])
    points: list[dict[str, Any]] = []
    best: dict[str, float] = {}
    for seconds, row in timed:
        value = row.estimate.value
        named = len(timed) <= FEW or value > best.get(row.question, -1.0)
        best[row.question] = max(value, best.get(row.question, value))
        points.append({"run": row.run, "seconds": seconds, "value": value, "named": named})
    return points


def graph(layout: Layout, tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of the flow in order: name, how many units of work, and their seconds, where all were timed."""
    folds = params.folds(tree)

    def step(name: str, times: Sequence[Mapping[str, Any] | None] = (), told: str = "") -> dict[str, Any]:
        known = [time["seconds"] for time in times if time]
        seconds = sum(known) if known and len(known) == len(times) else None
        return {"name": name, "units": len(times), "seconds": seconds, "told": told}

    def of(some: list[str]) -> list[dict[str, Any]]:
        trained = [timing.of_training(layout, tree, run, fold) for run in some for fold in folds]
        told = f"{len(some)} run{'s' * (len(some) > 1)} × {len(folds)} fold{'s' * (len(folds) > 1)}"
        return [step("train", trained, told), step("predict", [timing.of_prediction(layout, run) for run in some])]

    flow = [step("download"), step("prepare")]
    flow += [step("encode")] if params.mapping(tree, "encode") else []
    teachers, *later = runs.rounds(tree)
    flow += of(teachers)
    for students in filter(None, later):
        flow += [step("vote"), step("pseudo_label"), *of(students)]
    return [
        *flow,
        step("decide", told=f"{len(runs.names(tree))}"),
        step("ensemble"),
        step("score"),
        step("report"),
    ]
