"""Which stages may be worked on now: it knows the graph, and nothing of DVC, Ray or files."""

from collections.abc import Collection, Mapping, Sequence


class Plan:
    """What is done, under way and failed, of a graph of stages.

    `needs` gives each stage's direct predecessors, `away` the stages that other machines may run; the rest run here.
    """

    def __init__(self, needs: Mapping[str, Collection[str]], away: Collection[str]) -> None:
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.out: set[str] = set()
        self._away = set(away)
        self._before: dict[str, set[str]] = {}
        for stage in needs:
            self._add(stage, needs)
        self.order = sorted(needs, key=lambda stage: (len(self._before[stage]), stage))

    def _add(self, stage: str, needs: Mapping[str, Collection[str]]) -> set[str]:
        if stage not in self._before:
            self._before[stage] = set(needs[stage]).union(*(self._add(each, needs) for each in needs[stage]))
        return self._before[stage]

    @property
    def away(self) -> list[str]:
        """The stages that other machines may run, in an order in which they may follow each other."""
        return [stage for stage in self.order if stage in self._away]

    @property
    def blocked(self) -> list[str]:
        """The stages that depend on a failed one."""
        return [stage for stage in self._left() if self._before[stage] & self.failed]

    def to_hand_out(self) -> list[str]:
        """Return the stages for other machines whose inputs are all there."""
        return [stage for stage in self._left() if stage in self._away and self._before[stage] <= self.done]

    def to_run_here(self) -> list[str]:
        """Return the stages to run here now, in their order: they need each other at most.

        Those that other machines wait for come first; the rest waits until nothing is under way.
        """
        able = [stage for stage in self._left() if stage not in self._away and self._is_near(stage)]
        waited_for = set().union(*(self._before[stage] for stage in self._left() if stage in self._away))
        first = [stage for stage in able if stage in waited_for]
        return first or ([] if self.out or self.to_hand_out() else able)

    def note_here(self, stages: Sequence[str], changed: Collection[str]) -> None:
        """Note that `stages` were run here, in their order, and which of them are still not up to date."""
        for stage in stages:
            if not self._before[stage] & self.failed:
                (self.failed if stage in changed else self.done).add(stage)

    def _left(self) -> list[str]:
        return [stage for stage in self.order if stage not in self.done | self.failed | self.out]

    def _is_near(self, stage: str) -> bool:
        """Return whether all that is missing before a stage runs here too, and nothing of it has failed."""
        missing = self._before[stage] - self.done
        return not missing & (self._away | self.failed)
