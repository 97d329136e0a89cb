"""The sections of params.yaml that name runs: how each is decided, and who votes."""

from typing import Any

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.runs import names, task_of, teachers
from pipeline.scoring.decision import Decide
from pipeline.scoring.ensemble import NAME as ENSEMBLE
from pipeline.scoring.ensemble import Ensemble


def decide(tree: dict[str, Any]) -> Decide:
    """Return the section `decide`. Raises PipelineError if it overrides a run that is not listed."""
    section = params.section(tree, "decide", Decide)
    there = [*names(tree), ENSEMBLE]
    if strange := sorted(set(section.overrides) - set(there)):
        raise PipelineError(f"params.yaml, decide.overrides: {', '.join(strange)} is no run. Runs: {', '.join(there)}")
    return section


def voters(tree: dict[str, Any], section: str) -> tuple[Ensemble, list[str], Task]:
    """Return the section `vote` (of the teachers) or `ensemble` (of all runs), who votes in it, and on what.

    Without a list, the runs that answer the competition's question vote; where there is none, those that answer the
    first run's. Raises PipelineError if the list names runs that answer different questions.
    """
    settings = params.section(tree, section, Ensemble)
    asked = {name: task_of(tree, name) for name in (teachers(tree) if section == "vote" else names(tree))}
    named = settings.runs or [name for name, task in asked.items() if task.is_submitted] or list(asked)
    task = asked.get(named[0], Task())
    return settings, settings.members([name for name, other in asked.items() if other.question == task.question]), task
