"""The real client against a server that speaks its protocol."""

import base64
import json

import pytest

from pipeline.delivery import kaggle_client
from pipeline.delivery.competition import Competition, Limits, Submission, five
from pipeline.delivery.kaggle_client import Patience
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.errors import PipelineError
from tests.delivery.entrant import QUICK
from tests.delivery.kaggle_server import COMPETITION, TOKEN, Fault


@pytest.fixture
def competition(entrant, monkeypatch):
    entrant.move_in(monkeypatch)
    return Competition(COMPETITION, Patience(**QUICK))


def test_lists_have_all_their_pages(competition, server):
    server.page_size = 2
    server.files = {f"{number}.7z": b"x" * number for number in range(5)}
    server.leaderboard = ["0.9", "0.8", "nan", "0.7", ""]
    server.submissions = [{"ref": ref, "status": "COMPLETE", "publicScore": "0.5"} for ref in range(1, 6)]
    assert competition.files() == {f"{number}.7z": number for number in range(5)}
    assert competition.leaderboard() == [0.9, 0.8, 0.7]
    assert [one.ref for one in competition.submissions()] == ["5", "4", "3", "2", "1"]


def test_a_submission_as_kaggle_tells_it(competition, server):
    server.submissions.append(
        {
            "ref": 7,
            "date": "2026-11-20T10:20:30.123Z",
            "description": "x",
            "fileName": "a.csv",
            "status": "ERROR",
            "errorDescription": "no rows",
        }
    )
    time = "2026-11-20T10:20:30+00:00"
    assert competition.submissions() == [Submission("7", time, "x", "a.csv", "error", "", "", "no rows")]


def test_limits(competition, server):
    server.made_before = 3
    assert competition.limits() == Limits(3, 3, 2, False)
    server.rules_accepted = False
    assert competition.limits().is_outsider


@pytest.mark.parametrize(
    ("given", "told"), [("0.5", "0.50000"), ("0.857271", "0.85727"), ("", ""), ("../x", ""), ("inf", "")]
)
def test_scores_have_five_decimals(given, told):
    assert five(given) == told


def test_every_connection_has_a_limit(competition, server, entrant, monkeypatch):
    slow = Competition(COMPETITION, Patience(call_s=0.2, attempts=1))
    for step, ask in {
        "ListDataFiles": slow.files,
        "GetSubmissionLimits": slow.limits,
        "ListSubmissions": slow.submissions,
        "GetLeaderboard": slow.leaderboard,
        "DownloadDataFile": slow.ask_for_a_file,
    }.items():
        server.plan(step, Fault(hang=True))
        with pytest.raises(KaggleError, match="did not answer in time"):
            ask()


def test_a_hanging_log_in_is_given_up(entrant, server, monkeypatch):
    entrant.credentials = server.token()
    entrant.move_in(monkeypatch)
    server.plan("IntrospectToken", Fault(hang=True))
    with pytest.raises(KaggleError, match="did not answer in time to log in"):
        kaggle_client.connect(Patience(call_s=0.2, attempts=1))


def test_a_log_in_is_tried_again(entrant, server, monkeypatch):
    entrant.credentials = server.token()
    entrant.move_in(monkeypatch)
    server.plan("IntrospectToken", Fault(status=503), Fault(lost_reply=True))
    api = kaggle_client.connect(Patience(**QUICK))
    assert api.config_values["token"] == TOKEN


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_refused_token_is_named(entrant, server, monkeypatch, status):
    entrant.credentials = {"KAGGLE_API_TOKEN": "wrong-token"}
    entrant.move_in(monkeypatch)
    if status != 200:
        server.plan("IntrospectToken", Fault(status=status))
    with pytest.raises(PipelineError, match="does not accept the token in the variable KAGGLE_API_TOKEN") as error:
        kaggle_client.connect(Patience(**QUICK))
    assert "wrong-token" not in str(error.value)


@pytest.mark.parametrize("name", ["KAGGLE_API_TOKEN", "KAGGLE_KEY"])
def test_space_around_a_credential_does_no_harm(entrant, server, name):
    """As `$(cat token)` in a file of variables leaves it."""
    right = server.token() if name == "KAGGLE_API_TOKEN" else server.key()
    entrant.credentials = {**right, name: f" {right[name]}\r\n"}
    status, output = entrant.run("kaggle", "check")
    assert status == 0, output
    assert "they work" in output


@pytest.mark.parametrize("name", ["KAGGLE_API_TOKEN", "KAGGLE_KEY"])
def test_a_credential_in_typographic_quotes_is_named_and_not_shown(entrant, server, name):
    entrant.credentials = {**server.key(), name: f"\u201c{TOKEN}\u201d"}
    status, output = entrant.run("kaggle", "check")
    assert status == 1
    assert output.startswith("error: The ")
    assert name in output
    assert "holds characters that no token has" in output
    assert TOKEN not in output
    assert server.requests == []


