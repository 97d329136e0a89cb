"""Runs as params.yaml lists them: names, `like`, the shared section, students."""

import pytest

from pipeline import params, runs
from pipeline.errors import PipelineError
from pipeline.examples.task import Task

TREE = {
    "train": {"training": {"epochs": 9, "batch_size": 16}, "augmentation": [{"Gain": {}}]},
    "runs": {
        "a": {
            "model": "ast",
            "parameters": {"config": {"hidden": 8, "layers": [1, 2]}, "checkpoint": "x"},
            "training": {"epochs": 3, "loss": "mse"},
            "reported": "0.9",
        },
        "b": {"like": "a", "parameters": {"config": {"layers": [3]}}, "training": {"epochs": 4}},
        "c": {"like": "b", "parameters": {"checkpoint": None}, "training": {"loss": "auto"}, "reported": "0.8"},
        "d": {"like": "c", "model": "gru", "parameters": {}},
    },
    "students": {"s": {"like": "c", "pseudo_labels": {"minimum": 0.5}}},
}


def tree(**changed):
    return {**TREE, **changed}


def test_a_run_is_what_its_entry_says_over_the_shared_section():
    entry = runs.entry(TREE, "a")
    assert entry["training"] == {"epochs": 3, "batch_size": 16, "loss": "mse"}
    assert entry["augmentation"] == [{"Gain": {}}]
    assert runs.entry({"runs": {"a": {"model": "ast"}}}, "a") == {"model": "ast"}


def test_a_run_overrides_the_shared_section_at_any_depth():
    shared = {"parameters": {"spec_augment": {"time_masks": 1, "time_width": 12}}}
    tree = {"train": shared, "runs": {"a": {"model": "ast", "parameters": {"spec_augment": {"time_masks": 2}}}}}
    assert runs.entry(tree, "a")["parameters"]["spec_augment"] == {"time_masks": 2, "time_width": 12}


def test_a_run_takes_over_all_of_what_it_is_like_and_differs_at_any_depth():
    assert runs.entry(TREE, "b") == {
        "model": "ast",
        "parameters": {"config": {"hidden": 8, "layers": [3]}, "checkpoint": "x"},
        "training": {"epochs": 4, "batch_size": 16, "loss": "mse"},
        "augmentation": [{"Gain": {}}],
    }


def test_likeness_goes_on_through_a_chain_and_null_takes_something_back():
    assert runs.own(TREE, "c") == {
        "model": "ast",
        "parameters": {"config": {"hidden": 8, "layers": [3]}, "checkpoint": None},
        "training": {"epochs": 4, "loss": "auto"},
        "reported": "0.8",
    }
    assert runs.own(TREE, "d")["model"] == "gru"
    assert runs.own(TREE, "d")["parameters"] == runs.own(TREE, "c")["parameters"]


def test_what_the_authors_report_is_of_their_run_alone():
    assert "reported" not in runs.entry(TREE, "b")
    assert "reported" not in runs.entry(TREE, "d")
    assert runs.entry(TREE, "c")["reported"] == "0.8"


def test_a_student_may_be_like_a_teacher_and_no_entry_is_changed_by_reading():
    before = params.digest(TREE)
    assert runs.entry(TREE, "s")["pseudo_labels"] == {"minimum": 0.5}
    assert runs.entry(TREE, "s")["training"]["epochs"] == 4
    assert params.digest(TREE) == before


def test_names_are_in_the_file_s_order_students_last():
    assert runs.teachers(TREE) == ["a", "b", "c", "d"]
    assert runs.students(TREE) == ["s"]
    assert runs.names(TREE) == ["a", "b", "c", "d", "s"]
    for without in ({}, {"students": None}, {"students": {}}):
        assert runs.students({"runs": TREE["runs"], **without}) == []
    assert runs.where_of(TREE, "a") == "runs.a"
    assert runs.where_of(TREE, "s") == "students.s"


@pytest.mark.parametrize(
    ("listed", "asked", "message"),
    [
        ({"a": {"like": "a"}}, "a", r"in a circle: a -> a\."),
        ({"a": {"like": "b"}, "b": {"like": "c"}, "c": {"like": "a"}}, "b", r"in a circle: b -> c -> a -> b\."),
        ({"a": {"like": "z"}, "b": {}}, "a", r"lists no run 'z'\. 'a' is like 'z', but it should be one of: a, b\."),
        ({"a": {}}, "z", r"lists no run 'z'\. It should be one of: a\."),
        ({"a": {"like": 3}}, "a", r"section runs\.a: `like` must be the name of another run; found 3"),
        ({"a": {"like": ["b"]}}, "a", r"`like` must be the name of another run; found \['b'\]"),
        ({"a": None}, "a", r"section runs\.a: expected keys and values, found None"),
        ({"a": {"like": "b"}, "b": [1]}, "a", r"section runs\.b: expected keys and values, found \[1\]"),
    ],
)
def test_a_likeness_that_cannot_be_is_told(listed, asked, message):
    with pytest.raises(PipelineError, match=message):
        runs.entry({"runs": listed}, asked)


