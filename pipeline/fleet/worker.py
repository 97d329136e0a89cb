"""One stage in a working copy on another machine: `python -m pipeline.fleet.worker STAGE HOME PATIENCE_S`."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from pipeline import processes
from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.fleet.project import Project
from pipeline.locks import held, held_or_refused

_DYING_S = 60.0  # that an attempt takes to end once its machine is given up


def work(stage: str, home: Path, patience_s: float) -> dict[str, Any]:
    """Do what is asked of a stage in this copy: bring its inputs, run it or find it done, push it.

    Returns whether it was there already, and the times that it noted. Raises PipelineError if the remote does not
    answer, or an earlier attempt is still alive.
    """
    begun, locks = home / "begun" / stage, home / "locks"
    with held_or_refused(
        locks / f"{stage}.lock", f"Another attempt at {stage}", "Wait for it, or stop that process.", _DYING_S
    ):
        for left in home.joinpath("copies").glob(f"{stage}.*"):  # by attempts that were killed
            if left.resolve() != Path.cwd():
                shutil.rmtree(left, ignore_errors=True)
        begun.touch()
        project = Project(Path(), None, patience_s)
        print("fetching its inputs")
        with held(locks / "fetching.lock", "Another fetch of inputs"):  # of all on this machine, the first one fetches
            project.bring_inputs(stage)
        was_there = project.take(stage)
        if not was_there:
            project.run(stage)
        print("pushing its outputs")
        project.give([stage])
        begun.unlink()
    times = {path.as_posix(): json.loads(path.read_text()) for path in Path("artifacts/timing").rglob("*.json")}
    return {"was_there": was_there, "times": times}


def main() -> None:
    from dvc.exceptions import DvcException

    processes.set_up()
    processes.end_with_input()
    os.environ[processes.ALONE] = "1"
    try:
        write_json(Path("outcome.json"), work(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
    except (PipelineError, DvcException, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
