"""What a batch asks of a GPU's memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import PipelineError
from pipeline.learners.training import Training


@contextmanager
def enough_for(training: Training) -> Iterator[None]:
    """Raise PipelineError that says what to change, in the place of torch's error, where a batch does not fit."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise PipelineError(
            f"A batch does not fit into the memory of the GPU: {str(error).splitlines()[0]}\n"
            f"In the run's `training`, lower batch_size (it is {training.batch_size}), or, where the net only hears, "
            f"eval_batch_size (it is {training.eval_batch_size})."
        ) from None
