"""The ranges that a run names to be searched, and an entry with values from them in their places."""

import copy
import math
from typing import Any, Self

from pydantic import Field, model_validator

from pipeline.errors import PipelineError
from pipeline.settings import Settings

Value = float | int | str | bool | None
SEARCHED = ("training", "parameters", "augmentation", "rebalancing", "detector")
DIGITS = 4  # of a drawn number: what is pasted into params.yaml is what was tried


class Range(Settings):
    """Numbers from `low` to `high`, whole ones where both are; `log` draws orders of magnitude alike."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high; found {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"whole numbers have a whole step; found {self.step}")
        if self.step is not None and not self._is_step(self.high):
            raise ValueError(f"from low {self.low}, steps of {self.step} do not come to high {self.high}")
        return self

    def holds(self, value: Any) -> bool:
        """Return whether a trial may have the value."""
        if not isinstance(value, int | float) or isinstance(value, bool) or (self.whole and value != int(value)):
            return False
        return self.low <= value <= self.high and (self.step is None or self._is_step(value))

    def _is_step(self, value: float) -> bool:
        assert self.step is not None
        steps = (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def drawn(self, value: Value) -> Value:
        """Return a number that was drawn in as many digits as are told."""
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high) if isinstance(value, float) else value

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> list[Value]:
        return [self.low, self.high]


class Choices(Settings):
    """One of several values."""

    choices: list[Any] = Field(min_length=2)

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if strange := [choice for choice in self.choices if not isinstance(choice, float | int | str | bool | None)]:
            raise ValueError(f"a choice is a number, a word, true, false or null; found {strange[0]!r}")
        return self

    def holds(self, value: Any) -> bool:
        """Return whether a trial may have the value."""
        return value in self.choices

    def drawn(self, value: Value) -> Value:
        """Return what was drawn, which is one of the choices."""
        return value

    @property
    def ends(self) -> list[Value]:
        return list(self.choices)


Ranges = dict[str, Range | Choices]


def with_values(own: dict[str, Any], merged: dict[str, Any], values: dict[str, Value]) -> dict[str, Any]:
    """Return a run's own entry with `values` in the places that their keys name, such as training.learning_rate.

    A list of named parts, such as the augmentation, is gone through by name: augmentation.AddNoise.p. `merged` is the
    entry with what it shares with others, which a changed list or a mapping further down starts from. Raises
    PipelineError for a key that leads nowhere.
    """
    entry = copy.deepcopy(own)
    for key, value in values.items():
        first, *rest = key.split(".")
        if first not in SEARCHED or not rest:
            raise PipelineError(f"search: {key} is no place to search. It begins with one of: {', '.join(SEARCHED)}.")
        shared = merged.get(first)
        if isinstance(shared, list):
            entry[first] = copy.deepcopy(entry.get(first) or shared)
        else:
            entry[first] = copy.deepcopy(entry.get(first) or {})
            if len(rest) > 1 and isinstance(shared, dict) and rest[0] in shared:
                entry[first][rest[0]] = entry[first].get(rest[0]) or copy.deepcopy(shared[rest[0]])
        _set(entry[first], rest, value, key)
    return entry


def value_at(entry: dict[str, Any], key: str) -> Value:
    """Return the value at `key`. Raises KeyError if there is none."""
    inside: Any = entry
    for part in key.split("."):
        inside = _part(inside, part)
    return inside  # type: ignore[no-any-return]


def _set(inside: Any, parts: list[str], value: Value, key: str) -> None:
    *path, last = parts
    for part in path:
        if isinstance(inside, dict):
            inside.setdefault(part, {})
        try:
            inside = _part(inside, part)
        except KeyError:
            raise PipelineError(f"search: {key} leads nowhere, for there is no {part}.") from None
    if not isinstance(inside, dict):
        raise PipelineError(f"search: {key} leads nowhere, for {last} would be in {inside!r}.")
    inside[last] = value


def _part(inside: Any, part: str) -> Any:
    if isinstance(inside, list):
        inside = next((each for each in inside if isinstance(each, dict) and part in each), {})
    if not isinstance(inside, dict) or part not in inside:
        raise KeyError(part)
    return inside[part]
