"""Kernels, through the real client, against a server that speaks its protocol."""

import json
import time
from pathlib import Path

import pytest

from pipeline.delivery import bundle, kernel
from pipeline.delivery.kaggle_client import Patience
from pipeline.errors import PipelineError
from tests.delivery.entrant import QUICK
from tests.delivery.kaggle_server import KEY, USERNAME, Fault
from tests.delivery.kernel_service import KERNEL as NAME
from tests.delivery.kernel_service import Kernels

PATIENCE = Patience(**QUICK)


@pytest.fixture
def kernels(here, server):
    """The service, to whose server this process now talks."""
    return Kernels(server)


@pytest.fixture
def built(tmp_path):
    template = tmp_path / "template.ipynb"
    cells = [
        {"id": name, "cell_type": "code", "metadata": {}, "source": [], "outputs": [], "execution_count": None}
        for name in ("settings", "payload")
    ]
    template.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    folder = tmp_path / "built"
    made = bundle.notebook(template, {"params.yaml": "seed: 1\n"}, {"competition": "words"})
    options = {"competition": "words", "dataset": f"{USERNAME}/offline-words", "private": True}
    bundle.write(folder, made, bundle.metadata(NAME, "Small words", accelerator="GpuOne", internet=False, **options))
    return folder


def test_push_sends_the_notebook_and_its_sources(kernels, built):
    pushed = kernel.push(built, NAME, PATIENCE)
    assert pushed == kernel.Pushed(f"https://www.kaggle.com/code/{NAME}", 1)
    (sent,) = kernels.saved
    assert (sent["slug"], sent["newTitle"]) == (NAME, "Small words")
    assert (sent["language"], sent["kernelType"]) == ("python", "notebook")
    assert (sent["isPrivate"], sent["enableGpu"], sent["enableInternet"]) == (True, True, False)
    assert sent["machineShape"] == "GpuOne"
    assert sent["competitionDataSources"] == ["words"]
    assert sent["datasetDataSources"] == [f"{USERNAME}/offline-words"]
    assert "PAYLOAD" in json.loads(sent["text"])["cells"][1]["source"]


def test_an_error_in_the_answer_is_a_failure(kernels, built):
    kernels.answer = {"error": "Notebook not found", "url": "", "versionNumber": 0}
    with pytest.raises(PipelineError, match=r"did not take the kernel .*Notebook not found\nCheck kernel\.user"):
        kernel.push(built, NAME, PATIENCE)


@pytest.mark.parametrize(
    ("field", "line"),
    [("invalidCompetitionSources", "competition: words"), ("invalidDatasetSources", "dataset: words")],
)
def test_a_source_that_was_left_out_is_a_failure(field, line, kernels, built):
    kernels.answer = {field: ["words"]}
    with pytest.raises(PipelineError, match=f"(?s)took version 1 .* without these sources.*{line}.*rules.*push again"):
        kernel.push(built, NAME, PATIENCE)


@pytest.mark.parametrize(
    ("fault", "message", "saved"),
    [
        (Fault(status=403, message="denied"), r"refused to push .*\(403\)[\s\S]*kernel\.user", 0),
        (Fault(status=429, headers={"Retry-After": "7"}), r"429[\s\S]*Wait 7 s", 0),
        (Fault(status=503), r"503[\s\S]*may have been saved all the same: look at", 0),
        (Fault(lost_reply=True), r"may have been saved all the same: look at https://www\.kaggle\.com/code/", 1),
    ],
)
def test_a_push_that_fails_is_told_and_never_repeated(fault, message, saved, kernels, server, built):
    server.plan("SaveKernel", fault)
    with pytest.raises(PipelineError, match=message) as caught:
        kernel.push(built, NAME, PATIENCE)
    assert KEY not in str(caught.value)
    assert len(server.asked("SaveKernel")) == 1
    assert len(kernels.saved) == saved


