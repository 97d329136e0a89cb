"""check: find out before any long work whether each run can be built: its parameters and its checkpoint."""

from pipeline import models, params
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.layout import Layout
from pipeline.scoring.ensemble import Ensemble
from pipeline.stages import decide, encode
from pipeline.stages.ensemble import voters
from pipeline.stages.train import read_run, recipes_of


def main(layout: Layout) -> None:
    """Check every run of params.yaml; fetches checkpoints that are not here, if there is a network.

    The file written is always the same, so that downstream stages wait for this one but do not start over for it.
    Raises PipelineError with what is wrong, for all runs together.
    """
    tree = params.read(layout.params)
    params.seed(tree)
    encoding = params.section(tree, "encode", encode.Params)
    problems = []
    try:
        stored = encode.check(encoding, layout.checkpoints)
    except PipelineError as error:
        problems.append(f"Section encode: {error}")
        stored = None
    shared = set(((tree.get("train") or {}).get("training")) or {})
    voters(tree, params.section(tree, "ensemble", Ensemble))
    for name in decide.runs(tree):
        try:
            run = read_run(tree, name)
            for recipe in recipes_of(run, f"runs.{name}"):
                shared -= set(recipe.model.Training.model_fields)
                recipe.model.check(recipe.parameters, layout.checkpoints)
                if "hidden_states" in models.inputs_of(recipe.name) and (stored is not None or not encoding.is_asked):
                    _check_layers(getattr(recipe.parameters, "layers", None), stored)
            print(f"{name}: ready to train")
        except PipelineError as error:
            problems.append(f"Run '{name}': {error}")
    if shared and not problems:
        problems.append(f"params.yaml, train.training: no run's model knows the key {', '.join(sorted(shared))}.")
    if problems:
        raise PipelineError("\n\n".join(problems))
    with replacing(layout.checked) as temporary:
        temporary.write_text("every run can be built\n", encoding="utf-8")


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
