"""check: whatever would stop a run later is found out first, for all runs at once."""

import copy

import pytest

from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.layout import Layout
from pipeline.stages import check


@pytest.fixture
def checked(tiny_params, tmp_path):
    """`checked(change)`: check the tiny parameters after a change to their runs; returns the layout."""

    def run(change=lambda runs: None):
        params = copy.deepcopy(tiny_params)
        change(params["runs"])
        layout = Layout(tmp_path)
        write_json(layout.params, params)
        check.main(layout)
        return layout

    return run


def test_good_runs_pass_and_leave_the_same_file_always(checked, capsys):
    before = checked().checked.read_bytes()
    assert "ast: ready to train\nwav2vec2: ready to train\n" in capsys.readouterr().out
    assert checked(lambda runs: runs.pop("ast")).checked.read_bytes() == before


def test_a_published_checkpoint_is_looked_for_in_the_project(checked, publish, tmp_path):
    publish("ast", tmp_path / "data" / "checkpoints" / "someone--small-ast")
    checked(lambda runs: runs.update(ast={"model": "ast", "parameters": {"checkpoint": "someone/small-ast"}}))


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(checked, tmp_path):
    def spoil(runs):
        runs["missing"] = {"model": "ast", "parameters": {"checkpoint": "./nowhere"}}
        runs["strange"] = {"model": "hubert"}
        runs["typo"] = {"model": "ast", "training": {"epoch": 3}}
        runs["small"] = {"model": "ast", "parameters": {"config": {"max_length": 2}}}

    with pytest.raises(PipelineError) as error:
        checked(spoil)
    message = str(error.value)
    assert "Run 'missing': The checkpoint './nowhere' is not here" in message
    assert "Run 'strange': A run asks for the model 'hubert'" in message
    assert "Run 'typo': params.yaml, section runs.typo.training:\n  epoch: unknown key" in message
    assert "Run 'small': ASTForAudioClassification cannot be built" in message
    assert "'ast'" not in message
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize("runs", [{}, None, ["ast"]])
def test_a_list_of_runs_that_is_none_is_refused(runs, tmp_path):
    layout = Layout(tmp_path)
    write_json(layout.params, {"seed": 1, "runs": runs})
    with pytest.raises(PipelineError, match="'runs' must list runs by name; found"):
        check.main(layout)


def test_a_run_may_not_have_the_ensemble_s_name(checked):
    with pytest.raises(PipelineError, match="cannot be called 'ensemble'"):
        checked(lambda runs: runs.update(ensemble=runs["ast"]))