@pytest.mark.parametrize("name", ["a", "A9", "_", "9", "wav2vec2-words", "a_b-c", "yes", "null", "-1"[1:]])
def test_a_name_of_letters_digits_hyphens_and_underscores_is_taken(name):
    assert runs.teachers({"runs": {name: {}}}) == [name]
    assert runs.students({"runs": {"z": {}}, "students": {name: {}}}) == [name]


@pytest.mark.parametrize(
    "name", [1, 1.5, None, True, "", "v1.2", "a/b", "../x", "..", "a b", "-a", "a\n", "é", "a@b", "${a}"]
)
def test_what_cannot_be_a_name_is_told(name):
    told = r"cannot be a run's name, since files are called by it\.\nTake letters, digits, - and _; put a number"
    with pytest.raises(PipelineError, match=told):
        runs.teachers({"runs": {name: {}}})
    with pytest.raises(PipelineError, match="under 'students' cannot be a run's name"):
        runs.students({"runs": {"z": {}}, "students": {name: {}}})


@pytest.mark.parametrize("name", ["ensemble", "kernel"])
def test_a_name_that_is_taken_is_told(name):
    with pytest.raises(PipelineError, match=f"a run cannot be called '{name}': submissions/{name} is not a run's"):
        runs.teachers({"runs": {name: {}}})


@pytest.mark.parametrize("listed", [None, {}, [], ["a"], "a", 3])
def test_what_is_no_list_of_runs_is_told(listed):
    with pytest.raises(PipelineError, match="'runs' must list runs by name; found"):
        runs.teachers({"runs": listed})
    if listed not in (None, {}):
        with pytest.raises(PipelineError, match="'students' must list runs by name; found"):
            runs.students({"runs": {"a": {}}, "students": listed})


@pytest.mark.parametrize(
    ("one", "other"), [("runs", "students"), ("runs", "second_students"), ("students", "second_students")]
)
def test_a_run_is_of_one_round(one, other):
    with pytest.raises(PipelineError, match=rf"a is both under '{one}' and under '{other}'\. Rename one"):
        runs.names({"runs": {"b": {}}, one: {"a": {}}, other: {"a": {}}})


def test_second_students_are_students_and_come_last():
    tree = {"second_students": {"z": {"like": "s"}}, "students": {"s": {"like": "t"}}, "runs": {"t": {"model": "gru"}}}
    assert runs.names(tree) == ["t", "s", "z"]
    assert runs.students(tree) == ["s", "z"]
    assert [runs.round_of(tree, name) for name in ("t", "s", "z", "nobody")] == [1, 2, 3, 1]
    assert runs.where_of(tree, "z") == "second_students.z"
    assert [runs.names(tree, number) for number in (1, 2, 3)] == [["t"], ["t", "s"], ["t", "s", "z"]]
    assert runs.entry(tree, "z") == {"model": "gru"}


def test_a_task_is_read_without_the_rest_of_the_entry():
    listed = {
        "a": {"model": "no such", "vocabulary": "words"},
        "b": {"like": "a", "target": "speaker"},
        "c": {"presence": {"name": "speech"}},
    }
    tasks = runs.tasks({"runs": listed, "train": {"target": "tags"}})
    assert tasks["a"] == Task(target="tags", vocabulary="words")
    assert tasks["b"] == Task(target="speaker", vocabulary="words")
    assert tasks["c"].presence.of == "all"
    with pytest.raises(PipelineError, match=r"section students\.s:\n  vocabulary: "):
        runs.task_of({"runs": listed, "students": {"s": {"vocabulary": "x"}}}, "s")


def test_the_models_of_a_run_are_its_own_and_its_detector_s():
    listed = {
        "a": {"model": "ast", "detector": {"model": "gru"}},
        "b": {"like": "a", "detector": None},
        "c": {"model": 3},
    }
    assert [runs.models_of({"runs": listed}, name) for name in listed] == [["ast", "gru"], ["ast"], []]