def test_a_push_without_an_answer_ends(kernels, server, built):
    server.plan("SaveKernel", Fault(hang=True))
    started = time.monotonic()
    with pytest.raises(PipelineError, match=r"(?s)did not answer.*may have been saved"):
        kernel.push(built, NAME, Patience(**{**QUICK, "call_s": 0.5}))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "name", ["QUEUED", "RUNNING", "COMPLETE", "ERROR", "CANCEL_REQUESTED", "CANCEL_ACKNOWLEDGED", "NEW_SCRIPT"]
)
def test_every_state_of_the_client_is_known(name, kernels):
    kernels.states = [{"status": name, "failureMessage": "out of memory" if name == "ERROR" else ""}]
    state = kernel.status(NAME, PATIENCE)
    assert state == kernel.State(name, "out of memory" if name == "ERROR" else "")
    assert state.is_over == (name not in ("QUEUED", "RUNNING", "NEW_SCRIPT"))
    assert f"kernel {NAME}" in kernel.explained(state, NAME)
    assert "python -m pipeline kernel" in kernel.explained(state, NAME)


def test_a_kernel_that_is_not_there(kernels):
    with pytest.raises(PipelineError, match=r"(?s)\(403\).*appears with the first: python -m pipeline kernel push"):
        kernel.status(f"{USERNAME}/other-words", PATIENCE)


def test_waiting_tells_each_state_once_and_survives_a_busy_server(kernels, server):
    kernels.states = [{"status": name} for name in ("QUEUED", "QUEUED", "RUNNING", "RUNNING", "COMPLETE")]
    server.plan("GetKernelSessionStatus", Fault(), Fault(status=503), Fault(status=429, headers={"Retry-After": "0.1"}))
    told = []
    state = kernel.wait(NAME, PATIENCE, 0.01, 30, told.append)
    assert [one.name for one in told] == ["QUEUED", "RUNNING", "COMPLETE"]
    assert state.name == "COMPLETE"


def test_waiting_ends_at_its_limit(kernels):
    kernels.states = [{"status": "RUNNING"}]
    with pytest.raises(PipelineError, match=r"(?s)still RUNNING\. It goes on; ask again"):
        kernel.wait(NAME, PATIENCE, 0.05, 0.2, lambda state: None)


def test_the_output_is_fetched_whole_in_the_place_of_an_older_one(kernels, server, tmp_path):
    kernels.leave(**{"ledger.csv": b"", "dvc.lock": b"x" * 3_000_000})
    kernels.log = "all is well"
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "stale.csv").write_text("of another version")
    server.plan("GET", Fault(status=503), Fault(cut_bytes=3))
    assert kernel.pull(NAME, folder, PATIENCE) == ("ensemble", sorted(kernels.output))
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {**kernels.output, "kernel.log": b"all is well"}
    assert all("Authorization" not in request.headers for request in server.asked("GET"))


def test_the_storage_is_sent_no_credentials_of_another_host(kernels, server, tmp_path):
    netrc = Path.home() / ".netrc"
    netrc.write_text("default login me password planted-password\n")
    netrc.chmod(0o600)
    kernels.leave()
    kernel.pull(NAME, tmp_path / "output", PATIENCE)
    assert len(server.asked("GET")) == len(kernels.output)
    assert all("Authorization" not in request.headers for request in server.asked("GET"))


@pytest.mark.parametrize("name", ["../escaped.csv", "/tmp/kernel-escaped.csv", "runs/../../escaped.csv"])
def test_a_name_that_leads_out_is_refused_before_anything_is_fetched(name, kernels, server, tmp_path):
    kernels.leave(**{name: b"owned"})
    with pytest.raises(PipelineError, match="leads out of"):
        kernel.pull(NAME, tmp_path / "output", PATIENCE)
    assert server.asked("GET") == []
    assert not (tmp_path / "output").exists()
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_file_that_arrives_changed_is_refused_and_the_old_output_stays(kernels, tmp_path):
    kernels.leave()
    kernels.output["submission.csv"] = b"fname,label\na.wav,no\n"
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "submission.csv").write_text("the last one")
    with pytest.raises(PipelineError, match=r"submission\.csv of .* not the one that the kernel wrote"):
        kernel.pull(NAME, folder, PATIENCE)
    assert [path.name for path in tmp_path.iterdir() if "output" in path.name] == ["output"]
    assert (folder / "submission.csv").read_text() == "the last one"


