import shutil

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.scoring import submission
from pipeline.stages import decide, ensemble


def test_the_vote_is_decided_and_written_like_a_run(judged_project):
    layout = judged_project.layout
    for run in ("ast", "words"):
        decide.main(layout, run)
    ensemble.main(layout)
    folder = layout.submission("ensemble")
    names = {file.name for file in folder.iterdir()}
    assert names == {"confusion.csv", "confusion.png", "metrics.json", "submission.csv"}
    submission.check(
        folder / "submission.csv", judged_project.sample, judged_project.corpus.vocabulary.submission_labels
    )
    metrics = read_json(folder / "metrics.json")
    assert set(metrics["weights"]) == {"ast", "words"}
    assert metrics["weights"]["ast"] > metrics["weights"]["words"]
    assert metrics["testing"]["clips"] == 4 * 13
    single = [read_json(layout.submission(run) / "metrics.json")["accuracy"] for run in ("ast", "words")]
    assert metrics["accuracy"] >= max(single)


def test_folders_of_runs_that_are_not_listed_do_not_vote(judged_project):
    layout = judged_project.layout
    judged_project.predict("removed")
    shutil.copy(layout.probabilities("ast") / "test.parquet", layout.probabilities("removed") / "validation.parquet")
    ensemble.main(layout)
    with_leftovers = (layout.submission("ensemble") / "submission.csv").read_bytes()
    assert set(read_json(layout.submission("ensemble") / "metrics.json")["weights"]) == {"ast", "words"}
    shutil.rmtree(layout.probabilities("removed"))
    ensemble.main(layout)
    assert (layout.submission("ensemble") / "submission.csv").read_bytes() == with_leftovers


def test_one_run_alone_votes_as_it_is(judged_project):
    layout = judged_project.layout
    judged_project.configure(ensemble={"runs": ["ast"]})
    decide.main(layout, "ast")
    ensemble.main(layout)
    one, vote = ((layout.submission(run) / "submission.csv").read_bytes() for run in ("ast", "ensemble"))
    assert one == vote


def test_the_ensemble_has_an_override_of_its_own(judged_project):
    judged_project.configure(decide={"overrides": {"ensemble": {"rule": "none"}}})
    ensemble.main(judged_project.layout)
    metrics = read_json(judged_project.layout.submission("ensemble") / "metrics.json")
    assert (metrics["rule"], metrics["thresholds"]) == ("none", {})
    assert np.isclose(metrics["accuracy"], metrics["accuracy_argmax"])


def test_a_listed_run_without_probabilities_is_refused(judged_project):
    judged_project.configure(runs={**judged_project.params["runs"], "new": {"model": "ast"}})
    with pytest.raises(PipelineError, match=r"no probabilities in .*new"):
        ensemble.main(judged_project.layout)
