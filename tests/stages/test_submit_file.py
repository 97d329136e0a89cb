"""`submit` of files that this project has not made, without corpus, run or params.yaml; and what it says meanwhile."""

import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import py7zr
import pytest

from pipeline.delivery import ledger
from pipeline.errors import PipelineError
from pipeline.files import sha256_of, write_json
from pipeline.scoring.provenance import NOT_OURS
from pipeline.stages import submissions, submit
from tests.delivery.entrant import CLIPS, COMMIT, PARAMS, Entrant
from tests.delivery.kaggle_server import COMPETITION, KEY, USERNAME, Fault, wait_until

SAMPLE = "fname,label\n" + "".join(f"{clip},silence\n" for clip in CLIPS)


@pytest.fixture
def stranger(entrant):
    """An entrant who has prepared nothing and lists no runs."""
    for path in entrant.layout.prepare.iterdir():
        path.unlink()
    entrant.layout.params.unlink()
    for path in entrant.layout.submission("ast").iterdir():
        path.unlink()
    return entrant


def sample(entrant, kind) -> Path:
    path = entrant.root / f"sample_submission{kind}"
    if kind == ".csv.zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("sample_submission.csv", SAMPLE)
    elif kind == ".7z":
        with py7zr.SevenZipFile(path, "w") as file:
            file.writestr(SAMPLE, "sample_submission.csv")
    else:
        path.write_text(SAMPLE)
    return path


# No corpus, no run


@pytest.mark.parametrize("kind", [".csv", ".csv.zip", ".7z"])
def test_a_file_and_a_sample_are_enough(stranger, server, kind):
    server.competition = "words"
    stranger.layout.params.write_text("submit: {competition: words}\n")
    path = stranger.write("mine/best.csv")
    given = str(sample(stranger, kind))
    status, output = stranger.run("validate", str(path), "--sample", given)
    assert status == 0, output
    assert "is valid: 60 clips" in output
    status, output = stranger.run("submit", "mine/best.csv", "--sample", given, "--wait")
    assert status == 0, output
    (made,) = server.submissions
    assert server.blobs[made["blob"]] == path.read_bytes()
    (row,) = stranger.rows
    assert (row.run, row.private, row.sha256) == ("best", "0.85727", sha256_of(path))
    assert (stranger.layout.submissions / "0.85727_best.csv").read_bytes() == path.read_bytes()


def test_without_params_the_competition_is_the_speech_one(stranger, server):
    stranger.write("best.csv")
    sample(stranger, ".csv")  # found beside the file
    status, output = stranger.run("submit", "best.csv")
    assert status == 0, output
    assert server.asked("CreateSubmission")[0].body["competitionName"] == COMPETITION


def test_a_hand_made_file_of_a_run_is_held_against_the_sample_that_is_named(stranger, server):
    stranger.configure()
    path = stranger.write("submissions/ast/submission.csv")
    for verb in (["validate", str(path)], ["submit", "ast"]):
        status, output = stranger.run(*verb)
        assert status == 1
        assert "--sample sample_submission.csv" in output
        assert "it trains all runs first" in output
    assert server.submissions == []
    sample(stranger, ".7z")
    status, output = stranger.run("submit", "ast", "--sample", "sample_submission.7z")
    assert status == 0, output
    assert stranger.rows[0].run == "ast"


def test_a_name_that_is_neither_run_nor_file(stranger):
    status, output = stranger.run("submit", "asd")
    assert status == 1
    assert output.startswith("error: There is no run 'asd', and no such file. params.yaml lists no runs.")
    for verb in ("submit", "validate"):
        assert "There is no mine.csv" in stranger.run(verb, "mine.csv")[1]


@pytest.mark.parametrize("length", [201, 251, 400])
@pytest.mark.parametrize("tail", [".csv", "/submission.csv"])
def test_a_name_that_is_too_long_to_be_kept_under_a_score(entrant, server, length, tail):
    """The file itself may lie there, as with 201 characters, or be impossible, as with 400."""
    name = "x" * length + tail
    if length < 255:
        entrant.write(name)
    status, output = entrant.run("submit", name)
    assert status == 1
    assert output.startswith("error: The name xxx")
    assert "at most 200 bytes" in output
    assert server.requests == []


