"""Limits, retries and explanations without a server; test_competition.py drives the real client."""

import threading
import time
from email.utils import formatdate

import pytest
import requests

from pipeline.delivery import kaggle_client
from pipeline.delivery.kaggle_client import Patience, call, persist
from pipeline.delivery.kaggle_errors import KaggleError, explained
from pipeline.errors import PipelineError

QUICK = Patience(pause_s=0.01, attempts=3)


def refusal(status: int, body: bytes = b"<html>no JSON</html>", **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.reason, response._content = status, "as it is", body
    response.headers.update(headers)
    return requests.HTTPError("https://storage/x?signature=secret", response=response)


def failing(*errors: Exception):
    """Return a function that raises these in turn, then returns how often it was called."""
    calls = []

    def function() -> int:
        calls.append(None)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return len(calls)

    return function


def test_a_call_that_hangs_is_given_up():
    with pytest.raises(PipelineError, match=r"did not answer for 0 s \(to list the files\)"):
        call(threading.Event().wait, "slug", "list the files", limit_s=0.1)


def test_a_slow_call_that_brings_something_is_not():
    arrivals = iter(range(1_000))
    assert call(lambda: threading.Event().wait(0.7), "slug", "download", 0.3, lambda: next(arrivals)) is False


def test_a_slow_answer_is_said_to_be_awaited(monkeypatch, capsys):
    monkeypatch.setattr(kaggle_client, "_SILENCE_S", 0.1)
    call(lambda: threading.Event().wait(0.4), "slug", "list the files")
    assert capsys.readouterr().err == "Waiting for Kaggle to list the files (up to 120 s) ...\n"


def test_each_further_try_is_said(capsys):
    persist(failing(refusal(503), refusal(429)), "slug", "list the files", QUICK)
    first, second = (line for line in capsys.readouterr().err.splitlines() if "Trying again" in line)
    assert first == "Kaggle refused to list the files (503: as it is). Trying again in 0 s (1 of 2)."
    assert second.startswith("Kaggle refused to list the files (429: as it is).")


def test_what_the_client_prints_is_swallowed(capsys):
    call(lambda: print("Authorization: secret"), "slug", "log in")
    assert capsys.readouterr() == ("", "")


def test_exits_of_the_client_pass():
    with pytest.raises(SystemExit):
        call(failing(SystemExit(1)), "slug", "log in")


@pytest.mark.parametrize("error", [refusal(503), refusal(429), requests.ConnectionError(), requests.ReadTimeout()])
def test_what_may_pass_is_tried_again(error):
    assert persist(failing(error, error), "slug", "list", QUICK) == 3
    with pytest.raises(KaggleError):
        persist(failing(*[error] * 3), "slug", "list", QUICK)


@pytest.mark.parametrize(
    "error", [refusal(400), refusal(401), refusal(403), refusal(404), ValueError(), OSError(28, "full")]
)
def test_what_will_not_pass_is_not(error):
    with pytest.raises(KaggleError):
        persist(failing(error), "slug", "list", QUICK)


@pytest.mark.parametrize("after", ["0.3", "date"])
def test_the_server_says_how_long_to_wait(after):
    after = formatdate(time.time() + 2, usegmt=True) if after == "date" else after
    begin = time.monotonic()
    assert persist(failing(refusal(429, **{"Retry-After": after})), "slug", "list", QUICK) == 2
    assert time.monotonic() - begin >= 0.3


def test_pauses_double(monkeypatch):
    pauses = []
    monkeypatch.setattr(kaggle_client.time, "sleep", pauses.append)
    persist(failing(*[refusal(500)] * 4), "slug", "list", Patience(pause_s=2, attempts=5, longest_pause_s=10))
    assert pauses == [2, 4, 8, 10]


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (400, "https://www.kaggle.com/c/slug"),
        (401, "new token"),
        (403, "/c/slug/rules"),
        (404, "name in params.yaml"),
        (429, "Wait"),
        (503, "Run again later"),
    ],
)
def test_each_refusal_says_what_to_do(status, cure):
    error = explained(refusal(status), "slug", "list")
    assert f"({status}: as it is)" in str(error)
    assert cure in str(error)
    assert "secret" not in str(error)
    assert error.status == status


def test_the_services_own_words_are_found():
    assert "(403: accept the rules)" in str(
        explained(refusal(403, b'{"error": {"message": "accept the rules"}}'), "s", "x")
    )


def test_other_errors_tell_their_kind_but_no_address():
    assert "(OSError: No space left on device)" in str(
        explained(OSError(28, "No space left on device"), "slug", "list")
    )
    text = str(explained(ValueError("https://storage/x?signature=secret"), "slug", "list"))
    assert "(ValueError)" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (refusal(400), True),
        (refusal(429), True),
        (refusal(408), False),
        (refusal(500), False),
        (requests.ReadTimeout(), False),
        (requests.ConnectTimeout(), True),
        (requests.ConnectionError("RemoteDisconnected"), False),
        (requests.ConnectionError("NewConnectionError"), True),
        (ValueError(), False),
    ],
)
def test_only_what_certainly_had_no_effect_is_refused(error, refused):
    assert explained(error, "slug", "make the submission").refused is refused


@pytest.mark.parametrize("key", ["call_s", "stall_s", "attempts"])
def test_patience_is_longer_than_nothing(key):
    with pytest.raises(ValueError, match=key):
        Patience(**{key: 0})
