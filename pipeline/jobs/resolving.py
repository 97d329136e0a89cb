"""params.yaml as each stage sees it: what `dvc repro` watches in its place."""

from typing import Any

from pipeline import code, params, runs, sections
from pipeline.scoring.settings import ENSEMBLE

# What a run says that its training does not depend on.
LATER = ("at_once", "engine", "heard_judges", "looks", *runs.SAID_OF_A_RUN)


def resolved(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the sections, each run's task, and digests of the runs and of the code that each stage imports.

    A run's digest is of all that its training depends on, `like` and the section `train` filled in. As long entries in
    dvc.lock once a fold, 33 runs of five folds would keep each `dvc repro` reading for seconds. What changes nothing
    (`reported`, `search`, comments, a value given that is the shared one) or no weight (`runs.shaping`) is not in it.
    Raises PipelineError for what can be told to be wrong without loading models; stage check tells the rest.
    """
    result: dict[str, Any] = {"seed": params.seed(tree), "folds": params.folds(tree)}
    result |= {section: params.mapping(tree, section) for section in params.SECTIONS if section not in result}
    for section in ("prepare", "encode"):  # how many processes do it changes nothing
        result[section] = {key: value for key, value in result[section].items() if key != "processes"}
    result["prior"] = sections.decide(tree).for_run(ENSEMBLE).prior  # all that stage vote reads of decide
    for vote in (*sections.VOTES, ENSEMBLE):
        sections.voters(tree, vote)
    models = {name: runs.models_of(tree, name) for name in runs.names(tree)}
    result["models"] = models
    result["tasks"] = {name: task.model_dump() for name, task in runs.tasks(tree).items()}
    for key in ("looks", "engine"):
        result[key] = {name: runs.entry(tree, name).get(key) for name in models}
    result["heard_judges"] = sections.heard_judges(tree, models)
    result |= _asked_of_runs(tree)
    every_model = [f"models.{model}" for named in models.values() for model in named]
    its_sources = [f"sources.{name}" for name in _sources(result["download"])]
    also = {
        **dict.fromkeys(("download", "prepare"), its_sources),
        "check": [*its_sources, *every_model],
        "encoder_digest": every_model,
        "encode": ["models.wav2vec2"],  # what encode.fit trains
    }
    result["code"] = {stage: _digest(stage, also.get(stage, [])) for stage in code.stages()}
    result["code_of_predict"] = {
        name: _digest("predict", [f"models.{model}" for model in named]) for name, named in models.items()
    }
    return result


def edited_since(last: dict[str, Any], tree: dict[str, Any]) -> set[str]:
    """Return the runs of `tree` of which another training is asked now than `last`, an earlier `resolved`, asked."""
    now = _asked_of_runs(tree)
    return {name for part, asked in now.items() for name, says in asked.items() if last.get(part, {}).get(name) != says}


def _asked_of_runs(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by section and run the digest of what its training depends on; of a student, its pseudo-labels too."""
    teachers, *later = runs.rounds(tree)
    asked: dict[str, dict[str, Any]] = {"runs": {name: _run(tree, name) for name in teachers}}
    for section, names in zip(runs.ROUNDS[1:], later, strict=True):
        asked[section] = {
            name: {"pseudo_labels": runs.entry(tree, name).get("pseudo_labels") or {}, "training": _run(tree, name)}
            for name in names
        }
    return asked


def _run(tree: dict[str, Any], name: str) -> str:
    """Return the digest of what a training depends on: the run's entry, the code of stage train and of its models."""
    entry = {key: value for key, value in runs.shaping(runs.entry(tree, name)).items() if key not in LATER}
    models = [f"models.{model}" for model in runs.models_of(tree, name)]
    return params.digest({**entry, "code": _digest("train", models)})


def _digest(stage: str, also: list[str]) -> str:
    """Return the digest of a stage's code; what a typing error names is left out: stage check tells of it."""
    there = {name for name in also if (code.ROOT / f"{name.replace('.', '/')}.py").exists()}
    return code.digest([f"stages.{stage}", *there])


def _sources(download: dict[str, Any]) -> list[str]:
    """Return the names of all sources of the section; stage check tells what is wrong in it."""
    extra = download.get("extra")
    entries = [download, *(extra if isinstance(extra, list) else [])]
    return [str(entry.get("source")) for entry in entries if isinstance(entry, dict)]