def test_the_longest_name_is_kept_under_its_score(entrant, server):
    stem = "\u00e9" * 98
    path = entrant.write(f"{stem}.csv")
    for _ in range(2):
        entrant.layout.submissions.joinpath(f"0.85727_{stem}.csv").write_text("another file")
        status, output = entrant.run("submit", path.name, "--wait", "--force")
        assert status == 0, output
    assert len(list(entrant.layout.submissions.glob("0.85727_*-*.csv"))) == 1


# What made it


def test_a_hand_made_file_is_not_said_to_be_the_runs(here, server):
    here.write("submissions/ast/submission.csv")  # metrics.json is still that of the run's own file
    submit.main(here.layout, "ast", wait=True)
    (row,) = here.rows
    assert (row.commit, row.params) == (NOT_OURS, "")
    assert row.message.startswith("ast | [")


def test_a_copy_of_a_runs_file_is_known_by_its_bytes(here, server):
    path = here.write("kept/copy.csv", (here.layout.submission("ast") / "submission.csv").read_text())
    (here.layout.submission("ast") / "confusion.png").write_bytes(b"a picture")
    submit.main(here.layout, str(path), wait=True)
    (row,) = here.rows
    assert (row.run, row.commit, row.params) == ("ast", COMMIT, PARAMS)
    assert row.message.startswith("ast | validation 0.854 | [")
    assert (here.layout.submissions / "0.85727_ast.png").read_bytes() == b"a picture"


# What Kaggle may have already


def send_plainly(entrant, path):
    command = [Path(sys.executable).parent / "kaggle", "competitions", "submit", "-c", COMPETITION]
    subprocess.run([*command, "-f", path, "-m", "by hand"], env=entrant.environment, check=True, capture_output=True)


@pytest.mark.parametrize("told", ["size", "no size"])
def test_a_file_that_the_plain_client_sent_is_asked_about(entrant, server, told):
    path = entrant.layout.submission("ast") / "submission.csv"
    send_plainly(entrant, path)
    if told == "no size":
        server.submissions[0]["totalBytes"] = 0
    for words in (["submit", "ast"], ["submit", "ast", "--wait"]):
        status, output = entrant.run(*words)
        assert status == 1
        assert "what may be this very file" in output
        assert "by hand" in output
        assert "Nothing was submitted" in output
        assert "add --force" in output
    assert len(server.submissions) == 1
    entrant.decide("words", 1)  # a file of another size, name or time is no such file
    longer = entrant.layout.submission("words") / "submission.csv"
    longer.write_text(longer.read_text().replace("clip_0001.wav,no\n", "clip_0001.wav,unknown\n"))
    server.submissions[0]["date"] = "2018-01-01T00:00:00Z"
    assert entrant.run("submit", "words")[0] == 0
    assert entrant.run("submit", "ast", "--force")[0] == 0
    assert len(server.submissions) == 3


def test_a_user_who_says_yes_submits_it(here, server, monkeypatch):
    send_plainly(here, here.layout.submission("ast") / "submission.csv")
    asked = []
    monkeypatch.setattr(submit, "ask", lambda question: asked.append(question) or True)
    submit.main(here.layout, "ast")
    assert asked == ["Submit it all the same?"]
    assert len(server.submissions) == 2


def test_another_clone_that_submits_meanwhile(tmp_path, server, monkeypatch):
    first, second = (Entrant(tmp_path / name, server) for name in ("first", "second"))
    first.configure({"call_s": 100.0, "stall_s": 100.0})  # its upload lasts as long as all that the second does
    outcomes = []

    def overtake(step):
        if step == "PUT" and not outcomes:
            outcomes.append(None)
            outcomes.append(second.run("submit", "ast"))

    server.on_request = overtake
    status, output = first.run("submit", "ast")
    assert outcomes[1][0] == 0, outcomes
    assert status == 1
    assert "very same file was submitted before (ref 50000001" in output
    assert len(server.submissions) == 1
    assert first.rows == []


