import csv
import io

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipeline.errors import PipelineError
from pipeline.reporting import comparison
from pipeline.reporting.comparison import Estimate, RunSummary


def row(run, value, **changed):
    values = {
        "model": "ast",
        "round": "",
        "question": "word",
        "learns": "words",
        "parameters": 1_234_567,
        "train_seconds": 612.4,
        "clips_a_second": None,
        "judge": "prior_accuracy",
        "estimate": Estimate(value, value - 0.1, value + 0.1, 400),
        "selected": value + 0.01,
        "test": None,
        "macro_f1": 0.5,
        "unknown_recall": 0.25,
        "silence_recall": 1.0,
        "reported": "",
        **changed,
    }
    return RunSummary(run=run, **values)


def test_the_best_is_first_and_columns_that_nobody_fills_are_left_out():
    table = comparison.markdown([row("worse", 0.4), row("better", 0.8, reported="0.9 | private")])
    assert table.splitlines() == [
        "| run | model | learns | parameters | training, s | estimate, nested (95 %) "
        "| selected, flatters | macro F1 | recall of unknown | recall of silence | reported by the authors |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
        "| better | ast | words | 1,234,567 | 612 | 0.800 (0.700-0.900) | 0.810 | 0.500 | 0.250 | 1.000 "
        "| 0.9 \\| private |",
        "| worse | ast | words | 1,234,567 | 612 | 0.400 (0.300-0.500) | 0.410 | 0.500 | 0.250 | 1.000 | - |",
        "",
        *comparison.LEGEND.splitlines(),
    ]


def test_students_are_told_from_teachers():
    table = comparison.markdown([row("teacher", 0.4), row("pupil", 0.8, round="student")])
    assert [line.split(" | ")[2] for line in table.splitlines()[:4] if "---" not in line] == ["round", "student", "-"]


def test_each_question_has_a_table_of_its_own():
    """93 % of one class right is no better than 40 % of twelve: such figures do not stand in one order."""
    rows = [
        row("one", 0.4),
        row("speech", 0.99, question="speech or not"),
        row("tags", 0.8, question="tags", judge="map"),
    ]
    lines = comparison.markdown(rows).splitlines()
    headings = [
        "word: accuracy under the prior",
        "speech or not: accuracy under the prior",
        "tags: mean average precision",
    ]
    told = [line for line in lines if line and not line.startswith("|")]
    assert told == [*headings, *comparison.LEGEND.splitlines()]
    for heading, run in zip(headings, ("one", "speech", "tags"), strict=True):
        assert lines[lines.index(heading) + 4].startswith(f"| {run} |")


def test_a_figure_without_an_interval_has_none():
    figures = {"estimate": Estimate(0.8, None, None, 400), "test": Estimate(0.7, None, None, 10)}
    tags = row("tags", 0.8, question="tags", judge="map", **figures)
    assert "| 0.800 |" in comparison.markdown([tags])
    (told,) = csv.DictReader(io.StringIO(comparison.to_csv([tags])))
    assert (told["estimate"], told["estimate_low"], told["test"], told["test_high"]) == ("0.8", "", "0.7", "")


def test_the_csv_holds_every_column_and_the_figures_unrounded():
    text = comparison.to_csv([row("one", 0.45678, test=Estimate(0.5, 0.4, 0.6, 10)), row("two", 0.4)])
    first, second = csv.DictReader(io.StringIO(text))
    assert first["estimate"] == "0.45678"
    assert first["estimate_clips"] == "400"
    assert (first["test"], first["test_low"], first["test_high"]) == ("0.5", "0.4", "0.6")
    assert second["test"] == second["test_clips"] == second["clips_a_second"] == ""


def test_parameters_are_counted_over_all_files_without_loading_them(tmp_path):
    assert comparison.parameters_in(tmp_path) is None
    (tmp_path / "detector").mkdir()
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}, tmp_path / "model.safetensors")
    save_file({"c": np.zeros((2, 2, 2), np.float32)}, tmp_path / "detector" / "model.safetensors")
    save_file({"kept": np.zeros(9, np.int64)}, tmp_path / "detector" / "selection.safetensors")  # a probe's features
    assert comparison.parameters_in(tmp_path) == 12 + 5 + 8


def test_the_table_takes_its_place_between_the_marks_and_nothing_else_changes(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"before\n{comparison.BEGIN}\nold\n{comparison.END}\nafter\n")
    comparison.put_into(path, "| new |\n")
    assert path.read_text() == f"before\n{comparison.BEGIN}\n| new |\n{comparison.END}\nafter\n"
    comparison.put_into(path, "| newer |\n")
    assert path.read_text().count("new") == 1


@pytest.mark.parametrize(
    "text", ["no marks", f"{comparison.BEGIN}", f"{comparison.BEGIN}{comparison.BEGIN}{comparison.END}"]
)
def test_a_file_without_the_marks_is_left_as_it_is(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(PipelineError, match="must have the lines"):
        comparison.put_into(path, "new")
    assert path.read_text() == text
    with pytest.raises(PipelineError, match="There is no"):
        comparison.put_into(tmp_path / "absent.md", "new")
