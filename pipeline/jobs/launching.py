"""A verb in several processes of one machine, through torch's own elastic launcher."""

import os
import sys
import tempfile

import torch

from pipeline.errors import PipelineError
from pipeline.settings import Processes


def processes_of(wanted: Processes) -> int:
    """Return how many processes `wanted` means here: "auto" is one for each GPU, and one where there is none."""
    return max(1, torch.cuda.device_count()) if wanted == "auto" else wanted


def is_launched() -> bool:
    """Whether this process is one of several already, be it by `launch` or by torchrun."""
    return "RANK" in os.environ


def launch(processes: int, *verb: str) -> None:
    """Run `python -m pipeline VERB` in so many processes, and wait for them. They share the processors' threads.

    Raises PipelineError if one of them fails; it has told why itself.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Below an error, torch's own code says what no user can mend, of parameters that a net might leave unused.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    with tempfile.TemporaryDirectory(prefix="launched-") as logs:  # the launcher would leave one of its own behind
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            run_id=" ".join(verb),
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "pipeline", *verb)
        except ChildFailedError as error:
            _, first = error.get_first_failure()
            raise PipelineError(
                f"Process {first.local_rank} of the {processes} that run `{' '.join(verb)}` ended with "
                f"{first.exitcode}; what it said stands above.\n"
                "What was reached is kept: run `dvc repro` again. To use one process, set `processes: 1` for the run, "
                "or for all under `train`, in params.yaml."
            ) from None
