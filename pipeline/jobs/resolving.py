"""params.yaml as each stage sees it: what `dvc repro` watches in its place."""

from pathlib import Path
from typing import Any

from pipeline import code, modules, params, runs, sections, stages
from pipeline.layout import Layout


def resolved(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the sections, each run's task, and digests of the runs and of the code that each stage imports.

    A run's digest is of all that its training depends on, `like` and the section `train` filled in. As long entries in
    dvc.lock once a fold, 33 runs of five folds would keep each `dvc repro` reading for seconds. What changes nothing
    (`reported`, comments, a value given that is the shared one) is not in it. Raises PipelineError for what can be told
    to be wrong without loading models; stage check tells the rest.
    """
    source = (tree.get("download") or {}).get("source")
    result: dict[str, Any] = {"seed": params.seed(tree), "folds": params.folds(tree)}
    result |= {section: tree.get(section) or {} for section in params.sections() if section not in result}
    result["prior"] = result["decide"].get("prior", "uniform")
    result["tasks"] = {name: task.model_dump() for name, task in runs.tasks(tree).items()}
    result["runs"] = {name: _run(tree, name) for name in runs.teachers(tree)}
    result["students"] = {
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
    result["code"] = {stage: code.digest([f"stages.{stage}", *also.get(stage, [])]) for stage in modules.names(stages)}
    result["code_of_predict"] = {
        name: code.digest(["stages.predict", *_models(tree, name)]) for name in runs.names(tree)
    }
    return result


def unlisted(layout: Layout, tree: dict[str, Any]) -> list[Path]:
    """Return the folders of trainings and probabilities whose run or fold is listed no more, sorted."""
    folds = {str(fold) for fold in params.folds(tree)}
    gone: list[Path] = []
    for is_student, listed in ((False, runs.teachers(tree)), (True, runs.students(tree))):
        paths = layout.run("", is_student)
        for folder in (paths.trained, paths.probabilities, *([layout.second / "pseudo_label"] if is_student else [])):
            gone += [path for path in _folders(folder) if path.name not in listed]
        for run in listed:
            gone += [path for path in _folders(layout.run(run, is_student).trained) if path.name not in folds]
    return sorted(gone)


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


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.is_dir()]
