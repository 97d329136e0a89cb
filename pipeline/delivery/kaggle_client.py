"""The one place that loads Kaggle's own Python client; its calls get time limits, retries, and errors that help."""

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import requests
from pydantic import Field
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from pipeline.delivery import credentials
from pipeline.delivery.kaggle_errors import KaggleError, explained
from pipeline.delivery.terminal import note
from pipeline.errors import PipelineError
from pipeline.settings import Settings

T = TypeVar("T")
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LongerThanNothing = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_CONNECT_LIMIT_S = 15.0
# What a call may take beyond the limits of its connection: loading the client, looking up names.
_GRACE_S = 30.0
# After so long without an answer, the user is told what is awaited.
_SILENCE_S = 5.0


class Patience(Settings):
    """How long to wait for Kaggle, and how often to try again.

    `call_s`: a call without an answer; `stall_s`: an upload or download in which nothing moves. The pause after a
    failure starts at `pause_s` and doubles; what the server asks for (Retry-After) counts if it is longer, up to
    `longest_pause_s`.
    """

    call_s: LongerThanNothing = 60.0
    stall_s: LongerThanNothing = 120.0
    attempts: Annotated[int, Field(ge=1, le=50)] = 5
    pause_s: Seconds = 2.0
    longest_pause_s: Seconds = 300.0


def connect(patience: Patience | None = None) -> Any:
    """Return an authenticated KaggleApi whose connections have the time limits of `patience`.

    Raises PipelineError if the client cannot be loaded or finds no credentials that work.
    """
    patience = patience or Patience()
    for name in credentials.VARIABLES:
        if name in os.environ:  # the client would send a newline too
            os.environ[name] = os.environ[name].strip()

    def make() -> Any:
        # It prints requests with their credentials where VERBOSE is set.
        os.environ.pop("VERBOSE", None)
        os.environ.pop("VERBOSE_OUTPUT", None)
        # It would send the storage what ~/.netrc holds for any host.
        os.environ["NETRC"] = os.devnull
        # Imported late: the import looks for credentials, prints help, and may touch the network.
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.args = [word for word in api.args if word not in ("--verbose", "-v")]
        api.build_kaggle_client = _limited(api.build_kaggle_client, patience)
        # Its own retries know nothing of our limits; an interrupted download goes on where it was in any case.
        api.download_file = partial(api.download_file, max_retries=0, timeout=patience.stall_s)
        api.authenticate()
        return api

    found = credentials.places()
    if not found:
        raise PipelineError(f"There are no Kaggle credentials.\n{credentials.advice()}\n{_WITHOUT}")
    if found[0].odd:
        raise PipelineError(
            f"The {found[0]} holds characters that no token has, such as a space inside or typographic quotes.\n"
            f"Copy it again. {credentials.advice()}"
        )
    try:
        api = persist(make, "", "log in", patience)
    except SystemExit:
        raise PipelineError(not_working(found)) from None
    except KaggleError as error:
        if error.status == 401:
            raise KaggleError(not_working(found), status=401, refused=True) from None
        raise
    if found[0].kind == "token" and "token" not in api.config_values:
        # The client has gone on to the key, but sends the token all the same.
        raise PipelineError(not_working(found))
    return api


def not_working(found: list[credentials.Place]) -> str:
    """Say which credentials were refused, what they hide, and what to do."""
    first, others = found[0], found[1:]
    text = f"Kaggle does not accept the {first}: it is wrong, expired or revoked.\n"
    if others:
        text += (
            f"It comes before the {others[0]}, which is not tried while it is there. To use that one: {first.remove}\n"
        )
    return text + credentials.advice()