def test_a_home_that_cannot_be_written(entrant):
    """The client makes a folder in the home as soon as it is imported."""
    (entrant.home / ".config").write_text("a file")
    status, output = entrant.run("kaggle", "check")
    assert status == 1
    assert "failed to log in (" in output
    assert "Check that the home folder (or KAGGLE_CONFIG_DIR)" in output
    assert "Traceback" not in output


def test_the_upload_sends_the_file_and_no_credentials(competition, server, entrant):
    (entrant.home / ".netrc").write_text("machine localhost login me password planted-password")
    path = entrant.layout.submission("ast") / "submission.csv"
    token = competition.upload(path)
    assert server.blobs[token] == path.read_bytes()
    (put,) = server.asked("PUT")
    assert "Authorization" not in put.headers
    (start,) = server.asked("StartSubmissionUpload")
    assert start.body["contentLength"] == path.stat().st_size
    assert server.submissions == []


def test_the_clients_own_downloads_send_the_storage_nothing_of_netrc(entrant, server, tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(entrant.home / ".netrc"))
    (entrant.home / ".netrc").write_text("default login me password planted-password\n")
    (entrant.home / ".netrc").chmod(0o600)
    entrant.move_in(monkeypatch)
    server.files["test.7z"] = bytes(3 << 20)
    server.plan("GET", Fault(cut_bytes=(1 << 20) + 1_000))
    Competition(COMPETITION, Patience(**QUICK)).download(["test.7z"], tmp_path)
    code = base64.b64encode(b"me:planted-password").decode()
    assert len(server.asked("GET")) > 1
    assert code not in str([request.headers for request in server.requests])


def test_a_creation_is_tried_once(competition, server, entrant):
    server.plan("CreateSubmission", Fault(status=503))
    token = competition.upload(entrant.layout.submission("ast") / "submission.csv")
    with pytest.raises(KaggleError) as error:
        competition.create(token, "x")
    assert not error.value.refused
    assert len(server.asked("CreateSubmission")) == 1
    assert competition.create(token, "x") == "50000001"


def test_a_creation_without_a_reference_is_not_taken_for_one(competition, server):
    server.routes["competitions.CompetitionApiService/CreateSubmission"] = lambda body, headers: (
        200,
        {"message": "Could not submit to competition"},
    )
    with pytest.raises(KaggleError, match="made no submission: Could not submit"):
        competition.create("token", "x")


def test_a_download_goes_on_after_a_drop(competition, server, tmp_path):
    data = bytes(range(256)) * 12_000  # 3 MB; the client keeps whole MiB
    server.files["test.7z"] = data
    server.plan("GET", Fault(cut_bytes=(1 << 20) + 1_000), Fault(status=503), Fault(cut_bytes=1_000))
    competition.download(["test.7z"], tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["test.7z"]
    assert (tmp_path / "data" / "test.7z").read_bytes() == data
    # Whether more than one whole MiB had arrived, the client decides.
    assert any(request.headers.get("Range") == f"bytes={1 << 20}-" for request in server.asked("GET"))


def test_a_stalled_download_is_taken_up_again(entrant, server, monkeypatch, tmp_path):
    entrant.move_in(monkeypatch)
    competition = Competition(COMPETITION, Patience(**{**QUICK, "call_s": 0.4, "stall_s": 0.4}))
    server.files["test.7z"] = bytes(3 << 20)
    server.plan("GET", Fault(cut_bytes=1 << 20, stall=True))
    competition.download(["test.7z"], tmp_path)
    assert (tmp_path / "test.7z").stat().st_size == 3 << 20


def test_a_download_that_is_over_names_the_other_way(entrant, server, monkeypatch, tmp_path):
    entrant.move_in(monkeypatch)
    competition = Competition(COMPETITION, Patience(**{**QUICK, "attempts": 2}))
    server.plan("DownloadDataFile", *[Fault(status=503)] * 2)
    with pytest.raises(PipelineError, match=f"503(.|\n)*by hand from https://www.kaggle.com/c/{COMPETITION}/data into"):
        competition.download(list(server.files), tmp_path)


def test_the_marker_of_a_partial_file_is_the_clients_own(competition, server, tmp_path):
    server.files["train.7z"] = b"1" * 5_000
    (tmp_path / "train.7z").write_bytes(b"1" * 100)
    (tmp_path / "train.7z.kaggle-partial").write_text(json.dumps({"validator": '"v1"', "size": 5_000}))
    competition.download(["train.7z"], tmp_path)
    assert server.asked("GET")[-1].headers["Range"] == "bytes=100-"
