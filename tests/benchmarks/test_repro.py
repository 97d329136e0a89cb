import hashlib

import yaml

from pipeline.benchmarks import repro
from pipeline.jobs import benching
from pipeline.layout import Layout


def content(root):
    """Return the digest of every file of a project, DVC's notes left out."""
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if not {".git", "tmp", "__pycache__"}.intersection(name.parts)
    }


def test_a_project_that_has_not_run_is_not_measured(tmp_path):
    assert not repro.copy_of(tmp_path, tmp_path / "copy")
    assert [row.measured for row in repro.unfinished()] == ["not measured: run `dvc repro` first"] * 2


def test_a_finished_project_is_timed_in_a_copy_and_stays_as_it_was(finished, tmp_path):
    before = content(finished.root)
    findings = benching.of_repro(Layout(finished.root), tmp_path / "copy", rounds=1)
    assert [row.target for row in findings] == ["at most 5 s", "at most 20 s"]
    assert all(row.measured.endswith(" s") for row in findings)
    assert len(before) > 50
    assert content(finished.root) == before
    # The copy was decided anew, and nothing was trained or predicted anew.
    after = content(tmp_path / "copy")
    changed = {path.as_posix() for path, digest in before.items() if after.get(path, digest) != digest}
    assert {"params.yaml", "dvc.lock", "submissions/ast/metrics.json", "submissions/ensemble/metrics.json"} <= changed
    assert not [path for path in changed if path.startswith(("artifacts/train", "artifacts/predict"))]


def test_many_runs_on_many_folds_have_nothing_to_do(clone, tiny_params, tmp_path):
    project = clone(tmp_path / "project", tiny_params)
    finding = benching.of_many_runs(project.layout, tmp_path / "many", 1, runs=3, folds=2)
    assert finding.what == "dvc repro, nothing to do: 3 runs x 2 folds"
    assert finding.target == "at most 10 s"
    lock = yaml.safe_load((tmp_path / "many" / "dvc.lock").read_text())["stages"]
    assert {f"train@run-{run}-{fold}" for run in range(3) for fold in range(2)} < lock.keys()
    assert not (project.root / "artifacts").exists()
