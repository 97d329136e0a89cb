import shutil

import pytest

from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.scoring import submission
from pipeline.scoring.shares import expected
from pipeline.stages import decide, ensemble


def test_the_vote_is_decided_and_written_like_a_run(judged_project, capsys):
    layout = judged_project.layout
    for run in ("ast", "words"):
        decide.main(layout, run)
    ensemble.main(layout)
    folder = layout.submission("ensemble")
    names = {file.name for file in folder.iterdir()}
    assert names == {"confusion.csv", "confusion.png", "judged.parquet", "metrics.json", "submission.csv"}
    submission.check(
        folder / "submission.csv", judged_project.sample, judged_project.corpus.vocabulary.submission_labels
    )
    metrics = read_json(folder / "metrics.json")
    assert set(metrics["weights"]) == {"ast", "words"}
    assert metrics["weights"] == metrics["vote"]["weights"]
    assert list(metrics["vote"]["tried"]) == ["equal", "accuracy", "greedy", "stacking", "best"]
    assert metrics["vote"]["against_best_run"]["run"] == "ast"
    assert "against the best single run, ast" in capsys.readouterr().out
    assert metrics["holdout"]["clips"] == 4 * 13
    figures = [read_json(layout.submission(run) / "metrics.json") for run in ("ast", "words")]
    assert metrics["selected"]["prior_accuracy"] >= max(each["selected"]["prior_accuracy"] for each in figures)
    assert metrics["estimate"]["clips"] == 8 * 13


def test_folders_of_runs_that_are_not_listed_do_not_vote(judged_project):
    layout = judged_project.layout
    judged_project.predict("removed")
    removed = judged_project.probabilities("removed")
    shutil.copy(judged_project.probabilities("ast") / "test.parquet", removed / "out_of_fold.parquet")
    ensemble.main(layout)
    with_leftovers = (layout.submission("ensemble") / "submission.csv").read_bytes()
    assert set(read_json(layout.submission("ensemble") / "metrics.json")["weights"]) == {"ast", "words"}
    shutil.rmtree(removed)
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
    assert metrics["estimate"]["prior_accuracy"] == metrics["estimate"]["argmax_prior_accuracy"]


def test_a_listed_run_without_probabilities_is_refused(judged_project):
    judged_project.configure(runs={**judged_project.params["runs"], "new": {"model": "ast"}})
    with pytest.raises(PipelineError, match=r"no probabilities in .*new"):
        ensemble.main(judged_project.layout)


def test_teachers_and_students_vote_together(folded_project):
    folded_project.configure(students={"pupil": {"like": "words"}})
    folded_project.predict("pupil")
    ensemble.main(folded_project.layout)
    metrics = read_json(folded_project.layout.submission("ensemble") / "metrics.json")
    assert set(metrics["weights"]) == {"ast", "words", "pupil"}
    assert metrics["estimate"]["clips"] == 9 * 13


@pytest.mark.parametrize("run", ["ast", "ensemble"])
def test_the_shares_of_the_test_set_can_be_estimated(judged_project, run, capsys):
    layout = judged_project.layout
    judged_project.configure(decide={"prior": "estimated"})
    decide.main(layout, "ast") if run == "ast" else ensemble.main(layout)
    metrics = read_json(layout.submission(run) / "metrics.json")
    shares = metrics["prior_estimate"]["shares"]
    # Of 13 words as often, two are unknown.
    assert shares["unknown"] == pytest.approx(2 / 13, abs=0.06)
    assert metrics["prior"] == shares
    assert metrics["prior_estimate"]["low"]["unknown"] < 2 / 13 < metrics["prior_estimate"]["high"]["unknown"]
    assert "Estimated shares of the test set" in capsys.readouterr().out
    assert expected("estimated", layout.submission(run)) == shares
    assert expected("estimated", layout.submission("words")) == "uniform"
