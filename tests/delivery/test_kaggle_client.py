"""What needs no server; tests/sources/test_kaggle.py drives the real client."""

import threading

import pytest
import requests

from pipeline.delivery.kaggle_client import _call, _explained
from pipeline.errors import PipelineError


def test_a_call_that_hangs_is_given_up():
    with pytest.raises(PipelineError, match=r"did not answer for 0 s \(to list the files\)"):
        _call(threading.Event().wait, "slug", "list the files", limit_s=0.1)


def test_a_slow_call_that_brings_something_is_not():
    arrivals = iter(range(1_000))
    assert _call(lambda: threading.Event().wait(0.7), "slug", "download", 0.3, lambda: next(arrivals)) is False


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        (401, "new token"),
        (403, "/c/slug/rules"),
        (404, "download.competition"),
        (429, "Wait"),
        (503, "Run again later"),
    ],
)
def test_each_refusal_says_what_to_do(status, cure):
    response = requests.Response()
    response.status_code = status
    response.reason = "as it is"
    response._content = b"<html>no JSON</html>"
    text = _explained(requests.HTTPError("https://storage/x?signature=secret", response=response), "slug", "list")
    assert f"({status}: as it is)" in text
    assert cure in text
    assert "secret" not in text


def test_other_errors_tell_their_kind_but_no_address():
    assert "(OSError: No space left on device)" in _explained(OSError(28, "No space left on device"), "slug", "list")
    text = _explained(ValueError("https://storage/x?signature=secret"), "slug", "list")
    assert "(ValueError)" in text
    assert "secret" not in text
