"""`listen`: options that contradict each other."""

import pytest
from typer.testing import CliRunner

from pipeline.errors import PipelineError
from pipeline.listening_verbs import app


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("a.wav --web", "FILE cannot be given with --web"),
        ("--web --measure", "--measure cannot be given with --web"),
        ("--web --run gru --model a.onnx", "--run, --model cannot be given with --web"),
        ("a.wav --measure", "FILE cannot be given with --measure"),
        ("--measure --device 1 --port 80", "--device, --port cannot be given with --measure"),
        ("a.wav --device 1", "--device cannot be given with FILE"),
        ("a.wav --hours 1", "--hours cannot be given with listening without --web and --measure"),
        ("a.wav --run gru --model a.onnx", "--run cannot be given with --model"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments, named):
    done = CliRunner().invoke(app, ["listen", *arguments.split()])
    assert isinstance(done.exception, PipelineError), done.exception
    assert str(done.exception).startswith(named)


def test_options_that_go_together_are_not_refused(tmp_path, monkeypatch):
    """They come as far as the project that is not there."""
    monkeypatch.chdir(tmp_path)
    for arguments in ("nowhere.wav --run gru --hop-ms 50", "--measure --model a.onnx --hours 2", "--web --port 7000"):
        done = CliRunner().invoke(app, ["listen", *arguments.split()])
        assert "cannot be given" not in str(done.exception)
        assert done.exit_code == 1, done.output
