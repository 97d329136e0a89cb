import io
import json
import os
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.delivery import kernel_session
from pipeline.delivery.kernel_session import DATA, Session, inside, legible, requirements
from pipeline.errors import PipelineError
from pipeline.files import sha256_of, write_json

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def session(tmp_path):
    """A session as the notebook starts it, everything still missing."""
    for name in ("project", "input", "working"):
        (tmp_path / name).mkdir()
    (tmp_path / "project/params.yaml").write_text(f"download:\n  source: archives\n  folder: {DATA}\n")
    (tmp_path / "project/requirements.txt").write_text("# none\n")
    return started(tmp_path)


def started(folder, **changes):
    roots = {"project": folder / "project", "inputs": folder / "input", "working": folder / "working"}
    return Session(**roots, **{"competition": "words", "run": "ensemble", "internet": False, **changes})


def wheel(folder: Path, name: str, version: str) -> Path:
    """Make an installable package without content."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def attach(folder: Path, files: dict[str, str], python: str = HERE) -> None:
    """Write the manifest of a dataset; `files` gives the place in the project by name."""
    entries = [{"name": name, "place": place, "sha256": sha256_of(folder / name)} for name, place in files.items()]
    write_json(folder / "manifest.json", {"python": python, "files": entries})


@pytest.mark.parametrize("place", ["words", "competitions/words"])
@pytest.mark.parametrize("content", ["train.7z", "train/audio/yes/a.wav"])
def test_the_competition_is_found_wherever_and_however_it_is_mounted(place, content, session, capsys):
    folder = session.inputs / place
    (folder / content).parent.mkdir(parents=True)
    (folder / content).write_bytes(b"")
    assert session.find_data() == folder
    text = (session.project / "params.yaml").read_text()
    assert text == f'download:\n  source: archives\n  folder: "{folder}"\n'
    assert f"Data: {folder}: train" in capsys.readouterr().out


def test_a_competition_that_is_not_attached_is_told_with_what_there_is(session):
    (session.inputs / "datasets/other").mkdir(parents=True)
    (session.inputs / "words").mkdir()  # there, but the rules are not accepted
    with pytest.raises(PipelineError) as caught:
        session.find_data()
    text = str(caught.value)
    assert str(session.inputs / "competitions/words") in text
    assert "There is: datasets/other" in text
    assert "accept its rules" in text


def test_requirements_are_those_of_this_machine():
    text = """
# torch stays
PyYAML==6.0.3  # why

