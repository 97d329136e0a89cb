"""The table of a finished tiny competition."""

import csv

import pytest

from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.files import read_json, write_json
from pipeline.jobs.comparing import rows_of
from pipeline.layout import Layout
from pipeline.reporting.page import evidence
from pipeline.stages import compare, decide


def test_each_run_has_a_row_of_what_the_stages_measured(finished, tmp_path, capsys):
    project = finished.copy(tmp_path / "project")
    project.configure(lambda params: params["runs"]["ast"].update(reported="private 0.85727"))
    project.configure(lambda params: params["runs"].update(later={"model": "ast"}))
    layout = project.layout
    (project.root / "README.md").write_text("<!-- compare: begin -->\n<!-- compare: end -->\n")
    compare.main(layout, project.root / "README.md")
    assert "Not decided yet: later" in capsys.readouterr().out

    with (layout.comparison / "table.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"ast", "wav2vec2", "ensemble"}
    metrics, scores = read_json(layout.submission("ast") / "metrics.json"), read_json(layout.scores)["ast"]
    ast = rows["ast"]
    assert ast["reported"] == "private 0.85727"
    assert ast["learns"] == "commands"
    assert rows["wav2vec2"]["learns"] == "words"
    assert float(ast["estimate"]) == metrics["estimate"]["prior_accuracy"]
    assert float(ast["selected"]) == metrics["selected"]["prior_accuracy"]
    assert float(ast["silence_recall"]) == metrics["estimate"]["silence_recall"]
    assert {row["round"] for row in rows.values()} == {""}
    clips = scores["n_private"] + scores["n_public"]
    assert int(ast["test_clips"]) == clips
    right = scores["private"] * scores["n_private"] + scores["public"] * scores["n_public"]
    assert float(ast["test"]) == pytest.approx(right / clips, abs=1e-4)
    assert float(ast["test_low"]) < float(ast["test"]) < float(ast["test_high"])
    assert int(ast["parameters"]) > 1_000
    assert float(ast["train_seconds"]) > 0
    assert float(ast["clips_a_second"]) > 0
    assert rows["ensemble"]["parameters"] == rows["ensemble"]["train_seconds"] == ""

    # What is submitted was made anew, and scored not yet.
    submitted = layout.submission("ast") / "submission.csv"
    submitted.write_text(submitted.read_text() + "\n")
    (row,) = [row for row in rows_of(layout, project.params)[0] if row.run == "ast"]
    assert row.test is None

    table = (layout.comparison / "table.md").read_text()
    assert table in (project.root / "README.md").read_text()
    assert "estimate, nested (95 %) | selected, flatters | test (95 %)" in table
    assert "each judged by choices (epoch, weights, thresholds) made on other speakers" in table


def test_against_a_run_each_other_has_its_paired_difference(finished, tmp_path, capsys):
    project = finished.copy(tmp_path / "project")
    layout = project.layout
    compare.main(layout, against="ast")
    with (layout.comparison / "table.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert rows["ast"]["gain"] == ""
    for run in ("wav2vec2", "ensemble"):
        difference = float(rows[run]["estimate"]) - float(rows["ast"]["estimate"])
        assert float(rows[run]["gain"]) == pytest.approx(difference, abs=1e-4)
        assert float(rows[run]["gain_low"]) <= float(rows[run]["gain"]) <= float(rows[run]["gain_high"])
    assert "to the estimate of ast" in capsys.readouterr().out
    with pytest.raises(PipelineError, match=r"no decided run 'asd'.*There are: ast, wav2vec2, ensemble"):
        compare.main(layout, against="asd")


def test_a_difference_is_under_the_prior_of_the_run_that_others_are_set_beside(finished, tmp_path, capsys):
    project = finished.copy(tmp_path / "project")
    prior = {"unknown": 0.9, "silence": 0.1}
    project.configure(
        lambda params: params.update(decide={"rule": "none", "overrides": {"ensemble": {"prior": prior}}})
    )
    layout = project.layout
    for run in ("ast", "wav2vec2"):
        decide.main(Layout(project.root), run)
    compare.main(layout, against="ast")
    with (layout.comparison / "table.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    difference = float(rows["wav2vec2"]["estimate"]) - float(rows["ast"]["estimate"])
    assert float(rows["wav2vec2"]["gain"]) == pytest.approx(difference, abs=1e-4)
    assert "under its prior" in capsys.readouterr().out


def test_what_was_decided_for_another_question_is_refused_in_words(finished):
    layout = finished.layout
    path = layout.submission("ast") / "judged.parquet"
    with pytest.raises(PipelineError, match=r"decided for another question: its labels are .*Run: dvc repro"):
        evidence.read(path, Corpus.open(layout.prepare), Task(presence={"name": "speech"}), "ast")


def test_without_a_decided_run_there_is_nothing_to_compare(finished, tmp_path):
    (tmp_path / "params.yaml").write_bytes(finished.layout.params.read_bytes())
    with pytest.raises(PipelineError, match=r"nothing to compare.*dvc repro"):
        compare.main(Layout(tmp_path))


@pytest.mark.parametrize(("columns", "is_whole"), [("80", False), ("300", True)])
def test_a_terminal_gets_the_columns_that_it_has_room_for_and_a_pipe_gets_markdown(
    columns, is_whole, finished, tmp_path, monkeypatch, capsys
):
    project = finished.copy(tmp_path / "project")
    compare.main(project.layout)
    assert capsys.readouterr().out.startswith((project.layout.comparison / "table.md").read_text())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    compare.main(project.layout)
    shown = capsys.readouterr().out
    assert "macro F1" in shown
    assert "ensemble" in shown
    assert ("recall of unknown" in shown) == is_whole


def test_other_questions_have_other_figures(finished, tmp_path):
    (tmp_path / "params.yaml").write_bytes(finished.layout.params.read_bytes())
    layout = Layout(tmp_path)
    estimate = {"map": 0.4, "clips": 20}
    figures = {"target": "tags", "presence": None, "estimate": estimate, "selected": {"map": 0.45}}
    write_json(layout.submission("ast") / "metrics.json", {**figures, "holdout": {"map": 0.3, "clips": 10}})
    compare.main(layout)
    assert "| 0.400 | 0.450 | 0.300 |" in (layout.comparison / "table.md").read_text()


def test_teachers_and_students_stand_in_one_table(judged_project, capsys):
    layout = judged_project.layout
    judged_project.configure(students={"pupil": {"like": "ast"}}, second_students={"heir": {"like": "pupil"}})
    for run in ("pupil", "heir"):
        judged_project.predict(run)
    for run in ("ast", "pupil", "heir"):
        decide.main(layout, run)
    for stage, seconds in (("train-0", 5.0), ("predict", 2.0)):
        write_json(layout.timing("pupil", stage), {"seconds": seconds, "clips": 100})
    compare.main(layout)
    assert "Not decided yet: words, ensemble" in capsys.readouterr().out
    with (layout.comparison / "table.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert {run: row["round"] for run, row in rows.items()} == {"ast": "", "pupil": "student", "heir": "second student"}
    assert (rows["pupil"]["train_seconds"], rows["pupil"]["clips_a_second"]) == ("5.0", "50.0")
    assert "| round |" in (layout.comparison / "table.md").read_text()


def test_a_run_of_which_a_fold_was_not_timed_tells_no_time(folded_project, capsys):
    """A fold that comes from DVC's cache: the time of the others is not that of all."""
    layout = folded_project.layout
    decide.main(layout, "ast")
    for fold in (0, 2):
        write_json(layout.timing("ast", f"train-{fold}"), {"seconds": 5.0, "clips": 100})
    for seconds in ("", "15.0"):
        compare.main(layout)
        with (layout.comparison / "table.csv").open() as file:
            assert next(csv.DictReader(file))["train_seconds"] == seconds
        write_json(layout.timing("ast", "train-1"), {"seconds": 5.0, "clips": 100})
