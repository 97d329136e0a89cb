"""The prior: the share of each label in the test set, as asked for in params.yaml or estimated."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.scoring.settings import Prior

ESTIMATED = "estimated"


def shares_of(prior: Prior, labels: Sequence[str]) -> np.ndarray:
    """Return the prior as float64 [labels]. Raises PipelineError for a label that the submission does not have.

    An estimate must be there already: raises ValueError for `estimated`.
    """
    if prior == "uniform":
        return np.full(len(labels), 1 / len(labels))
    if not isinstance(prior, Mapping):
        raise ValueError(f"the prior '{prior}' has no shares yet")
    strange = sorted(set(prior) - set(labels))
    if strange:
        raise PipelineError(
            f"params.yaml, decide.prior: {', '.join(strange)} is no label of the submission. "
            f"Labels: {', '.join(labels)}"
        )
    return np.array([prior.get(label, 0.0) for label in labels])


def expected(asked: Prior, submission: Path) -> Prior:
    """Return the prior of the submission in this folder: the estimate in its metrics.json, if one is asked for.

    `uniform` where there is none yet.
    """
    if asked != ESTIMATED:
        return asked
    path = submission / "metrics.json"
    found: Prior = read_json(path).get("prior", "uniform") if path.exists() else "uniform"
    return found