dvc==3.67.1
here==1.0; sys_platform != "nowhere"
there==1.0; sys_platform == "nowhere"
"""
    assert requirements(text) == {"pyyaml": "6.0.3", "dvc": "3.67.1", "here": "1.0"}


def test_nothing_is_installed_where_all_is_there(session, capsys, monkeypatch):
    monkeypatch.setattr(Session, "_show", lambda *arguments: pytest.fail("pip was called"))
    found = kernel_session._installed("pytest")
    (session.project / "requirements.txt").write_text(f"pytest=={found}\n")
    session.install()
    assert "all here" in capsys.readouterr().out


def test_kept_packages_may_have_any_version_and_others_not(tmp_path, session):
    (session.project / "requirements.txt").write_text("pytest==0.1\nruff==0.1\nno-such-package==1.0\n")
    assert started(tmp_path, keep=("pytest",))._missing() == ["ruff==0.1", "no-such-package==1.0"]


def test_a_build_for_another_gpu_is_the_same_version(session, monkeypatch):
    monkeypatch.setattr(kernel_session, "_installed", lambda name: "2.13.0+cu130")
    (session.project / "requirements.txt").write_text("torch==2.13.0\n")
    assert session._missing() == []


def test_wheels_and_checkpoints_come_from_the_dataset_without_internet(tmp_path, session, monkeypatch, capfd):
    offline, site = session.inputs / "datasets/me/offline-words", tmp_path / "site"
    names = [wheel(offline, "kernel_test_wheel", "1.2").name]
    (offline / "someone--ast--config.json").write_text("{}")
    attach(offline, {names[0]: "", "someone--ast--config.json": "data/checkpoints/someone--ast/config.json"})
    (session.project / "requirements.txt").write_text("kernel-test-wheel==1.2\n")
    # Not into the environment of the tests.
    monkeypatch.setenv("PIP_TARGET", str(site))
    monkeypatch.syspath_prepend(str(site))
    started(tmp_path, dataset="me/offline-words").install()
    assert (site / "kernel_test_wheel-1.2.dist-info").is_dir()
    assert (session.project / "data/checkpoints/someone--ast/config.json").read_text() == "{}"
    assert "Requirements to install: kernel-test-wheel==1.2" in capfd.readouterr().out


def test_a_package_that_is_not_in_the_dataset_is_told_in_pips_words(tmp_path, session):
    offline = session.inputs / "offline-words"
    attach(offline, {wheel(offline, "other", "1.0").name: ""})
    (session.project / "requirements.txt").write_text("kernel-test-wheel==1.2\n")
    with pytest.raises(PipelineError, match=r"(?s)Installing .* failed with exit status 1.*No matching distribution"):
        started(tmp_path, dataset="me/offline-words").install()


def test_without_internet_and_dataset_it_says_how_to_get_either(session):
    (session.project / "requirements.txt").write_text("kernel-test-wheel==1.2\n")
    with pytest.raises(PipelineError, match=r"kernel\.internet: true .* kernel dataset"):
        session.install()


def test_wheels_for_another_python_are_told(tmp_path, session):
    offline = session.inputs / "offline-words"
    attach(offline, {wheel(offline, "other", "1.0").name: ""}, python="3.99")
    (session.project / "requirements.txt").write_text("other==1.0\n")
    with pytest.raises(PipelineError, match=rf"for Python 3\.99; this is Python {HERE}"):
        started(tmp_path, dataset="me/offline-words").install()


def test_a_dataset_that_is_absent_or_damaged_is_told(tmp_path, session):
    with pytest.raises(PipelineError, match=r"(?s)'me/offline-words' is neither in .*pipeline kernel dataset"):
        started(tmp_path, dataset="me/offline-words").install()
    offline = session.inputs / "offline-words"
    path = wheel(offline, "other", "1.0")
    attach(offline, {path.name: ""})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PipelineError, match=r"other-1.0-py3-none-any\.whl is missing or not what was uploaded"):
        started(tmp_path, dataset="me/offline-words").install()


def test_a_dataset_cannot_write_outside_the_project(tmp_path, session):
    offline = session.inputs / "offline-words"
    attach(offline, {wheel(offline, "other", "1.0").name: "../working/submission.csv"})
    with pytest.raises(PipelineError, match="leads out of"):
        started(tmp_path, dataset="me/offline-words").install()
    assert list(session.working.iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", ".."])
def test_names_that_lead_out_are_refused(name, tmp_path):
    with pytest.raises(PipelineError, match="leads out of"):
        inside(tmp_path, name)


def test_a_command_that_fails_is_an_error_with_the_end_of_its_output(session, capsys):
    program = "print(*range(100), sep='\\n'); print('the reason'); raise SystemExit(3)"
    with pytest.raises(PipelineError) as caught:
        session._show([sys.executable, "-c", program], "It")
    assert str(caught.value).startswith("It failed with exit status 3.")
    assert str(caught.value).endswith("99\nthe reason")
    assert "\n1\n" not in str(caught.value)
    assert "0\n1\n2\n" in capsys.readouterr().out


def test_commands_run_in_the_project_with_this_python_and_a_display_for_files(session, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    program = "import os, json; print(json.dumps([os.getcwd(), dict(os.environ)]))"
    session._show([sys.executable, "-c", program], "It")
    folder, environment = json.loads(capsys.readouterr().out)
    assert folder == str(session.project)
    assert environment["MPLBACKEND"] == "Agg"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_output_is_shown_while_the_command_runs():
    program = "import time; print('first', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert next(legible(process.stdout)) == "first"
        process.kill()


def test_progress_bars_are_thinned_out_to_their_states(monkeypatch):
    text = b"start\r\n" + b"".join(b"\r%d%%" % share for share in range(1, 101)) + b"\nbye"
    stream = io.BufferedReader(io.BytesIO(text), 16)
    assert list(legible(stream)) == ["start", "100%", "bye"]
    monkeypatch.setattr(kernel_session, "_PROGRESS_EVERY_S", -1)
    states = list(legible(Pieces(b"start\r\n", b"\r1%\r2%", b"\r3%", b"\r4%\nbye")))
    assert states == ["start", "1%", "2%", "4%", "bye"]


class Pieces:
    """A pipe out of which one piece comes at a time."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read1(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def finished(session, *runs):
    for run in runs:
        folder = session.project / "submissions" / run
        folder.mkdir(parents=True)
        for name in ("submission.csv", "metrics.json", "confusion.csv", "confusion.png"):
            (folder / name).write_text(f"{name} of {run}")
    (session.project / "artifacts/prepare").mkdir(parents=True)
    (session.project / "artifacts/prepare/sample.csv").write_text("fname\n")
    (session.project / "dvc.lock").write_text("schema: '2.0'\n")


def test_results_are_left_with_their_checksums(tmp_path, session):
    finished(session, "ast", "ensemble")
    (session.project / "submissions/ledger.csv").write_text("time\n")
    folders = started(tmp_path, run="ast").publish()
    assert folders == {run: session.working / "runs" / run for run in ("ast", "ensemble")}
    assert (session.working / "submission.csv").read_text() == "submission.csv of ast"
    assert (session.working / "ledger.csv").exists()
    written = {
        path.relative_to(session.working).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in session.working.rglob("*")
        if path.is_file()
    }
    results = json.loads((session.working / "results.json").read_text())
    assert results.pop("run") == "ast"
    del written["results.json"]
    assert results == {"sha256": written}
    assert written["params.yaml"] == sha256((session.project / "params.yaml").read_bytes()).hexdigest()
    assert len(written) == 13


def test_the_chosen_run_must_have_a_submission(session):
    finished(session, "ast")
    with pytest.raises(PipelineError, match=r"no submission of 'ensemble' .* only of: ast"):
        session.publish()
