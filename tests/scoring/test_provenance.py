import hashlib

import pytest

from pipeline.errors import PipelineError
from pipeline.files import read_json, sha256_of, write_json
from pipeline.scoring import provenance


def decided(folder, text, figures=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "submission.csv").write_text(text)
    write_json(folder / "metrics.json", figures or {"estimate": {"prior_accuracy": 0.9}})
    provenance.note(folder, "c0ffee", "ab" * 32)
    return sha256_of(folder / "submission.csv")


def test_a_file_is_known_by_its_bytes_alone(tmp_path):
    sha256 = decided(tmp_path / "ast", "fname,label\na.wav,yes\n")
    made = provenance.find(sha256, tmp_path)
    assert (made.commit, made.params, made.folder) == ("c0ffee", "ab" * 32, tmp_path / "ast")
    assert provenance.accuracy_of(sha256, tmp_path / "ast") == 0.9
    assert read_json(tmp_path / "ast" / "metrics.json")["estimate"] == {"prior_accuracy": 0.9}
    assert provenance.find("00" * 32, tmp_path) is None
    assert provenance.accuracy_of("00" * 32, tmp_path / "ast") is None


def test_of_two_runs_with_the_same_file_the_one_that_is_asked_for_counts(tmp_path):
    for run in ("ast", "words"):
        sha256 = decided(tmp_path / run, "fname,label\na.wav,yes\n")
    assert provenance.find(sha256, tmp_path, "words").folder == tmp_path / "words"
    assert provenance.find(sha256, tmp_path, "gone").folder == tmp_path / "ast"


@pytest.mark.parametrize("figures", [[], {"provenance": None}, {"provenance": {"sha256": "x"}}, {"accuracy": 1}])
def test_figures_of_another_shape_tell_nothing(tmp_path, figures):
    (tmp_path / "ast").mkdir()
    write_json(tmp_path / "ast" / "metrics.json", figures)
    assert provenance.find("x", tmp_path) is None


def test_figures_that_are_no_json_are_told(tmp_path):
    (tmp_path / "ast").mkdir()
    (tmp_path / "ast" / "metrics.json").write_text("{")
    with pytest.raises(PipelineError, match=r"metrics\.json is no JSON"):
        provenance.find("x", tmp_path)


def test_figures_that_are_no_json_do_not_stop_what_makes_them_anew(tmp_path):
    decided(tmp_path / "ast", "fname,label\na.wav,yes\n")
    (tmp_path / "ast" / "metrics.json").write_text("")
    provenance.keep_aside(tmp_path / "ast")
    assert (tmp_path / "by-hand").exists()  # DVC knows nothing of it here


def test_only_what_no_run_has_written_is_kept_aside(tmp_path, capsys):
    folder = tmp_path / "ast"
    provenance.keep_aside(folder)  # nothing there
    decided(folder, "fname,label\na.wav,yes\n")
    provenance.keep_aside(folder)
    assert (folder / "submission.csv").exists()
    (folder / "submission.csv").write_text("fname,label\na.wav,no\n")
    digest = sha256_of(folder / "submission.csv")
    provenance.keep_aside(folder)
    kept = tmp_path / "by-hand" / f"ast-{digest[:8]}.csv"
    assert kept.read_text() == "fname,label\na.wav,no\n"
    assert not (folder / "submission.csv").exists()
    assert f"was not made by this project: it is kept as {kept}" in capsys.readouterr().out
    (folder / "submission.csv").write_text("fname,label\n")  # of a run that submits nothing
    provenance.keep_aside(folder)
    assert (folder / "submission.csv").exists()


def test_what_dvc_has_recorded_is_the_runs(tmp_path, capsys):
    """A run's file of before its provenance was noted."""
    folder = tmp_path / "submissions" / "ast"
    folder.mkdir(parents=True)
    path = folder / "submission.csv"
    path.write_text("fname,label\na.wav,yes\n")
    (tmp_path / "dvc.lock").write_text(f"outs:\n- path: x\n  md5: {hashlib.md5(path.read_bytes()).hexdigest()}\n")
    provenance.keep_aside(folder)
    assert path.exists()
    path.write_text("fname,label\na.wav,no\n")
    provenance.keep_aside(folder)
    assert not path.exists()
