import pandas
import pytest

from pipeline import sections
from pipeline.delivery import ledger
from pipeline.errors import PipelineError
from pipeline.files import read_json, sha256_of, write_json
from pipeline.stages import decide, ensemble, score


@pytest.fixture(scope="module")
def decided_template(judged_template, tmp_path_factory):
    project = judged_template.copy(tmp_path_factory.mktemp("decided"))
    for run in project.params["runs"]:
        decide.main(project.layout, run)
    ensemble.main(project.layout)
    return project


@pytest.fixture
def decided(decided_template, tmp_path):
    return decided_template.copy(tmp_path)


def names(layout, suffix):
    return sorted(file.name for file in layout.submissions.glob(f"*{suffix}"))


def test_scores_are_the_shares_of_right_answers(decided, capsys):
    layout = decided.layout
    score.main(layout)
    scores = read_json(layout.scores)
    assert list(scores) == ["ast", "words", "ensemble"]
    table = pandas.read_csv(layout.submission("ast") / "submission.csv")
    predicted = dict(zip(table["fname"], table["label"], strict=True))
    right = decided.answers["fname"].map(predicted) == decided.answers["label"]
    private = right[decided.answers["usage"] == "Private"]
    assert scores["ast"]["private"] == pytest.approx(private.mean())
    assert scores["ast"]["n_private"] == len(private) == 52
    assert scores["ast"]["n_public"] == 26
    assert (
        scores["ast"]["estimate"] == read_json(layout.submission("ast") / "metrics.json")["estimate"]["prior_accuracy"]
    )
    expected = sorted(f"{scores[run]['private']:.5f}_{run}" for run in scores)
    assert names(layout, ".csv") == [*(f"{name}.csv" for name in expected), "ledger.csv"]
    assert names(layout, ".png") == [f"{name}.png" for name in expected]
    printed = capsys.readouterr().out
    assert f"{scores['ensemble']['private']:.5f}" in printed
    assert "say nothing of the leaderboard" in printed


def test_the_ledger_says_what_was_scored(decided):
    layout = decided.layout
    score.main(layout)
    rows = {row.run: row for row in ledger.read(layout.ledger)}
    scores = read_json(layout.scores)
    assert list(rows) == ["ast", "words", "ensemble"]
    assert rows["ast"].scoreboard == "local (synthetic)"
    assert rows["ast"].private == f"{scores['ast']['private']:.5f}"
    assert rows["ast"].sha256 == sha256_of(layout.submission("ast") / "submission.csv")
    assert rows["ast"].commit == ""
    assert len({row.params for row in rows.values()}) == 3


def test_scoring_again_changes_nothing(decided):
    layout = decided.layout
    score.main(layout)
    before = {file: file.read_bytes() for file in layout.submissions.iterdir() if file.is_file()}
    score.main(layout)
    assert {file: file.read_bytes() for file in layout.submissions.iterdir() if file.is_file()} == before


def test_another_threshold_keeps_the_earlier_score(decided):
    layout = decided.layout
    score.main(layout)
    earlier = {file.name for file in layout.submissions.glob("0.*_ast.csv")}
    decided.configure(decide={"rule": "published", "unknown_below": 1.0})
    decide.main(layout, "ast")
    score.main(layout)
    assert earlier < {file.name for file in layout.submissions.glob("0.*_ast.csv")}
    assert [row.run for row in ledger.read(layout.ledger)].count("ast") == 2


def test_real_recordings_are_scored_as_local(decided):
    description = read_json(decided.layout.prepare / "corpus.json")
    write_json(decided.layout.prepare / "corpus.json", {**description, "source": "archives"})
    score.main(decided.layout)
    assert {row.scoreboard for row in ledger.read(decided.layout.ledger)} == {"local"}