def test_a_request_that_arrives_late_is_not_repeated(here, server):
    """The list is slow: the submission shows up only once the second attempt has uploaded the file."""
    here.configure({"attempts": 2})
    server.plan("CreateSubmission", Fault(lost_reply=True))
    server.plan("ListSubmissions", Fault(), Fault(), *[Fault(status=503)] * 2)
    with pytest.raises(PipelineError, match="not known whether"):
        submit.main(here.layout, "ast")
    (entry,) = here.layout.journal.glob("*.json")
    entry.write_text(entry.read_text().replace('"creating"', '"asked"'))
    submit.main(here.layout, "ast", wait=True)
    here.assert_submitted_once()
    assert len(server.asked("CreateSubmission")) == 1


# What was spent is said


def test_waiting_again_prints_the_score_and_succeeds(entrant, server):
    for _ in range(2):
        status, output = entrant.run("submit", "ast", "--wait")
        assert status == 0, output
        assert "'ast': private 0.85727, public 0.84703" in output
    entrant.assert_submitted_once()
    assert "submitted already (ref 50000001)" in output


def test_a_ledger_that_a_spreadsheet_has_saved(entrant, server):
    assert entrant.run("submit", "ast", "--wait")[0] == 0
    rows = entrant.rows
    path = entrant.layout.ledger
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    status, output = entrant.run("submit", "ast", "--force")
    assert status == 0, output
    assert entrant.rows[:1] == rows
    assert [row.ref for row in entrant.rows] == ["50000001", "50000002"]


def test_a_ledger_that_cannot_be_read_costs_no_submission(entrant, server):
    entrant.layout.ledger.write_text("time;run;scoreboard\n")
    status, output = entrant.run("submit", "ast", "--force")
    assert status == 1
    assert "must begin with the line" in output
    assert server.submissions == []
    assert server.blobs == {}


def test_a_ledger_that_breaks_meanwhile_hides_no_submission(entrant, server):
    server.on_request = lambda step: step == "CreateSubmission" and entrant.layout.ledger.write_text("broken\n")
    status, output = entrant.run("submit", "ast")
    assert status == 1
    assert "Submitted 'ast'" in output
    assert "The submission is made (ref 50000001), but not in the ledger yet" in output
    entrant.layout.ledger.unlink()
    assert entrant.run("submissions")[0] == 0
    entrant.assert_submitted_once()


def test_killed_while_creating_then_the_file_changed(entrant, server):
    server.plan("CreateSubmission", Fault(hang=True))
    process = entrant.start("submit", "ast")
    wait_until(lambda: server.submissions)
    process.kill()
    process.communicate()
    entrant.decide("ast", 3)
    status, output = entrant.run("submit", "ast")
    assert status == 0, output
    assert "An interrupted call had submitted another file of 'ast' already (ref 50000001)" in output
    assert "ref 50000002" in output
    assert [row.ref for row in entrant.rows] == ["50000001", "50000002"]


def test_files_with_the_same_score_are_all_kept(here, server):
    checksums = set()
    for shift in range(3):
        path = here.decide("ast", shift)
        checksums.add(sha256_of(path))
        submit.main(here.layout, "ast", wait=True, force=True)
    kept = list(here.layout.submissions.glob("0.85727_ast*.csv"))
    assert {sha256_of(path) for path in kept} == checksums
    assert {row.sha256 for row in here.rows} == checksums


