"""check: find out before any long work whether params.yaml holds, and each run can be built."""

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.jobs.checking import problems_of
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Check every section and run of params.yaml; fetches checkpoints that are not here, if there is a network.

    The file written is always the same, so that downstream stages wait for this one but do not start over for it.
    Raises PipelineError with what is wrong, for all sections and runs together.
    """
    if problems := problems_of(params.read(layout.params), layout.checkpoints):
        raise PipelineError("\n\n".join(problems))
    with replacing(layout.checked) as temporary:
        temporary.write_text("every run can be built\n", encoding="utf-8")
