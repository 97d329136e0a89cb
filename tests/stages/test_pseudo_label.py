"""Soft labels for students: the vote of their own fold, trusted and counted as params.yaml says."""

import numpy as np
import pandas
import pytest

from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import pseudo_label, vote


@pytest.fixture(scope="session")
def voted_template(folded_template, tmp_path_factory):
    project = folded_template.copy(tmp_path_factory.mktemp("voted"))
    vote.main(project.layout)
    return project


@pytest.fixture
def labelled(voted_template, tmp_path):
    """`labelled(pseudo_labels, **entry)`: the student's tables by fold, and counts.json."""
    project = voted_template.copy(tmp_path)

    def run(pseudo_labels=None, **entry):
        student = {"model": "linear", **entry} | ({"pseudo_labels": pseudo_labels} if pseudo_labels else {})
        project.configure(students={"pupil": student})
        pseudo_label.main(project.layout, "pupil")
        folder = project.layout.pseudo_labels("pupil")
        tables = [pandas.read_parquet(folder / f"{fold}.parquet") for fold in project.params["folds"]]
        return tables, read_json(folder / "counts.json")

    run.project = project
    return run


def voted(project, fold):
    return Probabilities.read(project.layout.vote() / "test" / f"{fold}.parquet")


def test_each_fold_has_the_vote_of_its_own_nets_over_the_student_s_labels(labelled):
    tables, counts = labelled()
    commands = labelled.project.corpus.vocabulary.commands
    for fold, table in enumerate(tables):
        expected = voted(labelled.project, fold).to_submission_labels(commands)
        assert table.index.tolist() == expected.clips
        assert list(table.columns) == labelled.project.corpus.vocabulary.submission_labels
        assert np.abs(table.to_numpy() - expected.values).max() < 1e-6
        assert list(counts[str(fold)]) == list(table.columns)
        assert sum(counts[str(fold)].values()) == 6 * 13
    assert not tables[0].equals(tables[1])


def test_a_student_of_words_learns_words(labelled):
    tables, counts = labelled(vocabulary="words")
    assert list(tables[0].columns) == labelled.project.corpus.vocabulary.labels("words")
    assert {"cat", "dog"} <= counts["0"].keys()


def test_only_what_is_sure_enough_is_learnt_and_not_too_much_of_one_label(labelled, capsys):
    tables, counts = labelled({"minimum": 0.6, "most": 3, "hard": True})
    for fold, table in enumerate(tables):
        values = voted(labelled.project, fold).to_submission_labels(labelled.project.corpus.vocabulary.commands).values
        sure = values[values.max(axis=1) >= 0.6]
        clips_of = np.bincount(sure.argmax(axis=1), minlength=12)
        assert list(counts[str(fold)].values()) == np.minimum(clips_of, 3).tolist()
        assert set(np.unique(table.to_numpy())) == {0, 1}
        assert len(table) == sum(counts[str(fold)].values()) < len(values)
    assert f"pupil, fold 0: {len(tables[0])} of 78 test clips: yes " in capsys.readouterr().out


@pytest.mark.parametrize("vocabulary", ["words", "commands"])
def test_whether_a_clip_is_unknown_may_be_sure_where_no_word_is(labelled, vocabulary):
    tables, _ = labelled({"minimum": 0.6}, vocabulary=vocabulary)
    for fold, table in enumerate(tables):
        vote = voted(labelled.project, fold).to_submission_labels(labelled.project.corpus.vocabulary.commands)
        kept = vote.values.max(axis=1) >= 0.6
        assert table.index.tolist() == [clip for clip, is_kept in zip(vote.clips, kept, strict=True) if is_kept]


def test_no_clip_that_is_sure_enough_is_no_label(labelled):
    tables, counts = labelled({"minimum": 1.0})
    assert [len(table) for table in tables] == [0, 0, 0]
    assert set(counts["2"].values()) == {0}


