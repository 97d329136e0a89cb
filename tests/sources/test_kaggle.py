"""The source `kaggle` through the real client, against a server that speaks its protocol."""

import json
import signal
import time

import py7zr
import pytest
import yaml

from pipeline.clips.recording import Recording
from pipeline.errors import PipelineError
from pipeline.files import read_json
from pipeline.sources import kaggle as source
from pipeline.sources.kaggle import Params, answers, fetch, read, sample
from tests.delivery.entrant import QUICK
from tests.delivery.kaggle_server import COMPETITION, KEY, Fault, KaggleServer, too_many, wait_until

CONTENTS = {
    "train.7z": {"train/audio/yes/0a_nohash_0.wav": b"1" * 1_000},
    "test.7z": {"test/audio/clip_a.wav": b"2" * 1_000},
    "sample_submission.7z": {"sample_submission.csv": b"fname,label\nclip_a.wav,silence\n"},
}
NAMES = list(CONTENTS)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    packed = tmp_path_factory.mktemp("packed")
    for name, files in CONTENTS.items():
        with py7zr.SevenZipFile(packed / name, "w") as file:
            for member, data in files.items():
                file.writestr(data, member)
    return {name: (packed / name).read_bytes() for name in NAMES}


@pytest.fixture
def server(archives):
    with KaggleServer(dict(archives)) as server:
        server.page_size = 2
        yield server


@pytest.fixture
def folder(entrant, monkeypatch):
    entrant.move_in(monkeypatch)
    folder = entrant.root / "data"
    folder.mkdir()
    return folder


def fetch_here(folder, **patience):
    return fetch(Params(folder=folder, patience={**QUICK, **patience}), seed=0)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


def test_the_stage_downloads_all(entrant, server):
    download = {"source": "kaggle", "folder": "data/kaggle"}
    entrant.layout.params.write_text(yaml.safe_dump({"seed": 1, "download": download}))
    status, output = entrant.run("download")
    assert status == 0, output
    assert content(entrant.root / "data" / "kaggle") == server.files
    assert [file["role"] for file in read_json(entrant.layout.manifest)["files"]] == ["train", "test", "sample"]
    assert KEY not in output


def test_what_is_missing_partial_or_corrupt_is_fetched(folder, server, monkeypatch):
    train, test = server.files["train.7z"], server.files["test.7z"]
    # A partial file with the client's own marker, and a file of the right size with a flipped byte.
    (folder / "train.7z").write_bytes(train[:100])
    (folder / "train.7z.kaggle-partial").write_text(json.dumps({"validator": '"v1"', "size": len(train)}))
    (folder / "test.7z").write_bytes(flipped(test))

    files = fetch_here(folder)

    assert [(file.role, file.bytes) for file in files] == [
        (role, len(server.files[name])) for role, name in zip(("train", "test", "sample"), NAMES, strict=True)
    ]
    assert content(folder) == server.files
    assert "bytes=100-" in [request.headers.get("Range") for request in server.asked("GET")]

    # Now that all is there, neither network nor credentials are needed, nor the client at all.
    monkeypatch.setattr(source, "Competition", None)
    assert fetch_here(folder) == files
    assert list(read(files)) == [
        Recording("train", "yes/0a_nohash_0.wav", b"1" * 1_000, "yes", "0a"),
        Recording("test", "clip_a.wav", b"2" * 1_000),
    ]
    assert sample(files) == ["clip_a.wav"]
    assert answers(files) is None


