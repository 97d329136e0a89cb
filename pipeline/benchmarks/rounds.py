"""Timing two ways turn by turn, so that a machine that slows down slows both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Rounds:
    """Seconds that ours and the other way took, one pair a round."""

    ours_s: list[float]
    other_s: list[float]

    @property
    def speed(self) -> "Spread":
        """How many times as fast ours is."""
        return Spread([other / ours for ours, other in zip(self.ours_s, self.other_s, strict=True)])


@dataclass(frozen=True)
class Spread:
    """What the rounds gave; prints as the middle one and, where there are several, the extremes."""

    values: list[float]

    @property
    def middle(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        middle, low, high = (_short(value) for value in (self.middle, min(self.values), max(self.values)))
        return f"{middle} ({low} to {high})" if len(self.values) > 1 else middle


def alternate(ours: Callable[[], object], other: Callable[[], object], rounds: int, *, warm_up: bool = True) -> Rounds:
    """Call both in turns, `rounds` times; `warm_up` calls both once before, untimed."""
    if warm_up:
        ours()
        other()
    pairs = [(seconds(ours), seconds(other)) for _ in range(rounds)]
    return Rounds([pair[0] for pair in pairs], [pair[1] for pair in pairs])


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes by the wall clock."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