def test_unknown_answers_are_said_and_nothing_is_kept(decided, capsys):
    layout = decided.layout
    pandas.DataFrame(columns=["fname", "label", "usage"]).to_csv(layout.prepare / "answers.csv", index=False)
    score.main(layout)
    scores = read_json(layout.scores)["ast"]
    assert (scores["public"], scores["private"], scores["n_private"]) == (None, None, 0)
    assert scores["estimate"] > 0.8
    assert not layout.ledger.exists()
    assert names(layout, ".csv") == []
    printed = capsys.readouterr().out
    assert "not known" in printed
    assert "python -m pipeline submit" not in printed  # the demo's clips are no competition's at Kaggle
    description = read_json(layout.prepare / "corpus.json")
    write_json(layout.prepare / "corpus.json", {**description, "source": "archives"})
    score.main(layout)
    assert "python -m pipeline submit <run> --wait" in capsys.readouterr().out


@pytest.mark.parametrize(("run", "verb"), [("ensemble", "ensemble"), ("words", "decide words")])
def test_scoring_before_all_is_decided_says_what_is_missing(decided, run, verb):
    (decided.layout.submission(run) / "metrics.json").unlink()
    with pytest.raises(PipelineError, match=rf"There is no .*{run}/metrics\.json\. .*python -m pipeline {verb}$"):
        score.main(decided.layout)


def test_leftovers_of_removed_runs_are_not_scored(decided):
    decided.configure(runs={"ast": {"model": "ast"}}, decide={})
    score.main(decided.layout)
    assert list(read_json(decided.layout.scores)) == ["ast", "ensemble"]


def test_only_parameters_that_made_a_submission_are_in_its_digest():
    tree = {
        "seed": 1,
        "prepare": {"commands": ["yes"]},
        "decide": {"overrides": {"words": {"rule": "published"}}},
        "runs": {"ast": {"epochs": 1}, "words": {"epochs": 1}},
        "report": {"clips": 10},
    }

    def made(run, **changes):
        return sections.makers({**tree, **changes}, run)

    assert made("ast") == made("ast", report={"clips": 20}, ensemble={"weights": "equal"}, fleet={"address": "local"})
    assert made("ast") == made("ast", runs={"ast": {"epochs": 1}, "words": {"epochs": 2}})
    assert made("ast") == made("ast", decide={"rule": "tuned"})
    for changes in ({"seed": 2}, {"prepare": {}}, {"decide": {"rule": "none"}}):
        assert made("ast") != made("ast", **changes)
    assert made("ast") != made("ast", runs={"ast": {"epochs": 2}, "words": {"epochs": 1}})
    assert made("ensemble") != made("ensemble", runs={"ast": {"epochs": 1}, "words": {"epochs": 2}})
    assert made("ensemble") != made("ensemble", ensemble={"weights": "equal"})


def test_what_taught_a_student_is_in_its_submissions_digest():
    tree = {
        "seed": 1,
        "runs": {"ast": {"model": "ast"}, "gru": {"model": "gru"}, "speakers": {"model": "gru", "target": "speaker"}},
        "students": {"pupil": {"like": "gru"}, "other": {"like": "ast"}},
        "second_students": {"last": {"like": "gru"}},
    }

    def made(run, **changes):
        return sections.makers({**tree, **changes}, run)

    other_teacher = {**tree["runs"], "ast": {"model": "ast", "seed": 2}}
    for run in ("pupil", "last", "ensemble"):
        for changes in ({"runs": other_teacher}, {"vote": {"runs": ["gru"]}}, {"decide": {"prior": {"yes": 1.0}}}):
            assert made(run) != made(run, **changes), (run, changes)
        assert made(run) == made(run, runs={**tree["runs"], "speakers": {"model": "ast", "target": "speaker"}})
    assert made("pupil") == made("pupil", second_vote={"runs": ["ast"]}, students={**tree["students"], "other": {}})
    for changes in ({"second_vote": {"runs": ["ast", "pupil"]}}, {"students": {"pupil": {"like": "ast"}}}):
        assert made("last") != made("last", **changes)
    assert made("ast") == made("ast", vote={"runs": ["gru"]})
