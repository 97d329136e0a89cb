"""What a project gives to its remote and takes from it, and what it says when that fails."""

import errno
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.errors import PipelineError
from pipeline.fleet.project import Project
from tests.fleet import small_project


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    root = small_project.make(tmp_path)
    monkeypatch.chdir(root)
    return root


def set_remote(url, name="storage"):
    with Repo() as repo, repo.config.edit() as config:
        config["core"]["remote"] = name
        config["remote"]["storage"] = {"url": url}


def test_the_graph_tells_what_each_stage_needs_and_calls():
    project = Project(Path(), None, 0)
    assert project.graph()["predict@a"] == {"train@a-0"}
    assert project.graph()["train@b-0"] == {"prepare"}
    assert project.verbs()["train@b-0"] == "train"
    assert project.changed(["prepare", "train@a-0"]) == ["prepare", "train@a-0"]


def test_a_working_copy_has_what_no_stage_makes_and_no_other_file(root):
    (root / "artifacts").mkdir()
    (root / "artifacts" / "prepare").write_text("made by a stage")
    (root / "notes.txt").write_text("read by no stage")
    (root / "pipeline" / "__pycache__").mkdir()
    (root / "pipeline" / "__pycache__" / "x.pyc").write_text("")
    (root / ".dvc" / "config.local").write_text("")
    names = list(Project(Path(), None, 0).packed())
    assert {name for name in names if not name.startswith("pipeline/")} == {
        *(".dvc/config", ".dvcignore", "dvc.yaml", "params.yaml")
    }
    assert "pipeline/fleet/worker.py" in names
    assert not [name for name in names if "__pycache__" in name]


def test_without_a_remote_it_says_how_to_add_one():
    set_remote("/tmp/somewhere", name="absent")
    with pytest.raises(PipelineError, match=r"none called 'absent'\. Remotes: storage\.\nAdd one .* dvc remote add"):
        Project(Path(), None, 0)
    with pytest.raises(PipelineError, match="none called 'other'"):
        Project(Path(), "other", 0)


def test_a_folder_beside_the_project_is_the_same_folder_from_a_copy_elsewhere(root):
    set_remote("../beside")
    assert Path(Project(Path(), None, 0).remote_url) == root.parent / "beside"


def test_a_remote_without_a_run_cache_is_refused():
    set_remote("http://127.0.0.1:1/storage")
    with pytest.raises(PipelineError, match="speaks HTTP, over which DVC keeps no run cache"):
        Project(Path(), None, 0).check_remote()


class Unavailable(BaseHTTPRequestHandler):
    def send(self):
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def __getattr__(self, name):
        return self.send if name.startswith("do_") else super().__getattribute__(name)

    def log_message(self, *_):
        pass


def test_a_remote_that_answers_503_is_told_with_what_was_asked_of_it(root):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unavailable)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    set_remote(f"http://127.0.0.1:{server.server_port}/storage")
    project = Project(Path(), None, 0)
    project.run("prepare")
    with pytest.raises(PipelineError, match=r"'storage' does not take what is done, asked from (.|\n)*503"):
        project.give(["prepare"])
    (root / "artifacts" / "prepare").unlink()
    project.repo.cache.local.clear()
    # Over HTTP, DVC takes this answer for "not there".
    with pytest.raises(PipelineError, match=r"'storage' does not give the inputs of train@a-0(.|\n)*Missing"):
        project.bring_inputs("train@a-0")
    server.shutdown()
    server.server_close()


def test_what_the_remote_has_is_taken_and_what_it_has_not_is_not(root):
    project = Project(Path(), None, 0)
    project.check_remote()
    assert not project.take("prepare")
    project.run("prepare")
    project.give(["prepare"])
    (root / "dvc.lock").unlink()
    (root / "artifacts" / "prepare").unlink()
    project.repo.cache.local.clear()
    Path(project.repo.cache.legacy.path, "runs").rename(root / "elsewhere")
    assert project.take("prepare")
    assert (root / "artifacts" / "prepare").read_text() == "prepare 1"
    assert project.changed(["prepare"]) == []
    assert not project.take("train@a-0")


def test_a_full_disk_is_not_waited_for():
    def fill(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Project(Path(), None, 60)._patiently("give", fill)


def test_a_remote_is_asked_again_for_a_while(capsys):
    answers = iter([ConnectionError("503"), "there"])

    def ask(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Project(Path(), None, 60)._patiently("answer", ask) == "there"
    assert capsys.readouterr().out == "The remote 'storage' does not answer, and is asked again: 503\n"
