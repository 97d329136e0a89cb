"""What can be told to be wrong with params.yaml before any work: every section, and whether each run can be built."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import models, params, runs, sections, sources
from pipeline.clips.preparation import Prepare
from pipeline.delivery.settings import Kernel, Submit
from pipeline.errors import PipelineError
from pipeline.jobs import encoding
from pipeline.jobs.encoding import Encode
from pipeline.jobs.recipes import read_run, recipes_of
from pipeline.scoring.decision import shares_of


def problems_of(tree: dict[str, Any], store: Path) -> list[str]:
    """Return a message for each thing that is wrong; fetches checkpoints that are not in `store`, if it can."""
    problems: list[str] = []
    prepare, encode = Prepare(), Encode()
    with _noted(problems):
        params.seed(tree)
    with _noted(problems):
        _check_source(tree)
    with _noted(problems):
        prepare = params.section(tree, "prepare", Prepare)
        _check_folds(params.folds(tree), prepare.folds)
    with _noted(problems):
        rule = sections.decide(tree)
        if prepare.commands:
            for name in [*runs.names(tree), "ensemble"]:
                shares_of(rule.for_run(name).prior, [*prepare.commands, "unknown", "silence"])
    for vote in ("vote", "ensemble"):
        with _noted(problems):
            sections.voters(tree, vote)
    with _noted(problems):
        params.section(tree, "submit", Submit)
    if tree.get("kernel") is not None:
        with _noted(problems):
            params.section(tree, "kernel", Kernel)
    stored = None
    with _noted(problems, "Section encode: "):
        encode = params.section(tree, "encode", Encode)
        stored = encoding.check(encode, store)
    unused = set((tree.get("train") or {}).get("training") or {})
    for name in runs.names(tree):
        with _noted(problems, f"Run '{name}': "):
            run = read_run(tree, name)
            for recipe in recipes_of(run, f"runs.{name}"):
                unused -= set(recipe.model.Training.model_fields)
                recipe.model.check(recipe.parameters, store)
                if "hidden_states" in models.inputs_of(recipe.name) and (stored is not None or not encode.is_asked):
                    _check_layers(getattr(recipe.parameters, "layers", None), stored)
            print(f"{name}: ready to train")
    if unused and not problems:
        problems.append(f"params.yaml, train.training: no run's model knows the key {', '.join(sorted(unused))}.")
    return problems


@contextmanager
def _noted(problems: list[str], where: str = "") -> Iterator[None]:
    try:
        yield
    except PipelineError as error:
        problems.append(f"{where}{error}")


def _check_source(tree: dict[str, Any]) -> None:
    source, values = sources.named(tree.get("download"))
    params.validate(values, source.Params, "download")


def _check_folds(trained: list[int], folds: int) -> None:
    if absent := [str(fold) for fold in trained if fold >= folds]:
        raise PipelineError(
            f"params.yaml: 'folds' lists {', '.join(absent)}, but prepare.folds is {folds}: they are numbered from 0 "
            f"to {folds - 1}.\nSet prepare.folds, and folds: {list(range(max(folds, len(trained))))}."
        )


def _check_layers(wanted: tuple[int, ...] | None, stored: tuple[int, ...] | None) -> None:
    """Raise PipelineError if hidden states that a run reads will not be there."""
    if stored is None:
        raise PipelineError(
            "it reads hidden states, and the section encode in params.yaml asks for none. Set encode.checkpoint, or "
            "encode.fit (see profiles/audiomnist.yaml)."
        )
    if absent := sorted(set(wanted or ()) - set(stored)):
        raise PipelineError(
            f"it reads layer {', '.join(map(str, absent))}; stored are {', '.join(map(str, stored))}.\n"
            "Change `layers` in the run's parameters, or encode.layers, in params.yaml."
        )
