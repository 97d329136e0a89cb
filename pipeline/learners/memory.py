"""What a batch asks of a GPU's memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import PipelineError


@contextmanager
def enough(cure: str) -> Iterator[None]:
    """Raise PipelineError that says what to lower, in the place of torch's error, where a batch does not fit."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise PipelineError(
            f"A batch does not fit into the memory of the GPU: {str(error).splitlines()[0]}\n{cure}"
        ) from None
