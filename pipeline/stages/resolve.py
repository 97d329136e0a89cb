"""resolve: params.yaml as each stage sees it, so that a change runs what it concerns, and nothing else."""

import shutil
from pathlib import Path
from typing import Any

from pipeline import code, params, runs, sections
from pipeline.files import write_json
from pipeline.layout import Layout

# Stages whose code is the same for all runs; that of `train` and `predict` is noted for each run, with its models'.
STAGES = (
    *("check", "download", "prepare", "encode", "encoder_digest", "vote", "pseudo_label", "decide"),
    *("ensemble", "score"),
)
SECTIONS = ("download", "prepare", "encode", "decide", "vote", "ensemble")


def main(layout: Layout) -> None:
    """Write artifacts/params.json: the sections, and digests of the runs and of the code.

    A run's digest is of all that its training depends on, `like` and the section `train` filled in. As long entries in
    dvc.lock once a fold, 33 runs of five folds would keep each `dvc repro` reading for seconds.
    What changes nothing (`reported`, comments, a value given that is the shared one) is not in it. Trainings and
    probabilities of runs and folds that are listed no more are removed: DVC's cache has them, should they come back.
    Raises PipelineError for what can be told to be wrong without loading models; stage check tells the rest.
    """
    tree = params.read(layout.params)
    folds = params.folds(tree)
    source = (tree.get("download") or {}).get("source")
    resolved: dict[str, Any] = {"seed": params.seed(tree), "folds": folds}
    resolved |= {section: tree.get(section) or {} for section in SECTIONS}
    resolved["prior"] = resolved["decide"].get("prior", "uniform")
    resolved["tasks"] = {name: task.model_dump() for name, task in runs.tasks(tree).items()}
    resolved["runs"] = {name: _run(tree, name) for name in runs.teachers(tree)}
    resolved["students"] = {
        name: {"pseudo_labels": runs.entry(tree, name).get("pseudo_labels") or {}, "training": _run(tree, name)}
        for name in runs.students(tree)
    }
    sections.decide(tree)
    for vote in ("vote", "ensemble"):
        sections.voters(tree, vote)
    its_source = _that_exist([f"sources.{source}"])
    every_model = {model for name in runs.names(tree) for model in _models(tree, name)}
    also = {
        **dict.fromkeys(("download", "prepare"), its_source),
        **dict.fromkeys(("check", "encoder_digest"), sorted(every_model)),
        "encode": ["models.wav2vec2"],  # what encode.fit trains
    }
    resolved["code"] = {stage: code.digest([f"stages.{stage}", *also.get(stage, [])]) for stage in STAGES}
    resolved["code_of_predict"] = {
        name: code.digest(["stages.predict", *_models(tree, name)]) for name in runs.names(tree)
    }
    write_json(layout.resolved, resolved)
    _remove_unlisted(layout, tree, folds)


def _run(tree: dict[str, Any], name: str) -> str:
    """Return the digest of what a training depends on: the run's entry, the code of stage train and of its models."""
    entry = {key: value for key, value in runs.entry(tree, name).items() if key != "reported"}
    return params.digest({**entry, "code": code.digest(["stages.train", *_models(tree, name)])})


def _models(tree: dict[str, Any], name: str) -> list[str]:
    entry = runs.entry(tree, name)
    return _that_exist([f"models.{entry.get('model')}", f"models.{(entry.get('detector') or {}).get('model')}"])


def _that_exist(modules: list[str]) -> list[str]:
    """Leave out what a typing error names; stage check tells of it."""
    return [module for module in modules if (code.ROOT / f"{module.replace('.', '/')}.py").exists()]


def _remove_unlisted(layout: Layout, tree: dict[str, Any], folds: list[int]) -> None:
    gone: list[Path] = []
    for is_student, listed in ((False, runs.teachers(tree)), (True, runs.students(tree))):
        paths = layout.run("", is_student)
        kept = {run: layout.run(run, is_student) for run in listed}
        for folder in (paths.trained, paths.probabilities, *([layout.second / "pseudo_label"] if is_student else [])):
            gone += [path for path in _folders(folder) if path.name not in listed]
        for run in kept.values():
            gone += [path for path in _folders(run.trained) if path.name not in map(str, folds)]
    for path in gone:
        shutil.rmtree(path)
    if gone:
        names = ", ".join(sorted(str(path.relative_to(layout.root)) for path in gone))
        print(f"No longer listed in params.yaml, so removed (DVC's cache keeps it): {names}")


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.is_dir()]
