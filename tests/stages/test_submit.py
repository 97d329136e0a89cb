"""`submit` through the real client against a server that fails as planned: one submission, whatever happens."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import sources
from pipeline.delivery import ledger
from pipeline.delivery.settings import Submit
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.layout import Layout
from pipeline.stages import submissions, submit
from tests.delivery.entrant import Entrant
from tests.delivery.kaggle_server import COMPETITION, KEY, TOKEN, Fault, too_many, wait_until


def submit_here(entrant, run="ast", wait=True, force=False):
    submit.main(entrant.layout, run, "", wait, force)


# Whole processes, as a user starts them


def test_success(entrant, server):
    server.pending_lists = 2
    status, output = entrant.run("submit", "ast", "--message", "first try", "--wait")
    assert status == 0, output
    row = entrant.assert_submitted_once()
    assert row.message.startswith("ast | validation 0.854 | first try | [")
    assert "private 0.85727, public 0.84703" in output
    assert "0.85727_ast.csv" in output


def test_without_wait_the_score_comes_later(entrant, server, monkeypatch):
    server.pending_lists = 1
    status, output = entrant.run("submit", "ast")
    assert status == 0, output
    assert "python -m pipeline submissions" in output
    entrant.assert_submitted_once(status="pending")
    # The file that was submitted is kept, not the one that took its place.
    sent = entrant.layout.submission("ast").joinpath("submission.csv").read_bytes()
    entrant.decide("ast", 5)
    entrant.move_in(monkeypatch)
    for _ in range(2):
        submissions.main(entrant.layout)
    assert entrant.layout.submissions.joinpath("0.85727_ast.csv").read_bytes() == sent
    assert [row.status for row in entrant.rows] == ["complete"]


def test_two_at_once_wait_for_each_other(entrant, server):
    server.step_s = 0.05
    processes = [entrant.start("submit", "ast") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1], outputs
    assert sum("very same file" in output for output in outputs) == 1
    entrant.assert_submitted_once(status="pending")


def test_the_plain_client_takes_our_file(entrant, server):
    path = entrant.layout.submission("ast") / "submission.csv"
    command = [Path(sys.executable).parent / "kaggle", "competitions", "submit", "-c", COMPETITION]
    done = subprocess.run(
        [*command, "-f", path, "-m", "by hand"], env=entrant.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (made,) = server.submissions
    assert server.blobs[made["blob"]] == path.read_bytes()
    status, output = entrant.run("submissions")
    assert status == 0, output
    (row,) = entrant.rows
    assert (row.run, row.ref, row.message, row.private) == ("submission.csv", str(made["ref"]), "by hand", "0.85727")


@pytest.mark.parametrize("kind", ["key", "token"])
def test_secrets_are_only_in_the_header(entrant, server, kind):
    secret = KEY if kind == "key" else TOKEN
    entrant.credentials = {"VERBOSE": "1", **(server.key() if kind == "key" else {})}
    if kind == "token":
        entrant.home.joinpath(".kaggle").mkdir()
        entrant.home.joinpath(".kaggle", "access_token").write_text(TOKEN + "\n")
    server.plan("StartSubmissionUpload", too_many("0"))
    server.plan("CreateSubmission", Fault(status=500, message=f"you are {secret}", lost_reply=True))
    server.plan("ListSubmissions", Fault(), Fault(status=503, message=secret))
    server.scoring_error = f"rows of {secret} are missing"
    said = "".join(
        entrant.run(*words)[1] for words in (["kaggle", "check"], ["submit", "ast", "--wait"], ["submissions"])
    )
    (row,) = entrant.rows
    assert (row.status, row.reason) == ("error", "rows of *** are missing")
    assert "Authorization" not in said
    assert secret not in said
    for path in entrant.root.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    for request in server.requests:
        others = {name: value for name, value in request.headers.items() if name != "Authorization"}
        # The client itself asks whose token it is.
        assert request.path.endswith("IntrospectToken") or secret not in str((request.path, request.body, others))
    assert any(secret in request.headers.get("Authorization", "") for request in server.requests) == (kind != "key")


# Faults, in this process


UPLOAD_FAULTS = {
    "the upload is answered 503 twice": ("PUT", [Fault(status=503)] * 2),
    "the connection drops in mid-upload": ("PUT", [Fault(cut_bytes=300), Fault(cut_bytes=0)]),
    "the upload stalls": ("PUT", [Fault(cut_bytes=300, stall=True)]),
    "the storage hangs": ("PUT", [Fault(hang=True)]),
    "the address of the upload has expired": ("PUT", [Fault(status=408)]),
    "no upload can be begun": ("StartSubmissionUpload", [Fault(status=500), Fault(lost_reply=True)]),
    "the list breaks down": ("ListSubmissions", [Fault(status=502), Fault(lost_reply=True)]),
    "the limits are slow": ("GetSubmissionLimits", [Fault(hang=True)]),
    "the creation is answered 503, not done": ("CreateSubmission", [Fault(status=503)] * 2),
    "the connection is dropped before the creation": ("CreateSubmission", [Fault(status=0, cut_bytes=0)]),
}


@pytest.mark.parametrize("fault", UPLOAD_FAULTS)
def test_what_passes_is_tried_again(here, server, fault):
    here.configure({"call_s": 1.0, "stall_s": 0.8})
    step, faults = UPLOAD_FAULTS[fault]
    server.plan(step, *faults)
    submit_here(here)
    here.assert_submitted_once()
    if step == "PUT":
        assert len(server.asked("PUT")) == len(faults) + 1
        assert len(server.asked("CreateSubmission")) == 1


LOST = {
    "no reply": Fault(lost_reply=True),
    "a reply that never comes": Fault(hang=True),
    "a server error after the deed": Fault(status=500, lost_reply=True),
    "a gateway that gave up": Fault(status=504, lost_reply=True),
}


@pytest.mark.parametrize("listed", ["at once", "later"])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_reply_costs_no_second_submission(here, server, fault, listed, capsys):
    here.configure({"call_s": 1.0})
    server.hidden_lists = 2 if listed == "later" else 0
    server.page_size = 1
    server.submissions += [{"ref": ref, "description": "old", "status": "ERROR"} for ref in (1, 2, 3)]
    server.plan("CreateSubmission", LOST[fault])
    submit_here(here)
    assert len(server.asked("CreateSubmission")) == 1
    assert "It has: ref 50000004" in capsys.readouterr().out
    assert [row.ref for row in here.rows] == ["50000004", "1", "2", "3"]
    assert here.rows[0].private == "0.85727"


def test_a_slow_creation_is_waited_for(here, server):
    here.configure({"call_s": 0.3}, lookups_s=[0.2, 0.3, 0.5, 0.5])
    server.plan("CreateSubmission", Fault(wait_s=0.8))
    submit_here(here)
    here.assert_submitted_once()
    assert len(server.asked("CreateSubmission")) == 1


def test_what_is_counted_but_not_listed_is_not_repeated(here, server):
    server.hidden_lists = 20
    server.plan("CreateSubmission", Fault(lost_reply=True))
    with pytest.raises(
        PipelineError, match=r"counts a submission that it does not list yet.*\n.*again in some minutes"
    ):
        submit_here(here)
    assert here.rows == []
    server.submissions[0]["hidden"] = 0
    submit_here(here)
    here.assert_submitted_once()


def test_an_outage_after_a_lost_reply_is_finished_by_the_next_call(here, server):
    here.configure({"attempts": 2})
    server.plan("CreateSubmission", Fault(lost_reply=True))
    server.plan("ListSubmissions", Fault(), Fault(), *[Fault(status=503)] * 2)
    with pytest.raises(PipelineError, match=r"503(.|\n)*not known whether(.|\n)*Run the same command again"):
        submit_here(here)
    submit_here(here)
    here.assert_submitted_once()
    assert len(server.asked("CreateSubmission")) == 1


def test_a_creation_that_never_succeeds_is_finished_later(here, server):
    here.configure({"attempts": 2})
    server.plan("CreateSubmission", *[Fault(status=503)] * 2)
    with pytest.raises(PipelineError, match=r"503(.|\n)*Run again later"):
        submit_here(here)
    assert (here.rows, server.submissions) == ([], [])
    submit_here(here)
    row = here.assert_submitted_once()
    # It is still the job that was begun.
    assert {request.body["submissionDescription"] for request in server.asked("CreateSubmission")} == {row.message}


@pytest.mark.parametrize(
    "step", ["GetSubmissionLimits", "ListSubmissions", "StartSubmissionUpload", "PUT", "CreateSubmission"]
)
def test_retry_after_is_honoured(here, server, step):
    server.plan(step, too_many("0.6"))
    times = []
    server.on_request = lambda asked: times.append(time.monotonic()) if asked == step else None
    submit_here(here)
    here.assert_submitted_once()
    assert times[1] - times[0] >= 0.6


def test_a_server_that_asks_for_an_hour_is_not_waited_for(here, server):
    server.plan("StartSubmissionUpload", too_many("3600"))
    with pytest.raises(PipelineError, match=r"429: Too many requests\)(.|\n)*Wait 3600 s"):
        submit_here(here)
    assert (here.rows, server.submissions) == ([], [])


def test_a_slow_server_is_given_up_in_time(here, server):
    here.configure({"call_s": 0.2, "attempts": 2})
    server.plan("ListSubmissions", *[Fault(hang=True)] * 2)
    with pytest.raises(PipelineError, match=r"did not answer in time to list the submissions(.|\n)*Check the network"):
        submit_here(here)
    assert (here.rows, server.submissions) == ([], [])


def test_a_dead_upload_is_given_up_and_finished_later(here, server):
    here.configure({"stall_s": 0.2, "attempts": 2})
    server.plan("PUT", *[Fault(cut_bytes=10, stall=True)] * 2)
    with pytest.raises(PipelineError, match="take the upload"):
        submit_here(here)
    assert server.submissions == []
    submit_here(here)
    here.assert_submitted_once()


# Refusals: nothing is submitted, and the message says what to do


def refuse_key(entrant, server):
    entrant.credentials = {**server.key(), "KAGGLE_KEY": "wrong"}


def refuse_token(entrant, server):
    entrant.credentials = {**server.key(), "KAGGLE_API_TOKEN": "wrong"}


def forget_credentials(entrant, server):
    entrant.credentials = {}


def refuse_rules(entrant, server):
    server.rules_accepted = False


def refuse_today(entrant, server):
    server.made_before = 5


def refuse_at_the_last_moment(entrant, server):
    server.plan("CreateSubmission", Fault(status=400, message="Your team has used its daily Submission allowance"))


def refuse_slug(entrant, server):
    entrant.configure(competition="no-such-competition")


def pull_the_plug(entrant, server):
    entrant.configure({"attempts": 2})
    server.close()


REFUSALS = {
    "a wrong key": (refuse_key, ["does not accept the key in the variables KAGGLE_USERNAME", "kaggle.com/settings"]),
    "a wrong token before a right key": (
        refuse_token,
        ["does not accept the token in the variable KAGGLE_API_TOKEN", "not tried while", "unset KAGGLE_API_TOKEN"],
    ),
    "no credentials": (forget_credentials, ["no Kaggle credentials", "access_token", "kaggle.com/settings"]),
    "rules not accepted": (refuse_rules, ["403: You must accept", f"https://www.kaggle.com/c/{COMPETITION}/rules"]),
    "no submission left today": (refuse_today, ["No submission is left today (5 made)", "midnight UTC, in "]),
    "none left after all": (refuse_at_the_last_moment, ["400: Your team has used its daily", COMPETITION]),
    "another competition": (refuse_slug, ["403", "no-such-competition", "params.yaml"]),
    "no network": (pull_the_plug, ["cannot be reached", "Check the network and run again"]),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_names_cause_and_cure(entrant, server, monkeypatch, refusal):
    arrange, wanted = REFUSALS[refusal]
    arrange(entrant, server)
    entrant.move_in(monkeypatch)
    with pytest.raises(PipelineError) as error:
        submit_here(entrant)
    for text in wanted:
        assert text in str(error.value)
    assert "wrong\n" not in str(error.value)
    assert (entrant.rows, server.submissions) == ([], [])
    if refusal != "none left after all":
        assert server.blobs == {}
    journal = entrant.layout.journal
    assert not journal.exists() or not any(journal.iterdir())


def test_a_refusal_is_no_success_to_the_shell(entrant, server):
    server.made_before = 5
    status, output = entrant.run("submit", "ast")
    assert status == 1
    assert output.startswith("error: No submission is left today")


def test_a_failed_scoring_is_told_and_recorded(here, server):
    server.pending_lists = 1
    server.scoring_error = "Submission must have 60 rows"
    with pytest.raises(PipelineError, match=r"could not score 'ast' \(ref 50000001\): Submission must have 60 rows"):
        submit_here(here)
    row = here.assert_submitted_once(status="error")
    assert (row.reason, row.public, row.private) == ("Submission must have 60 rows", "", "")


def test_a_score_that_does_not_come_is_left_for_later(here, server):
    here.configure(wait_limit_s=0.2)
    server.pending_lists = 10**6
    with pytest.raises(PipelineError, match=r"not scored it within 0 s.*ref 50000001(.|\n)*pipeline submissions"):
        submit_here(here)
    here.assert_submitted_once(status="pending")
    server.submissions[0]["pending"] = 0
    submit_here(here)  # --wait goes on waiting
    here.assert_submitted_once()


def test_polling_survives_errors(here, server):
    here.configure({"attempts": 1})
    server.pending_lists = 3
    server.plan("ListSubmissions", Fault(), Fault(), Fault(status=503), too_many("0"), Fault(lost_reply=True))
    submit_here(here)
    here.assert_submitted_once()


def test_the_same_file_is_refused_unless_forced(here, server):
    submit_here(here)
    here.decide("words", 0)  # another run with the very same bytes
    for run in ("ast", "words"):
        with pytest.raises(PipelineError, match=r"very same file was submitted before \(ref 50000001.*(.|\n)*--force"):
            submit_here(here, run, wait=False)
    assert len(server.submissions) == 1
    submit_here(here, force=True)
    assert len(server.submissions) == 2
    assert [row.status for row in here.rows] == ["complete"] * 2
    assert len({row.ref for row in here.rows}) == len({row.message for row in here.rows}) == 2


def test_kaggles_own_list_tells_the_same_file_where_the_ledger_is_lost(here, server):
    submit_here(here)
    here.layout.ledger.unlink()
    with pytest.raises(PipelineError, match="very same file was submitted before"):
        submit_here(here, wait=False)


def test_other_runs_and_files_are_other_submissions(here, server):
    submit_here(here)
    here.decide("words", 1)
    submit_here(here, "words")
    here.decide("ast", 2)
    submit_here(here)
    assert len(server.submissions) == 3
    assert [row.run for row in here.rows] == ["ast", "words", "ast"]


def test_a_run_that_is_not_there(here):
    with pytest.raises(PipelineError, match=r"no run 'asd', and no such file\. Runs: ast, words, ensemble"):
        submit_here(here, "asd")
    with pytest.raises(PipelineError, match=r"There is no .*words/submission.csv. `dvc repro` makes"):
        submit_here(here, "words")


@pytest.mark.parametrize("source", [*sorted({*sources.names()} - {"archives", "kaggle"}), "one that is not there"])
def test_clips_of_no_competition_are_not_submitted(here, server, source):
    description = here.layout.prepare / "corpus.json"
    write_json(description, {**read_json(description), "source": source})
    with pytest.raises(PipelineError, match=f"source '{source}', which no competition at Kaggle asks for"):
        submit_here(here)
    assert server.requests == []


def test_the_competition_is_that_of_the_source():
    own = {"source": "kaggle", "competition": "own"}
    assert Submit().slug(own) == "own"
    assert Submit(competition="other").slug(own) == "other"
    assert Submit().slug({**own, "source": "archives"}) == COMPETITION
    assert Submit().slug(None) == COMPETITION


# kill -9


def _submit(environment: dict[str, str], root: Path) -> None:
    """What a killed process runs; it comes from a server of forks, which has imported all that takes seconds."""
    os.environ.clear()
    os.environ.update(environment)
    sys.stdout = sys.stderr = (root.parent / "killed.log").open("a")
    from kaggle.api.kaggle_api_extended import KaggleApi

    KaggleApi.args = ["--local"]
    submit.main(Layout(root), "ast", "", True)


class Killable:
    def __init__(self, entrant: Entrant) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["pipeline.stages.submit", "kaggle.api.kaggle_api_extended"])
        self.entrant = entrant
        self.process = None

    def start(self):
        self.process = self._context.Process(target=_submit, args=(self.entrant.environment, self.entrant.root))
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def finish(entrant: Entrant) -> None:
    """Submit again, as a user does, and hold that all is well."""
    submit_here(entrant)
    entrant.assert_submitted_once()
    sent = [request.body["submissionDescription"] for request in entrant.server.asked("CreateSubmission")]
    assert len(set(sent)) == 1


STEPS = ["GetSubmissionLimits", "ListSubmissions", "StartSubmissionUpload", "PUT", "CreateSubmission"]


@pytest.mark.parametrize("moment", ["before the answer", "after the answer"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(here, server, step, moment):
    victim = Killable(here)
    struck, ended = threading.Event(), threading.Event()

    def strike(asked: str) -> None:
        if asked == step and not struck.is_set():
            struck.set()
            victim.kill()
            ended.set()

    if moment == "before the answer":
        server.on_request = strike
    else:
        server.on_answer = strike
    server.pending_lists = 1
    victim.start()
    assert ended.wait(60)  # of two threads that ask for the exit status at once, one may be told 255
    assert victim.process.exitcode == -9
    server.on_request = server.on_answer = lambda asked: None
    finish(here)


def test_killed_at_twenty_random_moments(tmp_path, server, monkeypatch):
    server.step_s = 0.02
    server.pending_lists = 3
    rng = np.random.default_rng(3)
    made_by_the_killed = []
    whole_s = 0.0
    for number in range(21):
        server.submissions.clear()
        server.requests.clear()
        entrant = Entrant(tmp_path / str(number), server)
        entrant.move_in(monkeypatch)
        victim = Killable(entrant)
        victim.start()
        wait_until(lambda: server.requests)
        begin = time.monotonic()
        if number == 0:  # how long it takes undisturbed
            victim.process.join()
            assert victim.process.exitcode == 0, (entrant.root.parent / "killed.log").read_text()
            whole_s = time.monotonic() - begin
        else:
            time.sleep(rng.uniform(0, whole_s))
            victim.kill()
            time.sleep(2 * server.step_s)  # what it had sent arrives
            made_by_the_killed.append(len(server.submissions))
        finish(entrant)
    # The moments lie on both sides of the creation.
    assert 3 <= sum(made_by_the_killed) <= 17


def test_a_power_cut_between_creation_and_ledger(here, server):
    """Every state that the journal can be left in leads to one submission."""
    submit_here(here, wait=False)
    (entry,) = here.layout.journal.glob("*.json")
    job, row = read_json(entry), here.rows[0]
    for state, ref in (("creating", ""), ("made", job["ref"]), ("told", job["ref"])):
        write_json(entry, {**job, "state": state, "ref": ref, "began": time.time()})
        here.layout.ledger.unlink(missing_ok=True)
        submissions.main(here.layout)
        assert len(server.submissions) == 1
        assert here.rows == [replace(row, status="complete", public="0.84703", private="0.85727")]
        here.layout.journal.joinpath(f"{job['id']}.csv").write_bytes(b"")  # the entry comes back in the next round


def test_a_changed_file_takes_the_place_of_one_that_never_arrived(here, server, capsys):
    here.configure({"attempts": 1})
    server.plan("PUT", Fault(status=503))
    with pytest.raises(PipelineError):
        submit_here(here)
    here.decide("ast", 3)
    submit_here(here)
    here.assert_submitted_once()
    assert "which has changed since" in capsys.readouterr().out


def test_an_interrupted_submit_of_another_run_is_told_and_kept(here, server, capsys):
    here.configure({"attempts": 1})
    server.plan("PUT", Fault(status=503))
    with pytest.raises(PipelineError):
        submit_here(here)
    here.decide("words", 1)
    submit_here(here, "words")
    assert "`submit ast` finishes it" in capsys.readouterr().out
    submit_here(here)
    assert sorted(row.run for row in here.rows) == ["ast", "words"]
    assert len(server.submissions) == 2


def test_a_score_of_the_local_scoreboard_stands_beside_it(here, server):
    ledger.append(here.layout.ledger, ledger.Row("t", "ast", "local", "0.1", "0.2", "x", "", ""))
    submit_here(here)
    assert [row.scoreboard for row in here.rows] == ["local", "kaggle"]