@pytest.mark.parametrize(
    ("pseudo_labels", "message"),
    [({"minimum": 2}, "minimum"), ({"most": 0}, "most"), ({"minimun": 0.5}, "unknown key"), ({"share": -1.0}, "share")],
)
def test_bad_values_are_refused(labelled, pseudo_labels, message):
    with pytest.raises(PipelineError, match=rf"(?s)students\.pupil.*{message}"):
        labelled(pseudo_labels)


def test_a_teacher_is_no_student(labelled):
    with pytest.raises(PipelineError, match=r"'ast' is no student\. List it under 'students' or 'second_students'"):
        pseudo_label.main(labelled.project.layout, "ast")


def test_a_vote_that_has_not_the_student_s_labels_is_refused(labelled):
    project = labelled.project
    project.configure(vote={"runs": ["ast"]})
    vote.main(project.layout)
    with pytest.raises(PipelineError, match="'pupil' learns 13 labels, the teachers' vote has 12"):
        labelled(vocabulary="words")
    assert not project.layout.pseudo_labels("pupil").exists()


def test_what_is_learnt_of_a_clip_is_what_the_vote_says_of_it(labelled):
    tables, _ = labelled({"minimum": 0.6})
    for fold, table in enumerate(tables):
        vote = voted(labelled.project, fold).to_submission_labels(labelled.project.corpus.vocabulary.commands)
        trusted = np.flatnonzero(vote.values.max(axis=1) >= 0.6)
        assert table.index.tolist() == [vote.clips[row] for row in trusted] != vote.clips[: len(trusted)]
        assert np.abs(table.to_numpy() - vote.values[trusted]).max() < 1e-6


@pytest.mark.parametrize("vocabulary", ["words", "commands"])
def test_what_may_be_an_unheard_word_is_learnt_as_unknown(labelled, vocabulary):
    plain, _ = labelled(vocabulary=vocabulary)
    tables, counts = labelled({"unknown_odds": 4}, vocabulary=vocabulary)
    unknown = [label for label in tables[0] if label not in (*labelled.project.corpus.vocabulary.commands, "silence")]
    for before, table in zip(plain, tables, strict=True):
        was, is_ = (each[unknown].sum(axis=1).to_numpy() for each in (before, table))
        np.testing.assert_allclose(is_ / (1 - is_), 4 * was / (1 - was), rtol=1e-3)
        np.testing.assert_allclose(table["yes"] / table["silence"], before["yes"] / before["silence"], rtol=1e-3)
    found = np.bincount(tables[2].to_numpy().argmax(axis=1), minlength=len(tables[2].columns))
    assert list(counts["2"].values()) == found.tolist()


def test_clips_are_trusted_by_what_is_learnt_of_them(labelled):
    tables, _ = labelled({"unknown_odds": 50, "minimum": 0.6})
    plain, _ = labelled({"minimum": 0.6})
    assert min(table.to_numpy().max(axis=1).min() for table in tables) >= 0.6
    assert [len(table) for table in tables] != [len(table) for table in plain]


def test_what_has_no_unknown_has_no_odds_of_it(labelled):
    with pytest.raises(PipelineError, match=r"students\.pupil: its target, speaker, has no unknown\.\nDelete"):
        labelled({"unknown_odds": 4}, target="speaker")


def test_a_second_student_is_taught_by_the_second_vote(labelled):
    project = labelled.project
    project.configure(students={"pupil": {"like": "ast"}}, second_students={"heir": {"like": "ast"}})
    project.predict("pupil")
    project.configure(second_vote={"runs": ["pupil"]})
    vote.main(project.layout, "heir")
    pseudo_label.main(project.layout, "heir")
    table = pandas.read_parquet(project.layout.pseudo_labels("heir", 3) / "1.parquet")
    taught = Probabilities.read(project.layout.vote("heir") / "test" / "1.parquet")
    assert table.index.tolist() == taught.clips
    assert np.abs(table[taught.labels].to_numpy() - taught.values).max() < 1e-6
