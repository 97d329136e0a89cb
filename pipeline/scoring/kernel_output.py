"""What a kernel has left: its submission, checked, with what made it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.delivery.kernel_session import CORPUS, PARAMETERS, SAMPLE, SUBMISSION
from pipeline.files import replacing_folder
from pipeline.scoring import provenance, submission


def publish(output: Path, run: str, folder: Path, labels: Sequence[str]) -> int:
    """Put the submission of `run` into `folder`, in the place of what was there, and return the number of its clips.

    With it go the sample that it was held against, its parameters, figures and confusion matrix. Raises PipelineError
    if it is not valid.
    """
    rows = submission.check(output / SUBMISSION, submission.read_sample(output / SAMPLE), labels)
    provenance.keep_aside(folder)
    brought = [
        *(output / "runs" / run).glob("*"),
        *(output / name for name in (SUBMISSION, SAMPLE, CORPUS, PARAMETERS)),
    ]
    with replacing_folder(folder) as temporary:
        for path in (path for path in brought if path.is_file()):
            shutil.copyfile(path, temporary / path.name)
    return len(rows)