PASSING = {
    "dropped": Fault(cut_bytes=50),
    "dropped at once": Fault(cut_bytes=0),
    "stalled": Fault(cut_bytes=50, stall=True),
    "storage down": Fault(status=503),
    "too many": too_many("0.1"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again(folder, server, fault):
    server.plan("GET", Fault(), PASSING[fault], PASSING[fault])  # the first is the check of the rules
    fetch_here(folder, call_s=0.4, stall_s=0.4)
    assert content(folder) == server.files
    assert len(server.asked("GET")) == 1 + 3 + 2


@pytest.mark.parametrize("step", ["ListDataFiles", "DownloadDataFile", "GetSubmissionLimits"])
@pytest.mark.parametrize(
    "fault", [too_many("0.1"), Fault(hang=True), Fault(lost_reply=True)], ids=["429", "slow", "lost"]
)
def test_calls_are_tried_again(folder, server, step, fault):
    server.plan(step, fault)
    fetch_here(folder, call_s=0.4)
    assert content(folder) == server.files


def test_a_server_that_stays_slow_is_given_up(folder, server):
    server.plan("DownloadDataFile", Fault(), *[Fault(hang=True)] * 2)
    with pytest.raises(PipelineError, match=r"did not answer in time to download train\.7z(.|\n)*by hand from"):
        fetch_here(folder, call_s=0.2, attempts=2)


def test_an_interrupted_download_goes_on_in_the_next_run(folder, server):
    server.files["train.7z"] += bytes(2 << 20)  # the client keeps whole MiB, and 7z does not mind
    server.plan("GET", Fault(), Fault(cut_bytes=(1 << 20) + 50))
    with pytest.raises(PipelineError, match=r"to download train\.7z"):
        fetch_here(folder, attempts=1)
    assert (folder / "train.7z.kaggle-partial").exists()
    fetch_here(folder)
    assert content(folder) == server.files
    assert f"bytes={1 << 20}-" in [request.headers.get("Range") for request in server.asked("GET")]


def test_corrupt_at_kaggle_too(folder, server):
    server.files["test.7z"] = flipped(server.files["test.7z"])
    with pytest.raises(PipelineError, match=r"test\.7z is damaged or incomplete"):
        fetch_here(folder)
    assert [request.path for request in server.asked("GET")].count("/storage/files/test.7z") == 1 + 2


def test_other_files_in_the_competition(folder, server):
    server.files["train.zip"] = server.files.pop("train.7z")
    with pytest.raises(
        PipelineError, match=r"has no file train\.7z; it has: sample_submission\.7z, test\.7z, train\.zip"
    ):
        fetch_here(folder)


def test_refusals_come_before_any_download(folder, server, monkeypatch):
    server.rules_accepted = False
    with pytest.raises(
        PipelineError, match=rf"403: You must accept(.|\n)*https://www\.kaggle\.com/c/{COMPETITION}/rules"
    ):
        fetch_here(folder)
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    with pytest.raises(PipelineError, match="does not accept the key in the variables"):
        fetch_here(folder)
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(PipelineError, match=r"no Kaggle credentials(.|\n)*profiles/speech-commands\.yaml"):
        fetch_here(folder)
    assert content(folder) == {}


def test_no_network(folder, server):
    server.close()
    with pytest.raises(PipelineError, match=r"Kaggle cannot be reached(.|\n)*Check the network"):
        fetch_here(folder, attempts=1)


def test_two_downloads_at_once_both_succeed_and_the_second_says_for_whom_it_waits(entrant, server):
    server.files["train.7z"] += bytes(2 << 20)
    server.step_s = 0.2
    download = {"source": "kaggle", "folder": "data/kaggle", "patience": QUICK}
    entrant.layout.params.write_text(yaml.safe_dump({"seed": 1, "download": download}))
    server.plan("GET", Fault(), Fault(), Fault(wait_s=2.0))  # the first of each is the check of the rules
    processes = [entrant.start("download") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert content(entrant.root / "data" / "kaggle") == server.files
    waiting = [output for output in outputs if "Another download into data/kaggle is going on (process" in output]
    assert waiting, outputs
    assert str(processes[0].pid) in waiting[0] or str(processes[1].pid) in waiting[0]
    assert all("have room" not in output for output in outputs)


def test_ctrl_c_says_that_it_goes_on(entrant, server):
    download = {"source": "kaggle", "folder": "data/kaggle", "patience": {**QUICK, "call_s": 30.0, "stall_s": 30.0}}
    entrant.layout.params.write_text(yaml.safe_dump({"seed": 1, "download": download}))
    server.plan("GET", Fault(), Fault(cut_bytes=50, stall=True))
    process = entrant.start("download")
    wait_until(lambda: len(server.asked("GET")) == 2)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "Interrupted. What has arrived stays in data/kaggle; the same command goes on from there." in output
    assert "Traceback" not in output
