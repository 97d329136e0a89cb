"""`validate`, and that `submit` uploads nothing that it refuses."""

import pytest

from pipeline.clips.labels import COMMANDS
from pipeline.errors import PipelineError
from pipeline.scoring.validation import labels_of
from pipeline.stages import submit, validate
from tests.delivery.entrant import CLIPS, LABELS, Entrant
from tests.delivery.kaggle_server import KaggleServer
from tests.scoring.test_inspection import INVALID


@pytest.fixture
def entrant(tmp_path):
    with KaggleServer() as server:
        yield Entrant(tmp_path, server)


@pytest.fixture
def path(entrant):
    return entrant.layout.submission("ast") / "submission.csv"


def test_a_valid_file_and_its_shares(entrant, path, capsys):
    validate.main(entrant.layout, path)
    printed = capsys.readouterr().out
    assert "is valid: 60 clips" in printed
    assert printed.count("8.3%") == 24
    assert "Warning" not in printed
    assert "another order" not in printed


@pytest.mark.parametrize("name", INVALID)
def test_no_invalid_file_is_uploaded(entrant, path, monkeypatch, name):
    entrant.move_in(monkeypatch)
    entrant.layout.prepare.joinpath("sample.csv").write_text("fname,label\na.wav,x\nb.wav,x\nc.wav,x\nd.wav,x\n")
    data, line, reason = INVALID[name]
    path.write_bytes(data)
    for verb in (lambda: validate.main(entrant.layout, path), lambda: submit.main(entrant.layout, "ast")):
        with pytest.raises(PipelineError) as error:
            verb()
        where = f"line {line}:" if line else ""
        assert any(reason in text and where in text for text in str(error.value).splitlines())
    assert entrant.server.requests == []
    assert not entrant.layout.ledger.exists()


def test_without_a_corpus_the_sample_beside_the_file_counts(entrant, path, capsys):
    """What `kernel pull` brings to a machine that has never prepared the data."""
    (entrant.layout.prepare / "sample.csv").replace(path.parent / "sample.csv")
    validate.main(entrant.layout, path)
    assert "is valid: 60 clips" in capsys.readouterr().out


def test_the_exit_status_tells(entrant, path):
    path.write_text(path.read_text().replace(CLIPS[3], CLIPS[2]))
    status, output = entrant.run("validate", str(path))
    assert status == 1
    assert output.startswith(f"error: {path} is no valid submission (2 problems; sample: artifacts/prepare/sample.csv)")
    assert f"line 5: clip '{CLIPS[2]}' is in line 4 already" in output
    assert f"clip '{CLIPS[3]}' has no row (line 5 of the sample submission)" in output


def test_a_vanished_and_a_crowded_label_are_warned_of(entrant, path, capsys):
    path.write_text(
        "fname,label\n" + "".join(f"{clip},{'yes' if place else 'no'}\n" for place, clip in enumerate(CLIPS))
    )
    validate.main(entrant.layout, path)
    printed = capsys.readouterr().out
    assert "Warning: 98% of the clips are 'yes'." in printed
    assert printed.count("Warning: no clip is") == len(LABELS) - 2
    assert "no clip is 'silence', of which 8.3% were expected" in printed


def test_expected_is_the_prior_of_the_run(entrant, path, capsys):
    tree = (
        "runs: {ast: {model: ast}}\ndecide: {prior: {silence: 1.0}, overrides: {ast: {prior: {go: 0.25, stop: 0.75}}}}"
    )
    entrant.layout.params.write_text(tree)
    path.write_text("fname,label\n" + "".join(f"{clip},go\n" for clip in CLIPS))
    validate.main(entrant.layout, path)
    printed = capsys.readouterr().out
    assert "no clip is 'stop', of which 75.0% were expected" in printed
    assert "'silence'" not in printed


def test_another_order_is_no_fault(entrant, path, capsys):
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text(header + "".join(reversed(rows)))
    validate.main(entrant.layout, path)
    assert "another order than the sample's, which Kaggle does not mind" in capsys.readouterr().out


def test_another_sample_and_no_corpus_yet(entrant, path, tmp_path, capsys):
    for file in entrant.layout.prepare.iterdir():
        file.unlink()
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("fname,label\n" + "".join(f"{clip},silence\n" for clip in CLIPS))
    validate.main(entrant.layout, path, sample)
    assert "is valid" in capsys.readouterr().out
    assert labels_of(sample, None) == [*COMMANDS, "unknown", "silence"]
    assert labels_of(sample, {"commands": ["ja"]}) == ["ja", "unknown", "silence"]


def test_a_sample_without_clips(entrant, path):
    entrant.layout.prepare.joinpath("sample.csv").write_text("fname\n")
    with pytest.raises(PipelineError, match="names no clips, so there is nothing to submit"):
        validate.main(entrant.layout, path)
