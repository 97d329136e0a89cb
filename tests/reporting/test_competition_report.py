from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest

from pipeline.clips.labels import Vocabulary
from pipeline.errors import PipelineError
from pipeline.reporting import competition_report
from pipeline.scoring.probabilities import Probabilities

ROWS = pandas.DataFrame(
    {
        "clip": ["yes/1", "cat/1", "silence/1", "cat/2", "yes/2"],
        "split": ["validation", "validation", "validation", "validation", "train"],
        "word": ["yes", "cat", "_silence_", "cat", "yes"],
        "readable": [True, True, True, False, True],
    }
)


def corpus(source="archives"):
    return SimpleNamespace(
        rows=ROWS,
        vocabulary=Vocabulary(("yes",), ("yes", "cat")),
        fingerprint="c",
        folder=Path("prepare"),
        description={"source": source},
    )


def judged(clips, fingerprint="c"):
    return Probabilities(clips, ["yes", "unknown", "silence"], np.full((len(clips), 3), 1 / 3), "ast", fingerprint)


def test_truth_is_in_the_tables_order_and_damaged_clips_need_no_row():
    table = judged(["silence/1", "cat/1", "yes/1"])
    assert competition_report.truth_of(corpus(), "validation", table) == ["silence", "unknown", "yes"]
    with_damaged = judged(["cat/2", "silence/1", "cat/1", "yes/1"])
    assert competition_report.truth_of(corpus(), "validation", with_damaged)[0] == "unknown"


@pytest.mark.parametrize(
    "table",
    [
        judged(["silence/1", "cat/1"]),
        judged(["silence/1", "cat/1", "yes/1", "yes/2"]),
        judged(["silence/1", "cat/1", "yes/1"], fingerprint="older"),
    ],
)
def test_tables_of_another_corpus_are_refused(table):
    with pytest.raises(PipelineError, match="run 'ast' are not of the corpus in prepare"):
        competition_report.truth_of(corpus(), "validation", table)


def test_only_the_demo_is_called_synthetic():
    assert competition_report.caption_of(corpus("demo")) == "synthetic speech: says nothing of the leaderboard"
    assert competition_report.caption_of(corpus("archives")) == ""