def test_a_file_that_is_gone_is_told_without_its_signed_address(kernels, server, tmp_path):
    kernels.leave()
    server.plan("GET", *[Fault(status=404)] * 20)
    with pytest.raises(PipelineError, match="send the output file") as caught:
        kernel.pull(NAME, tmp_path / "output", PATIENCE)
    assert "planted" not in str(caught.value)


def test_the_output_of_another_notebook_is_refused(kernels, tmp_path):
    kernels.output = {"submission.csv": b"fname,label\n"}
    with pytest.raises(PipelineError, match=r"has no results\.json"):
        kernel.pull(NAME, tmp_path / "output", PATIENCE)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"status": "RUNNING"}, "has not ended: RUNNING"),
        ({"status": "ERROR", "failureMessage": "no disk left"}, "failed: no disk left"),
        ({"status": "CANCEL_ACKNOWLEDGED"}, "was cancelled"),
    ],
)
def test_only_the_output_of_a_kernel_that_ended_well_is_fetched(state, message, kernels, server, tmp_path):
    kernels.leave()
    kernels.states = [state]
    with pytest.raises(PipelineError, match=message):
        kernel.pull(NAME, tmp_path / "output", PATIENCE)
    assert server.asked("GET") == []


@pytest.mark.parametrize(
    "results",
    [b"[]", b"{}", b'{"sha256": {}}', b'{"run": 7, "sha256": {}}', b'{"run": "a", "sha256": [1]}', b"{", b"\xff"],
)
def test_results_of_another_shape_are_refused(results, kernels, tmp_path):
    kernels.leave()
    kernels.output["results.json"] = results
    with pytest.raises(PipelineError, match=r"has no results\.json that names a run and its files"):
        kernel.pull(NAME, tmp_path / "output", PATIENCE)
    assert not (tmp_path / "output").exists()


def test_a_run_that_leads_out_is_refused(kernels, tmp_path):
    kernels.leave()
    kernels.output["results.json"] = b'{"run": "../../x", "sha256": {}}'
    with pytest.raises(PipelineError, match="leads out of"):
        kernel.pull(NAME, tmp_path / "output", PATIENCE)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_end_of_a_failed_kernels_log_is_told(as_json, kernels):
    lines = [f"line {number}\n" for number in range(50)] + [f"Authorization of {KEY}\n", "CUDA out of memory\n"]
    kernels.states = [{"status": "ERROR", "failureMessage": f"key {KEY} exceeded the disk"}]
    pieces = [{"stream_name": "stderr", "time": 1.0, "data": line} for line in lines]
    kernels.log = json.dumps(pieces) if as_json else "".join(lines)
    told = kernel.explained(kernel.status(NAME, PATIENCE), NAME)
    assert "failed: key *** exceeded the disk" in told
    assert "line 49\nAuthorization of ***\nCUDA out of memory\n" in told
    assert "line 9\n" not in told
    assert KEY not in told


def test_what_a_push_is_told_is_masked(kernels, built):
    kernels.answer = {"error": f"you are {KEY}"}
    with pytest.raises(PipelineError, match=r"did not take the kernel .*: you are \*\*\*"):
        kernel.push(built, NAME, PATIENCE)


def test_a_log_is_stored_masked(kernels, tmp_path):
    kernels.leave()
    kernels.log = f"token {KEY}"
    kernel.pull(NAME, tmp_path / "output", PATIENCE)
    assert (tmp_path / "output" / "kernel.log").read_text() == "token ***"
