"""The teachers' vote: its tables are those of a run, and no student's judges had a say in what it learns."""

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.jobs import voting
from pipeline.jobs.voting import folds_of
from pipeline.scoring.nested import OutOfFold
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import ensemble, vote


def tables(project):
    """The vote's test tables, by file name."""
    folder = project.layout.vote()
    return {path.relative_to(folder).as_posix(): Probabilities.read(path) for path in folder.rglob("test*/*.parquet")}


def aligned(table, clips):
    return table.select(np.array([table.clips.index(clip) for clip in clips]))


def test_it_is_stored_like_a_run_with_the_words_that_one_member_has(folded_project):
    vote.main(folded_project.layout)
    folder = folded_project.layout.vote()
    assert sorted(path.name for path in folder.iterdir()) == [
        *("nested", "out_of_fold.parquet", "test", "test.parquet", "weights.json")
    ]
    words = folded_project.corpus.vocabulary.labels("words")
    assert Probabilities.read(folder / "test.parquet").labels == words
    assert len(OutOfFold.read(folder, folded_project.corpus).table.clips) == 9 * 13


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_a_fold_s_labels_are_its_own_nets_vote_weighted_by_the_other_folds_clips(fold, folded_project):
    folded_project.configure(vote={"weights": "accuracy"})
    vote.main(folded_project.layout)
    told = read_json(folded_project.layout.vote() / "weights.json")
    assert told["weights_saw_the_judged_clips"] is False
    weights = told["by_fold"][str(fold)]["weights"]
    voted = Probabilities.read(folded_project.layout.vote() / "test" / f"{fold}.parquet")
    commands = folded_project.corpus.vocabulary.commands
    expected = np.zeros((len(voted.clips), len(commands) + 2))
    for run in ("ast", "words"):
        own = Probabilities.read(folded_project.probabilities(run) / "test" / f"{fold}.parquet")
        expected += weights[run] * aligned(own, voted.clips).to_submission_labels(commands).values
    assert np.abs(voted.to_submission_labels(commands).values - expected).max() < 1e-5


def test_the_clips_that_judge_a_fold_change_no_label_that_it_learns(folded_project):
    folded_project.configure(vote={"weights": "stacking", "temperature": True})
    vote.main(folded_project.layout)
    before = tables(folded_project)
    path = folded_project.probabilities("ast") / "out_of_fold.parquet"
    table = Probabilities.read(path)
    of_fold = folds_of(folded_project.corpus, table.clips) == 1
    # In fold 1 the run is wrong of every clip: it weighs less, for the students of the other folds.
    values = np.where(of_fold[:, None], np.roll(table.values, 1, axis=1), table.values)
    Probabilities(table.clips, table.labels, values, table.run, table.corpus).write(path)
    vote.main(folded_project.layout)
    after = tables(folded_project)
    same = {name for name in before if np.array_equal(before[name].values, after[name].values)}
    assert same == {"test/1.parquet"}
    assert after.keys() == before.keys() == {f"test/{fold}.parquet" for fold in range(3)}


def test_with_one_fold_its_weights_saw_the_judges_and_it_says_so(judged_project):
    vote.main(judged_project.layout)
    folder = judged_project.layout.vote()
    told = read_json(folder / "weights.json")
    assert told["weights_saw_the_judged_clips"] is True
    assert told["by_fold"]["0"]["weights"] == told["weights"]
    assert (folder / "test" / "0.parquet").read_bytes() == (folder / "test.parquet").read_bytes()
    judged_project.configure(vote={"weights": "equal"})
    vote.main(judged_project.layout)
    assert read_json(folder / "weights.json")["weights_saw_the_judged_clips"] is False


def test_students_have_no_vote_in_what_they_learn(judged_project):
    vote.main(judged_project.layout)
    before = {path: path.read_bytes() for path in judged_project.layout.vote().rglob("*.*")}
    judged_project.configure(students={"pupil": {"like": "ast"}})
    judged_project.predict("pupil")
    vote.main(judged_project.layout)
    assert {path: path.read_bytes() for path in judged_project.layout.vote().rglob("*.*")} == before
    judged_project.configure(vote={"runs": ["ast", "pupil"]})
    with pytest.raises(PipelineError, match="pupil is no run that may vote"):
        vote.main(judged_project.layout)


def test_teachers_and_students_teach_a_second_student(folded_project):
    folded_project.configure(students={"pupil": {"like": "words"}}, second_students={"heir": {"like": "words"}})
    folded_project.predict("pupil")
    vote.main(folded_project.layout)
    vote.main(folded_project.layout, "heir")
    told = [read_json(folded_project.layout.vote(student) / "weights.json") for student in (None, "heir")]
    assert [set(each["weights"]) for each in told] == [{"ast", "words"}, {"ast", "words", "pupil"}]
    folded_project.configure(second_vote={"runs": ["pupil"]}, vote={"runs": ["ast"]})
    vote.main(folded_project.layout, "heir")
    assert set(read_json(folded_project.layout.vote("heir") / "weights.json")["weights"]) == {"pupil"}
    for other in ("pupil", "ast", "nobody"):
        with pytest.raises(PipelineError, match=f"'{other}' is no second student"):
            vote.main(folded_project.layout, other)


def test_without_students_it_is_the_ensemble_s(judged_project):
    vote.main(judged_project.layout)
    ensemble.main(judged_project.layout)
    told = read_json(judged_project.layout.vote() / "weights.json")["weights"]
    metrics = read_json(judged_project.layout.submission("ensemble") / "metrics.json")
    assert metrics["weights"] == {run: round(weight, 5) for run, weight in told.items()}


def test_a_fold_that_a_member_did_not_predict_is_refused(folded_project):
    path = folded_project.probabilities("words") / "test" / "2.parquet"
    path.unlink()
    with pytest.raises(PipelineError, match=r"no probabilities in .*words/test/2\.parquet"):
        vote.main(folded_project.layout)
    assert not folded_project.layout.vote().exists()


def test_under_an_estimated_prior_the_judges_of_a_fold_have_no_say_either(folded_project, monkeypatch):
    folded_project.configure(decide={"prior": "estimated"}, vote={"weights": "accuracy"})
    asked = []
    estimate = voting.prior.estimate
    monkeypatch.setattr(voting.prior, "estimate", lambda *args: asked.append(args[1] >= 0) or estimate(*args))
    vote.main(folded_project.layout)
    everyone, *without = asked
    fold_of = folds_of(
        folded_project.corpus, Probabilities.read(folded_project.probabilities("ast") / "out_of_fold.parquet").clips
    )
    assert everyone.all()
    assert [np.array_equal(known, fold_of != fold) for fold, known in enumerate(without)] == [True] * 3


def test_what_calibrates_an_estimated_prior_was_judged_by_choices_made_without_it(folded_project, monkeypatch):
    folded_project.configure(decide={"prior": "estimated"}, vote={"weights": "accuracy"})
    for run in ("ast", "words"):
        folder = folded_project.probabilities(run)
        final = Probabilities.read(folder / "out_of_fold.parquet")
        even = Probabilities(
            final.clips, final.labels, np.full(final.values.shape, 1 / len(final.labels)), run, final.corpus
        )
        OutOfFold(final, final.clips, np.arange(len(final.clips)) % 5, dict.fromkeys(range(5), even)).write(folder)
    judged, estimate = [], voting.prior.estimate
    monkeypatch.setattr(voting.prior, "estimate", lambda *args: judged.append(args[0]) or estimate(*args))
    vote.main(folded_project.layout)
    assert judged
    assert all(np.ptp(table.values, axis=0).max() == 0 for table in judged)
