"""inputs: what each run reads of stage encode, so that another encoder trains the probes again, and no other run."""

from typing import Any

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.features.hidden_states import ABOUT, VALUES
from pipeline.files import replacing_folder, sha256_of, write_json
from pipeline.layout import Layout
from pipeline.stages import decide, encode


def main(layout: Layout) -> None:
    """Write artifacts/inputs/<run>.json: SHA-256 of the hidden states for a run that reads them, null for another.

    Raises PipelineError if stage encode has not run.
    """
    tree = params.read(layout.params)
    is_empty = (layout.encode / encode.NOTHING).exists()
    if absent := [name for name in (ABOUT, VALUES) if not is_empty and not (layout.encode / name).exists()]:
        raise PipelineError(f"{layout.encode} has no {' and no '.join(absent)}. Run: dvc repro encode")
    states = None if is_empty else {name: sha256_of(layout.encode / name) for name in (ABOUT, VALUES)}
    with replacing_folder(layout.inputs) as folder:
        for run in decide.runs(tree):
            reads = states if states is not None and _reads_states(tree, run) else None
            write_json(folder / f"{run}.json", {"hidden_states": reads})


def _reads_states(tree: dict[str, Any], run: str) -> bool:
    # Here, since models take seconds to load, which nobody should wait for who stored no states.
    from pipeline import models
    from pipeline.stages.train import read_run

    return "hidden_states" in models.inputs_of(read_run(tree, run).model)
