"""encoder_digest: what each run reads of stage encode, so that another encoder trains only these again."""

from typing import Any

from pipeline import params, runs
from pipeline.errors import PipelineError
from pipeline.features.hidden_states import ABOUT, NOTHING, VALUES
from pipeline.files import replacing_folder, sha256_of, write_json
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Write artifacts/encoder_digest/<run>.json: SHA-256 of the hidden states if the run reads them, else null.

    Raises PipelineError if stage encode has not run.
    """
    tree = params.read(layout.params)
    is_empty = (layout.encode / NOTHING).exists()
    if absent := [name for name in (ABOUT, VALUES) if not is_empty and not (layout.encode / name).exists()]:
        raise PipelineError(f"{layout.encode} has no {' and no '.join(absent)}. Run: dvc repro encode")
    states = None if is_empty else {name: sha256_of(layout.encode / name) for name in (ABOUT, VALUES)}
    with replacing_folder(layout.encoder_digest) as folder:
        for run in runs.names(tree):
            reads = states if states is not None and _reads_states(tree, run) else None
            write_json(folder / f"{run}.json", {"hidden_states": reads})


def _reads_states(tree: dict[str, Any], run: str) -> bool:
    # Here, since models take seconds to load, which nobody should wait for who stored no states.
    from pipeline import models

    return "hidden_states" in models.inputs_of(str(runs.entry(tree, run).get("model")))
