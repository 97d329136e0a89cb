"""`validate`, and that `submit` uploads nothing that it refuses."""

import os
import time

import pytest

from pipeline.clips.labels import COMMANDS
from pipeline.errors import PipelineError
from pipeline.scoring.validation import labels_of
from pipeline.stages import submit, validate
from tests.delivery.entrant import CLIPS, LABELS
from tests.scoring.test_inspection import INVALID


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
    for strange in ([1], {"commands": 3}, {"commands": [1, 2]}):
        with pytest.raises(PipelineError, match=r"prepare\.commands: .* is no list of words"):
            labels_of(sample, strange)


def test_a_sample_without_clips(entrant, path):
    entrant.layout.prepare.joinpath("sample.csv").write_text("fname\n")
    with pytest.raises(PipelineError, match="names no clips, so there is nothing to submit"):
        validate.main(entrant.layout, path)


# Repairs


def by_hand(entrant, data: bytes):
    path = entrant.root / "mine.csv"
    path.write_bytes(data)
    return path


def test_what_is_certain_is_repaired_in_a_copy(entrant, path):
    header, *rows = path.read_text().splitlines()
    rows[3] = rows[3].replace(rows[3].split(",")[1], rows[3].split(",")[1].upper())
    rows[4] = '"{}","{}"'.format(*rows[4].split(","))
    given = ("\ufeff" + "\r\n".join([header, *reversed(rows)]) + "\r\n").encode()
    mine = by_hand(entrant, given)
    status, output = entrant.run("validate", "mine.csv")
    assert status == 1
    assert "`validate --fix` repairs what is certain, in a copy." in output
    status, output = entrant.run("validate", "mine.csv", "--fix")
    assert status == 0, output
    assert (entrant.root / "mine.fixed.csv").read_bytes() == path.read_bytes()
    assert mine.read_bytes() == given
    for change in ("(BOM)", "61 lines end in a newline", "quotes", "case of the label", "order of the sample"):
        assert change in output
    assert "mine.fixed.csv is valid: 60 clips" in output


def test_what_is_no_more_than_a_guess_stays(entrant, path):
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace(",", " ,")
    lines[5] = "clip_9999.wav,maybe\n"
    by_hand(entrant, "".join(lines).encode("utf-8-sig"))
    status, output = entrant.run("validate", "mine.csv", "--fix")
    assert status == 1
    assert (entrant.root / "mine.fixed.csv").read_text() == "".join(lines)
    for problem in ("space around a field", "'maybe' is no label", "has no row"):
        assert problem in output


def test_nothing_to_repair_and_nothing_overwritten(entrant, path):
    by_hand(entrant, path.read_bytes())
    assert "Nothing in mine.csv can be repaired" in entrant.run("validate", "mine.csv", "--fix")[1]
    assert not (entrant.root / "mine.fixed.csv").exists()
    by_hand(entrant, path.read_bytes().replace(b"\n", b"\r\n"))
    (entrant.root / "mine.fixed.csv").write_text("of yesterday")
    status, output = entrant.run("validate", "mine.csv", "--fix")
    assert status == 1
    assert "Move it away" in output
    assert (entrant.root / "mine.fixed.csv").read_text() == "of yesterday"
    (entrant.root / "mine.fixed.csv").unlink()
    (entrant.root / "mine.fixed.csv").mkdir()
    assert "Move it away" in entrant.run("validate", "mine.csv", "--fix")[1]


# Files that are none


def test_a_pipe_is_refused_at_once(entrant):
    os.mkfifo(entrant.root / "pipe.csv")
    for verb in ("validate", "submit"):
        status, output = entrant.run(verb, "pipe.csv")
        assert status == 1
        assert "is no regular file but a pipe or a device" in output


def test_a_huge_file_is_refused_unread(entrant, monkeypatch):
    with (entrant.root / "huge.csv").open("wb") as file:
        file.truncate(330_000_000)
    monkeypatch.chdir(entrant.root)
    begin = time.monotonic()
    for verb in (validate.main, submit.main):
        with pytest.raises(PipelineError, match=r"has 330,000,000 bytes; a submission for this sample has less than"):
            verb(entrant.layout, type(entrant.root)("huge.csv") if verb is validate.main else "huge.csv")
    assert time.monotonic() - begin < 2


def test_a_name_that_is_too_long_is_told_of(entrant):
    status, output = entrant.run("validate", "x" * 300 + ".csv")
    assert status == 1
    assert "cannot be looked at: File name too long" in output
    assert "Traceback" not in output
