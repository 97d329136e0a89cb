"""The one place that talks to Kaggle, through its own Python client."""

import contextlib
import io
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests
from tqdm import tqdm

from pipeline.errors import PipelineError

T = TypeVar("T")

# The client itself sets no limit to its calls.
_CALL_LIMIT_S = 120
_STALL_LIMIT_S = 300
_TOKEN_PAGE = "https://www.kaggle.com/settings"


def download(competition: str, names: list[str], folder: Path) -> None:
    """Download files of a competition into `folder`, going on with partial ones, and check their sizes.

    Their content is not checked: the client takes a file of the right size for the right file. Raises PipelineError
    that says what to do without credentials, without the rules accepted, without network, or with a name or size wrong.
    """
    api = connect()
    sizes = _sizes(api, competition)
    absent = [name for name in names if name not in sizes]
    if absent:
        raise PipelineError(
            f"The competition '{competition}' has no file {', '.join(absent)}; it has: {', '.join(sorted(sizes))}.\n"
            f"Check download.competition in params.yaml against {_page(competition)}/data"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = folder / name
        if path.exists() and path.stat().st_size > sizes[name]:
            path.unlink()  # the client would keep it
        with tqdm(desc=name, total=sizes[name], unit="B", unit_scale=True) as bar:

            def arrived(path: Path = path, bar: tqdm = bar) -> int:
                size = path.stat().st_size if path.exists() else 0
                bar.update(size - bar.n)
                return size

            get = partial(api.competition_download_file, competition, name, path=str(folder), quiet=True)
            _call(get, competition, f"download {name}", _STALL_LIMIT_S, arrived)
            size = arrived()
        if size != sizes[name]:
            raise PipelineError(
                f"{path} has {size} bytes; Kaggle lists {sizes[name]}. Run again: the download goes on where it was."
            )


def connect() -> Any:
    """Return an authenticated KaggleApi.

    Raises PipelineError if the client cannot be loaded or finds no credentials that work.
    """

    def make() -> Any:
        # Imported late: the import looks for credentials, prints help, and may touch the network.
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        api.authenticate()
        return api

    # What it prints may quote a request together with its credentials.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return _call(make, "", "log in", _CALL_LIMIT_S)
        except SystemExit:
            raise PipelineError(
                "There are no Kaggle credentials, or they do not work.\n"
                f"Create a token at {_TOKEN_PAGE} (API) and put it into ~/.kaggle/access_token, or into\n"
                "the environment variable KAGGLE_API_TOKEN; ~/.kaggle/kaggle.json works as well, but after a token.\n"
                "Without an account: cp profiles/speech-commands.yaml params.yaml (public) or profiles/demo.yaml."
            ) from None


def _sizes(api: Any, competition: str) -> dict[str, int]:
    """Return the size in bytes of every file of the competition."""
    sizes: dict[str, int] = {}
    token = None
    while True:
        ask = partial(api.competition_list_files, competition, page_token=token, page_size=200)
        page = _call(ask, competition, "list the files", _CALL_LIMIT_S)
        sizes |= {file.name: file.total_bytes for file in page.files}
        token = page.next_page_token
        if not token:
            return sizes


def _call(
    function: Callable[[], T], competition: str, what: str, limit_s: float, arrived: Callable[[], int] = lambda: 0
) -> T:
    """Return `function()`; give up when for `limit_s` nothing `arrived`. Raises PipelineError with cause and cure."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # the client also exits
            failure.append(error)

    # A daemon, since a call that hangs cannot be ended.
    thread = threading.Thread(target=work, name=f"kaggle: {what}", daemon=True)
    thread.start()
    since, size = time.monotonic(), arrived()
    while thread.is_alive():
        thread.join(0.2)
        if (now := arrived()) != size:
            since, size = time.monotonic(), now
        elif time.monotonic() - since > limit_s:
            raise PipelineError(f"Kaggle did not answer for {limit_s:.0f} s (to {what}). Try again later.")
    if not failure:
        return outcome[0]
    error = failure[0]
    if isinstance(error, Exception):
        raise PipelineError(_explained(error, competition, what)) from None
    raise error


def _explained(error: Exception, competition: str, what: str) -> str:
    page = _page(competition)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status, said = error.response.status_code, _said(error.response)
        text = f"Kaggle refused to {what} ({status}: {said})."
        if status == 401:
            return f"{text}\nThe credentials do not work, or no longer. Create a new token at {_TOKEN_PAGE} (API)."
        if status == 403:
            return (
                f"{text}\nLog in with the account of the token, open {page}/rules and accept the rules; "
                "a wrong download.competition in params.yaml is answered in the same way."
            )
        if status == 404:
            return f"{text}\nCheck download.competition in params.yaml: {page} must exist."
        if status == 429:
            return f"{text}\nToo many requests. Wait some minutes and run again."
        return f"{text}\nThe trouble seems to be Kaggle's. Run again later; {page}/data has the files as well."
    if isinstance(error, (requests.ConnectionError, requests.Timeout)):
        return (
            f"Kaggle cannot be reached to {what} ({type(error).__name__}).\n"
            f"Check the network and run again; or download the files from {page}/data on another machine."
        )
    # Only the kind of the error: its text may hold a signed address.
    detail = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return (
        f"The Kaggle client failed to {what} ({type(error).__name__}{detail}).\n"
        f"Check that the home folder and download.folder can be written and have room; {page}/data has the files too."
    )


def _said(response: requests.Response) -> str:
    """Return the service's own words, which it nests."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.reason or "no reason given"


def _page(competition: str) -> str:
    return f"https://www.kaggle.com/c/{competition}" if competition else "https://www.kaggle.com"
