import json
from pathlib import Path
from typing import Any, Literal

import pytest
from dvc.utils.serialize import dump_yaml, load_yaml, modify_yaml
from pydantic import Field

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import archives


class Section(Settings):
    size: int = Field(3, ge=1)
    name: str = "a"


class Required(Settings):
    size: int


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_a_section_is_read_and_its_defaults_are_filled_in(tmp_path: Path) -> None:
    tree = params.read(written(tmp_path, "seed: 4\nprepare: {size: 7}\n"))
    assert params.section(tree, "prepare", Section) == Section(size=7, name="a")
    assert params.section(tree, "decide", Section) == Section()
    assert params.seed(tree) == 4


def test_all_bad_keys_are_named_with_what_was_given_and_what_is_allowed() -> None:
    with pytest.raises(PipelineError) as error:
        params.validate({"size": 0, "colour": "red"}, Section, "section")
    message = str(error.value)
    assert "section section" in message
    assert "size: Input should be greater than or equal to 1; found 0" in message
    assert "colour: unknown key. Known keys: size, name" in message


def test_a_missing_key_is_named() -> None:
    with pytest.raises(PipelineError, match="size: missing, and it has no default"):
        params.validate({}, Required, "section")


def test_parameters_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Section().size = 4  # type: ignore[misc]


def test_a_section_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"section section: expected keys and values, found \[1, 2\]"):
        params.validate([1, 2], Section, "section")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "is not valid YAML"), ("- a\n- b\n", "must hold sections"), ("\xff\xfe\x00", "is not valid YAML")],
)
def test_a_file_that_is_no_parameter_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(PipelineError, match=message):
        params.read(path)


def test_a_section_that_no_stage_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"no stage reads the section trian\. Known sections: seed, folds, download"
    ):
        params.read(written(tmp_path, "seed: 1\ntrian: {epochs: 3}\n"))


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"cp profiles/demo\.yaml params\.yaml"):
        params.read(tmp_path / "params.yaml")


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "true", "null", "4294967296", "yes", "[1]"])
def test_a_seed_must_be_a_whole_number(tmp_path: Path, seed: str) -> None:
    with pytest.raises(PipelineError, match="'seed' must be a whole number"):
        params.seed(params.read(written(tmp_path, f"seed: {seed}\n")))


def test_digest_is_that_of_the_values_whatever_their_order() -> None:
    assert params.digest({"a": 1, "b": [2, {"d": 3, "c": 4}]}) == params.digest({"b": [2, {"c": 4, "d": 3}], "a": 1})
    assert params.digest({"a": 1}) != params.digest({"a": 1.5})


def test_the_largest_seed_is_what_the_libraries_take(tmp_path: Path) -> None:
    assert params.seed(params.read(written(tmp_path, "seed: 4294967295\n"))) == 2**32 - 1


YAML_1_2 = """\
seed: 1
prepare:
  commands: [yes, no, on, off, "yes", 'no', y, n]
  small: 1e-5
  large: 1e9
  octal: 0o17
  leading: 017
  time: 12:30
  truth: [true, false, True]
  nothing: [~, null, ""]
decide: {prior: {yes: 0.5, off: 0.5}}
runs: {on: {}, yes: {}}
"""


def test_it_is_read_as_dvc_reads_it_and_yes_and_on_are_words(tmp_path: Path) -> None:
    tree = params.read(written(tmp_path, YAML_1_2))
    assert tree == load_yaml(str(tmp_path / "params.yaml"))
    assert tree["prepare"]["commands"] == ["yes", "no", "on", "off", "yes", "no", "y", "n"]
    assert list(tree["runs"]) == ["on", "yes"]
    assert tree["decide"]["prior"] == {"yes": 0.5, "off": 0.5}
    assert tree["prepare"]["truth"] == [True, False, True]
    assert (tree["prepare"]["small"], tree["prepare"]["large"], tree["prepare"]["time"]) == (1e-5, 1e9, "12:30")


def test_what_dvc_writes_means_the_same(tmp_path: Path) -> None:
    """`dvc exp run -S` writes the file anew, without quotes."""
    path = written(tmp_path, YAML_1_2)
    before = params.read(path)
    with modify_yaml(str(path)) as tree:
        tree["seed"] = 2
    assert "commands: [yes" in path.read_text()
    assert params.read(path) == {**before, "seed": 2}
    dump_yaml(str(path), before)
    assert params.read(path) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", r"is not valid YAML: (.|\n)*duplicate key"),
        ("runs: {a: {reported: 2017-11-15}}\n", r"runs\.a\.reported is 2017-11-15, a date.*quotes"),
        ("prepare: {commands: [2017-11-15]}\n", r"prepare\.commands\.0 is 2017-11-15, a date"),
        ("runs: {a: {reported: 2017-14-99}}\n", "is not valid YAML"),
        ("runs: !!python/object:os.system {}\n", "is not valid YAML"),
        ("runs: {a: {parameters: {frames: 10, 7: 3}}}\n", "runs.a.parameters has 7 where a key is expected.*quotes"),
        ("runs: {a: {parameters: {words: !!set {b, c}}}}\n", "runs.a.parameters.words is a set, which no parameter is"),
        ("1: 2\n", "no stage reads the section 1"),
        ("predict: {}\n", "no stage reads the section predict"),
    ],
)
def test_what_no_parameter_can_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        params.read(written(tmp_path, text))


