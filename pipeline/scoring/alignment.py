"""Tables of several runs, brought to the same clips and labels."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import PipelineError
from pipeline.scoring.probabilities import Probabilities


def ordered(tables: Mapping[str, Probabilities]) -> dict[str, Probabilities]:
    """Return the tables in the clip order of the first.

    Raises PipelineError if they hold different clips or were made of different corpora.
    """
    first_run, first = next(iter(tables.items()))
    result = {}
    for run, table in tables.items():
        same = table.clips == first.clips
        shared = len(first.clips) if same else len(set(first.clips) & set(table.clips))
        if not shared == len(first.clips) == len(table.clips) or table.corpus != first.corpus:
            raise PipelineError(
                f"The probabilities of runs '{first_run}' and '{run}' are of different clips or corpora "
                f"({len(first.clips)} and {len(table.clips)} clips, {shared} shared). "
                "Run `dvc repro` to predict both anew."
            )
        if not same:
            index = {clip: row for row, clip in enumerate(table.clips)}
            table = table.select(np.array([index[clip] for clip in first.clips], np.int64))
        result[run] = table
    return result


def aligned(tables: Mapping[str, Probabilities], commands: Sequence[str] | None) -> dict[str, Probabilities]:
    """Return the tables over the submission's labels (their own without `commands`), in the first one's clip order.

    Raises PipelineError as `ordered` and `check_labels` do.
    """
    result = ordered(tables)
    if commands is not None:
        return {run: table.to_submission_labels(commands) for run, table in result.items()}
    check_labels(result)
    return result


def check_labels(tables: Mapping[str, Probabilities]) -> None:
    """Raise PipelineError unless all tables have the labels of the first."""
    first_run, first = next(iter(tables.items()))
    for run, table in tables.items():
        if table.labels != first.labels:
            raise PipelineError(
                f"The runs '{first_run}' and '{run}' answer different questions ({len(first.labels)} and "
                f"{len(table.labels)} labels), so they cannot vote together.\n"
                "List those that can under `runs` of their vote (vote, second_vote or ensemble) in params.yaml."
            )