def call(
    function: Callable[[], T],
    competition: str,
    what: str,
    limit_s: float = 120.0,
    arrived: Callable[[], int] = lambda: 0,
) -> T:
    """Return `function()`; give up when for `limit_s` nothing `arrived` (bytes so far).

    What the client prints is swallowed, since it may quote requests. Where nothing arrives for some seconds, it says
    what is awaited. Raises KaggleError with cause and cure; a SystemExit of the client passes.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # the client also exits
            failure.append(error)

    # A daemon, since a call that hangs cannot be ended.
    thread = threading.Thread(target=work, name=f"kaggle: {what}", daemon=True)
    outside, told = sys.stderr, False
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        thread.start()
        since, size = time.monotonic(), arrived()
        while thread.is_alive():
            thread.join(0.05)
            if (now := arrived()) != size:
                since, size = time.monotonic(), now
            elif time.monotonic() - since > limit_s:
                # No other try: this one may still be at work.
                raise KaggleError(f"Kaggle did not answer for {limit_s:.0f} s (to {what}). Try again later.")
            elif time.monotonic() - since > _SILENCE_S and not told:
                note(f"Waiting for Kaggle to {what} (up to {limit_s:.0f} s) ...", outside)
                told = True
    if not failure:
        return outcome[0]
    error = failure[0]
    if isinstance(error, PipelineError) or not isinstance(error, Exception):
        raise error
    raise explained(error, competition, what) from None


def persist(
    function: Callable[[], T],
    competition: str,
    what: str,
    patience: Patience,
    arrived: Callable[[], int] = lambda: 0,
) -> T:
    """Return `function()`, tried again after failures that may pass. Only for what may safely be done twice.

    Raises KaggleError as `call` does.
    """
    limit_s = max(patience.call_s, patience.stall_s) + _CONNECT_LIMIT_S + _GRACE_S
    return retrying(patience)(call, function, competition, what, limit_s, arrived)


def retrying(patience: Patience, again: Callable[[KaggleError], bool] = lambda error: error.passing) -> Retrying:
    """Return what calls a function until it raises no KaggleError that is worth another try, and says what is awaited.

    It gives up, with the last error, after the attempts of `patience`, and where the server asks for more time than
    `patience` has.
    """

    def is_worth_it(error: BaseException) -> bool:
        return isinstance(error, KaggleError) and error.retry_after_s <= patience.longest_pause_s and again(error)

    def pause_s(state: RetryCallState) -> float:
        doubling = min(patience.pause_s * 2 ** (state.attempt_number - 1), patience.longest_pause_s)
        error = state.outcome.exception() if state.outcome else None
        return max(getattr(error, "retry_after_s", 0.0), doubling)

    def tell(state: RetryCallState) -> None:
        cause = str(state.outcome.exception()).splitlines()[0] if state.outcome else ""
        note(
            f"{cause} Trying again in {state.upcoming_sleep:.0f} s ({state.attempt_number} of {patience.attempts - 1})."
        )

    return Retrying(
        retry=retry_if_exception(is_worth_it),
        stop=stop_after_attempt(patience.attempts),
        wait=pause_s,
        before_sleep=tell,
        reraise=True,
    )


class _Limited(HTTPAdapter):
    """Gives every request the time limits that the client does not set."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self._limits = limits_of(patience)

    def send(self, request: Any, *arguments: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        options["timeout"] = options.get("timeout") or self._limits
        return super().send(request, *arguments, **options)


def limits_of(patience: Patience) -> tuple[float, float]:
    """Return the limits of a request in seconds: until it is connected, between two pieces of its answer."""
    return min(_CONNECT_LIMIT_S, patience.call_s), patience.call_s


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request as it is: as `auth` of one to the storage, it keeps out what ~/.netrc holds."""
    return request


def _limited(build: Callable[[], Any], patience: Patience) -> Callable[[], Any]:
    def make() -> Any:
        client = build()
        http = client.http_client()
        http._init_session()  # else it makes a session without limits later
        for scheme in ("http://", "https://"):
            http._session.mount(scheme, _Limited(patience))
        return client

    return make


_WITHOUT = "Without an account: cp profiles/speech-commands.yaml params.yaml (public) or profiles/demo.yaml."