@pytest.mark.parametrize(("text", "folds"), [("", [0]), ("folds: [0]", [0]), ("folds: [2, 0]", [2, 0])])
def test_folds_are_listed(tmp_path: Path, text: str, folds: list[int]) -> None:
    assert params.folds(params.read(written(tmp_path, f"seed: 1\n{text}\n"))) == folds


@pytest.mark.parametrize("folds", ["[]", "3", "null", "[0, 0]", "[-1]", "[true]", "[0.5]", "['0']", "{0: 1}"])
def test_what_is_no_list_of_folds_is_refused(tmp_path: Path, folds: str) -> None:
    with pytest.raises(PipelineError, match="'folds' must list the folds to train, each once"):
        params.folds(params.read(written(tmp_path, f"seed: 1\nfolds: {folds}\n")))


class Inner(Settings):
    share: float = 0.5
    on: bool = False


class Outer(Settings):
    inner: Inner = Inner()
    amount: Literal["all"] | float = "all"
    weights: Literal["equal"] | dict[str, float] = "equal"
    numbers: tuple[int, ...] = ()
    count: int | None = None
    anything: dict[str, Any] = Field(default_factory=dict)
    switch: bool | Literal["auto"] = "auto"


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ({"count": True}, ["count: Input should be no truth value; found True"]),
        ({"numbers": [1, False]}, ["numbers: Input should be no truth value; found [1, False]"]),
        ({"inner": {"share": True}}, ["inner.share: Input should be no truth value; found True"]),
        ({"inner": {"share": float("nan")}}, ["inner.share: Input should be a finite number; found nan"]),
        ({"inner": {"shar": 1}}, ["inner.shar: unknown key. Do you mean share? Known keys: share, on"]),
        ({"inner": 3}, ["inner: Input should be a valid dictionary or instance of Inner; found 3"]),
        (
            {"amount": "some"},
            [
                "amount: Input should be 'all'; found 'some'",
                "amount: Input should be a valid number, unable to parse string as a number; found 'some'",
            ],
        ),
        (
            {"weights": {"a": "x"}},
            [
                "weights: Input should be 'equal'; found {'a': 'x'}",
                "weights.a: Input should be a valid number, unable to parse string as a number; found 'x'",
            ],
        ),
        ({1: 2}, None),
    ],
)
def test_a_message_names_keys_as_they_stand_in_the_file(values: Any, lines: list[str] | None) -> None:
    with pytest.raises(PipelineError) as error:
        params.validate(values, Outer, "outer")
    if lines is None:
        assert str(error.value) == "params.yaml, section outer: 1 is a value where a key is expected. Put it in quotes."
    else:
        assert str(error.value).splitlines() == ["params.yaml, section outer:", *(f"  {line}" for line in lines)]


def test_truth_values_are_taken_where_they_are_meant() -> None:
    outer = params.validate({"inner": {"on": True}, "anything": {"a": True}, "switch": False}, Outer, "outer")
    assert outer.inner.on
    assert outer.anything == {"a": True}
    assert outer.switch is False


def test_a_stage_of_dvc_reads_what_resolve_has_read(tmp_path, monkeypatch):
    path = written(tmp_path, "seed: 5\n")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "params.json").write_text(json.dumps({"seed": 4, params.TEXT: "seed: 4\n"}))
    assert params.read(path) == {"seed": 5}
    for stage, seed in (("train@ast-0", 4), ("dvc.yaml:decide@ast", 4), ("resolve", 5), ("dvc.yaml:resolve", 5)):
        monkeypatch.setenv("DVC_STAGE", stage)
        assert params.read(path) == {"seed": seed}
    other = tmp_path / "other.yaml"
    other.write_text("seed: 6\n")
    assert params.read(other) == {"seed": 6}


def test_a_folder_may_be_in_the_user_s_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert archives.Params(folder="~/speech").folder == tmp_path / "speech"
    assert archives.Params(folder="speech", answers="~/answers.csv").answers == tmp_path / "answers.csv"
