"""A gate's gain over time: open where a probability reaches the threshold, with attack, hold, release and range."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.settings import Settings


class Gate(Settings):
    """When the gate opens, and how its gain moves; `range_db` is the gain of the closed gate.

    It starts to open `lookahead_ms` before the first step that reaches the threshold, and to close `hold_ms` after the
    last, so that neither the attack nor a window that holds too little of a word to be sure cuts its onset or its end.
    The gain moves evenly, in amplitude, from closed to open in `attack_ms` and back in `release_ms`.
    """

    threshold: float = Field(0.5, gt=0, le=1)
    attack_ms: float = Field(10.0, ge=0)
    hold_ms: float = Field(200.0, ge=0)
    release_ms: float = Field(150.0, ge=0)
    range_db: float = Field(-60.0, le=0)
    lookahead_ms: float = Field(200.0, ge=0)


def openings(probabilities: NDArray[np.floating], gate: Gate, hop_s: float) -> NDArray[np.float64]:
    """Return when the gate is to be open, float64 [openings, 2]: seconds from and to, ascending and apart.

    `probabilities` [steps] are those of the times 0, `hop_s`, 2 `hop_s`, ...; each speaks for half a hop to both sides.
    The first opening may begin before 0, and the last end after the recording.
    """
    is_heard = np.concatenate([[False], np.asarray(probabilities) >= gate.threshold, [False]])
    edges = np.flatnonzero(np.diff(is_heard.astype(np.int8))).reshape(-1, 2)  # [stretches], first and last + 1
    stretches = (edges - 0.5) * hop_s + np.array([-gate.lookahead_ms, gate.hold_ms]) / 1000
    if not len(stretches):
        return stretches
    # Those that lookahead and hold have made touch are one.
    apart = np.flatnonzero(stretches[1:, 0] > stretches[:-1, 1])
    return np.stack([stretches[np.append(0, apart + 1), 0], stretches[np.append(apart, -1), 1]], axis=1)


class Envelope:
    """The gain of any stretch of a recording, from its `openings`: corners with straight lines between them."""

    def __init__(self, stretches: NDArray[np.float64], gate: Gate, sample_rate_hz: int) -> None:
        closed = 10 ** (gate.range_db / 20)
        # Samples for a whole unit of gain; never none, so that corners stay in order.
        rise = max(gate.attack_ms / 1000 * sample_rate_hz, 1e-3) / max(1 - closed, 1e-9)
        fall = max(gate.release_ms / 1000 * sample_rate_hz, 1e-3) / max(1 - closed, 1e-9)
        places, gains = [-np.inf], [closed]  # of the corners, in samples
        for start, end in np.rint(stretches * sample_rate_hz):
            gain = closed
            if start < places[-1]:  # the last release is still going on: the gain turns where it is
                gain = closed + (places[-1] - start) / fall
                del places[-1], gains[-1]
            reached = min(1.0, gain + (end - start) / rise)
            places += [start, start + (reached - gain) * rise, end, end + (reached - closed) * fall]
            gains += [gain, reached, reached, closed]
        self._places, self._gains = np.array(places[1:] or [0.0]), np.array(gains[1:] or [closed])

    def gain(self, start: int, end: int) -> NDArray[np.float64]:
        """Return float64 [end - start], the gain of the samples `start` to `end`, each that of its middle."""
        return np.interp(np.arange(start, end) + 0.5, self._places, self._gains)


def share_open(stretches: NDArray[np.float64], duration_s: float) -> float:
    """Return the share of the recording that lies in `stretches`, of `openings`."""
    return float(np.diff(np.clip(stretches, 0, duration_s)).sum()) / duration_s