def test_a_private_score_that_is_revealed_later_renames_the_file_and_its_picture(here, server):
    (here.layout.submission("ast") / "confusion.png").write_bytes(b"a picture")
    server.scores = ("0.84703", "")
    submit.main(here.layout, "ast", wait=True)
    folder = here.layout.submissions
    assert (folder / "0.84703_ast.png").read_bytes() == b"a picture"
    server.submissions[0]["privateScore"] = "0.85727"
    submissions.main(here.layout)
    assert here.rows[0].private == "0.85727"
    assert sorted(path.name for path in folder.iterdir() if "_ast" in path.name) == [
        "0.85727_ast.csv",
        "0.85727_ast.png",
    ]
    assert sha256_of(folder / "0.85727_ast.csv") == here.rows[0].sha256


# What is said meanwhile


def test_a_quoted_header_is_not_printed(entrant, server):
    def quote(path):
        inner = server.routes[path]

        def answer(body, headers):
            text = f"denied: {headers.get('Authorization', '')} of {KEY} {KEY.upper()} {KEY.encode().hex()}"
            return (403, {"error": {"code": 403, "message": text}}) if server.made_before else inner(body, headers)

        server.routes[path] = answer

    quote("competitions.CompetitionApiService/ListSubmissions")
    server.made_before = 1
    header = server.asked
    for words in (["submit", "ast"], ["submissions"]):
        status, output = entrant.run(*words)
        assert status == 1
        assert "denied: Basic ***" in output
        for secret in (KEY, KEY.upper(), KEY.encode().hex(), header("ListSubmissions")[0].headers["Authorization"][6:]):
            assert secret not in output
    assert f"{USERNAME}:" not in output


def test_while_it_tries_again_it_says_what_it_waits_for(here, server, capsys):
    server.plan("PUT", Fault(status=503), Fault(status=503))
    submit.main(here.layout, "ast")
    said = capsys.readouterr().err
    assert "Kaggle refused to take the upload (503" in said
    assert "Trying again in 0 s (2 of 3)." in said


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("StartSubmissionUpload", "Interrupted. Nothing was submitted; the same command starts again."),
        ("CreateSubmission", "it may have been made. The same command\nlooks for it first"),
        ("ListSubmissions", "No longer waiting. It is submitted (ref 50000001)"),
    ],
)
def test_ctrl_c_says_what_has_become_of_it(entrant, server, step, said):
    entrant.configure({"call_s": 30.0})
    passed = [Fault(), Fault()] if step == "ListSubmissions" else []  # before the upload, and before the creation
    server.plan(step, *passed, Fault(hang=True))
    process = entrant.start("submit", "ast", "--wait")
    wait_until(lambda: len(server.asked(step)) > len(passed))
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    assert said in output
    assert "Traceback" not in output
    status, output = entrant.run("submit", "ast", "--wait")
    assert status == 0, output
    entrant.assert_submitted_once()


def test_one_label_in_all_rows_is_not_uploaded_unless_forced(entrant, server):
    path = entrant.write("all-yes.csv", "fname,label\n" + "".join(f"{clip},yes\n" for clip in CLIPS))
    status, output = entrant.run("submit", str(path))
    assert status == 1
    assert "All 60 clips of" in output
    assert "add --force" in output
    assert server.requests == []
    assert entrant.run("submit", str(path), "--force")[0] == 0


def test_the_sample_that_is_named_frees_from_the_corpus(here, server):
    """A demo was prepared here, but the file and the sample are the competition's."""
    write_json(here.layout.prepare / "corpus.json", {"source": "demo", "commands": ["ja", "nein"]})
    here.layout.prepare.joinpath("sample.csv").write_text("fname\nanother.wav\n")
    path = here.write("best.csv")
    with pytest.raises(PipelineError, match="is no valid submission"):
        submit.main(here.layout, str(path))
    assert server.requests == []
    submit.main(here.layout, str(path), sample=sample(here, ".csv"))
    assert len(server.submissions) == 1


def test_the_ledger_is_not_touched_by_what_is_refused(here, server):
    here.write("broken.csv", "fname,label\n")
    with pytest.raises(PipelineError, match="is no valid submission"):
        submit.main(here.layout, str(here.root / "broken.csv"))
    assert ledger.read(here.layout.ledger) == []
