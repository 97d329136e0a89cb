"""check: find out before any long work whether each run can be built: its parameters and its checkpoint."""

from pipeline import models, params
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.layout import Layout
from pipeline.stages import decide
from pipeline.stages.train import read_run


def main(layout: Layout) -> None:
    """Check every run of params.yaml; fetches checkpoints that are not here, if there is a network.

    The file written is always the same, so that downstream stages wait for this one but do not start over for it.
    Raises PipelineError with what is wrong, for all runs together.
    """
    tree = params.read(layout.params)
    params.seed(tree)
    problems = []
    for name in decide.runs(tree):
        try:
            run = read_run(tree, name)
            model = models.find(run.model)
            parameters = params.validate(run.parameters, model.Params, f"runs.{name}.parameters")
            params.validate(run.training, model.Training, f"runs.{name}.training")
            model.check(parameters, layout.checkpoints)
            print(f"{name}: ready to train")
        except PipelineError as error:
            problems.append(f"Run '{name}': {error}")
    if problems:
        raise PipelineError("\n\n".join(problems))
    with replacing(layout.checked) as temporary:
        temporary.write_text("every run can be built\n", encoding="utf-8")
