from pathlib import Path

import pytest
from pydantic import Field

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.settings import Settings


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


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "true", "null"])
def test_a_seed_must_be_a_whole_number(tmp_path: Path, seed: str) -> None:
    with pytest.raises(PipelineError, match="'seed' must be a whole number"):
        params.seed(params.read(written(tmp_path, f"seed: {seed}\n")))


def test_digest_is_that_of_the_values_whatever_their_order() -> None:
    assert params.digest({"a": 1, "b": [2, {"d": 3, "c": 4}]}) == params.digest({"b": [2, {"c": 4, "d": 3}], "a": 1})
    assert params.digest({"a": 1}) != params.digest({"a": 1.5})
