"""The one place that loads Kaggle's own Python client; its calls get time limits, retries, and errors that help."""

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated, Any, TypeVar

import requests
from pydantic import Field
from requests.adapters import HTTPAdapter

from pipeline.delivery import credentials
from pipeline.errors import PipelineError
from pipeline.settings import Settings

T = TypeVar("T")
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LongerThanNothing = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_CONNECT_LIMIT_S = 15.0
# What a call may take beyond the limits of its connection: loading the client, looking up names.
_GRACE_S = 30.0
# Answers after which the same request may well succeed.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 308})


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


class KaggleError(PipelineError):
    """A request that failed. `refused`: it certainly had no effect. `passing`: another try may succeed.

    `status` is the HTTP status, None without an answer; `retry_after_s` is what the server asked for.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        refused: bool = False,
        passing: bool = False,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.refused = refused
        self.passing = passing
        self.retry_after_s = retry_after_s


def connect(patience: Patience | None = None) -> Any:
    """Return an authenticated KaggleApi whose connections have the time limits of `patience`.

    Raises PipelineError if the client cannot be loaded or finds no credentials that work.
    """
    patience = patience or Patience()

    def make() -> Any:
        # It prints requests with their credentials where VERBOSE is set.
        os.environ.pop("VERBOSE", None)
        os.environ.pop("VERBOSE_OUTPUT", None)
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

    What the client prints is swallowed, since it may quote requests. Raises KaggleError with cause and cure; a
    SystemExit of the client passes.
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
    attempt = 1
    while True:
        try:
            return call(function, competition, what, limit_s, arrived)
        except KaggleError as error:
            if not error.passing or attempt >= patience.attempts:
                raise
            pause(error, attempt, patience)
            attempt += 1


def pause(error: KaggleError, attempt: int, patience: Patience) -> None:
    """Wait before the next try. Raises `error` anew if the server asks for more time than `patience` has."""
    if error.retry_after_s > patience.longest_pause_s:
        raise error
    time.sleep(max(error.retry_after_s, min(patience.pause_s * 2 ** (attempt - 1), patience.longest_pause_s)))


def page_of(competition: str) -> str:
    """Return the address of the competition's page."""
    return f"https://www.kaggle.com/c/{competition}" if competition else "https://www.kaggle.com"


def explained(error: Exception, competition: str, what: str) -> KaggleError:
    """Return the error of a request as one that names cause and cure, without any address that may hold a secret."""
    page = page_of(competition)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        response = error.response
        status, after = response.status_code, _retry_after_s(response)
        text = f"Kaggle refused to {what} ({status}: {credentials.masked(_said(response))}).\n"
        if status == 401:
            text += f"The credentials do not work, or no longer. Create a new token at {credentials.TOKEN_PAGE} (API)."
        elif status == 403:
            text += (
                f"Log in with the account of the token, open {page}/rules and accept the rules; a wrong name of the\n"
                f"competition ('{competition}', in params.yaml) is answered in the same way."
            )
        elif status == 404:
            text += f"Check the competition's name in params.yaml: {page} must exist."
        elif status == 429:
            wait = f"{after:.0f} s" if after else "some minutes"
            text += f"Too many requests. Wait {wait} and run again."
        elif status < 500:
            text += f"See {page} for what it asks for."
        else:
            text += "The trouble seems to be Kaggle's. Run again later."
        # A server that fails may have done what was asked.
        refused = 400 <= status < 500 and status != 408
        return KaggleError(text, status=status, refused=refused, passing=status in _PASSING, retry_after_s=after)
    if isinstance(error, (requests.ConnectionError, requests.Timeout)):
        slow = isinstance(error, requests.Timeout) and not isinstance(error, requests.ConnectTimeout)
        cause = "did not answer in time" if slow else "cannot be reached"
        text = f"Kaggle {cause} to {what} ({type(error).__name__}).\nCheck the network and run again."
        # The name of the cause is all that requests tells.
        unsent = isinstance(error, requests.ConnectTimeout) or any(
            name in repr(error) for name in ("NewConnectionError", "NameResolutionError")
        )
        return KaggleError(text, refused=unsent, passing=True)
    # Only the kind of the error: its text may hold a signed address.
    detail = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    passing = isinstance(error, requests.RequestException)  # such as a body that ended too early
    return KaggleError(
        f"The Kaggle client failed to {what} ({type(error).__name__}{detail}).\n"
        "Check that the home folder (or KAGGLE_CONFIG_DIR) and the project's folder can be written and have room.",
        passing=passing,
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


def _limited(build: Callable[[], Any], patience: Patience) -> Callable[[], Any]:
    def make() -> Any:
        client = build()
        http = client.http_client()
        http._init_session()  # else it makes a session without limits later
        for scheme in ("http://", "https://"):
            http._session.mount(scheme, _Limited(patience))
        return client

    return make


def _said(response: requests.Response) -> str:
    """Return the service's own words, which it nests."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason or "no reason given"


def _retry_after_s(response: requests.Response) -> float:
    given = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


_WITHOUT = "Without an account: cp profiles/speech-commands.yaml params.yaml (public) or profiles/demo.yaml."
