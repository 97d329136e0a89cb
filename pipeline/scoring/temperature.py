"""The temperature of a net: how much surer, or less sure, its probabilities should be.

One number a net, fitted on clips that it never learnt from (Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017, section 4.2). It is applied to the net's own labels, before words are summed into unknown: twenty small
wrong shares of a net that is too unsure add up to a large one.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring.probabilities import Probabilities

LOWEST, HIGHEST = 0.2, 5.0  # what is looked through; a net that lies outside has not learnt
# Epochs are kept in half precision, in which a smaller probability is 0.
FLOOR = 1e-7


def logs(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the natural logarithms of probabilities, those of 0 as if they were FLOOR."""
    return np.log(np.maximum(values, FLOOR, dtype=np.float64))


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return the same clips with the probabilities to the power 1 / `temperature`; rows sum to 1.

    Above 1 the net is made less sure, below 1 surer.
    """
    table = probabilities
    if temperature == 1:
        return table
    values = _softmax(logs(table.values) / temperature)
    return replace(table, values=values)


def fit(
    probabilities: Probabilities,
    truth: NDArray[np.int64],  # [clips], index into [*commands, unknown, silence], or into the table's own labels
    weights: NDArray[np.float64],  # [clips], how much each counts
    commands: Sequence[str] | None,
) -> float:
    """Return the temperature at which the true labels are likeliest, once words are summed (with `commands`)."""
    from scipy.optimize import minimize_scalar  # here, since it takes half a second that few stages need

    log = logs(probabilities.values)
    columns = _columns(probabilities.labels, commands)
    is_true = columns[None, :] == truth[:, None]  # [clips, own labels]

    def loss(log_temperature: float) -> float:
        values = _softmax(log / np.exp(log_temperature))
        return float(-weights @ np.log(np.maximum((values * is_true).sum(axis=1), FLOOR)))

    found = minimize_scalar(loss, bounds=np.log([LOWEST, HIGHEST]), method="bounded", options={"xatol": 0.01})
    return float(np.exp(found.x))


def _columns(labels: Sequence[str], commands: Sequence[str] | None) -> NDArray[np.int64]:
    """Return for each label of a table which label it is judged as."""
    if commands is None:
        return np.arange(len(labels))
    one_each = Probabilities([str(row) for row in range(len(labels))], list(labels), np.eye(len(labels)))
    return one_each.to_submission_labels(commands).values.argmax(axis=1)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
