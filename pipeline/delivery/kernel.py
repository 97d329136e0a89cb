"""The kernel on Kaggle: push it, ask how it is doing, fetch what it left."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import requests

from pipeline.delivery.kaggle_client import Patience, call, connect, limits_of, no_auth, persist
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.delivery.kernel_session import RESULTS, inside
from pipeline.delivery.masking import masked
from pipeline.delivery.terminal import note, say
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing, replacing_folder, sha256_of

T = TypeVar("T")

COMPLETE = "COMPLETE"
FAILED = ("ERROR", "CANCEL_REQUESTED", "CANCEL_ACKNOWLEDGED")

_PAGE = 100
_LINES_OF_A_FAILURE = 30


@dataclass(frozen=True)
class Pushed:
    """A version of the kernel that Kaggle has taken and will run."""

    url: str
    version: int


@dataclass(frozen=True)
class State:
    """QUEUED, RUNNING, COMPLETE, ERROR, CANCEL_REQUESTED, CANCEL_ACKNOWLEDGED or NEW_SCRIPT; why, where it failed.

    `log` is the end of the log of a kernel that failed, if Kaggle gives it.
    """

    name: str
    failure: str
    log: str = ""

    @property
    def is_over(self) -> bool:
        return self.name == COMPLETE or self.name in FAILED


def push(folder: Path, kernel: str, patience: Patience) -> Pushed:
    """Upload what `bundle.write` left in `folder` as a new version of `kernel` (USER/NAME), which Kaggle then runs.

    Raises PipelineError if Kaggle refuses it, or took it without one of its sources.
    """
    api = connect(patience)
    what = f"push the kernel {kernel}"
    try:
        # Once: each push starts a run.
        answer = call(lambda: api.kernels_push(str(folder)), "", what)
    except KaggleError as error:
        if error.refused:
            raise _of_kernel(error, kernel, what) from None
        raise PipelineError(
            f"{error}\nThe version may have been saved all the same: look at {_page(kernel)} before you push again."
        ) from None
    if answer.error:
        raise PipelineError(
            f"Kaggle did not take the kernel {kernel}: {masked(answer.error)}\n"
            "Check kernel.user and kernel.title in params.yaml. A notebook of that name which was never saved on the "
            "site, or was deleted there, needs another title; GPU and internet need an account with its phone verified."
        )
    absent = {
        "competition": answer.invalid_competition_sources,
        "dataset": answer.invalid_dataset_sources,
        "kernel": answer.invalid_kernel_sources,
        "model": answer.invalid_model_sources,
    }
    if lines := [f"  {kind}: {', '.join(names)}" for kind, names in absent.items() if names]:
        raise PipelineError(
            f"Kaggle took version {answer.version_number} of {kernel}, but without these sources, so it will fail:\n"
            + "\n".join(lines)
            + "\nAccept the competition's rules on its page, make the dataset (python -m pipeline kernel dataset), or\n"
            f"mend submit.competition and kernel.dataset in params.yaml; then push again. {answer.url}"
        )
    if not answer.url:
        raise PipelineError(f"Kaggle answered nothing of use to the push of {kernel}. Look at {_page(kernel)}")
    return Pushed(answer.url, answer.version_number)


def tell(kernel: str, patience: Patience, every_s: float | None, limit_s: float) -> None:
    """Say how the kernel is doing; with `every_s`, ask until it has ended. Raises PipelineError if it failed."""
    if every_s is None:
        state = status(kernel, patience)
    else:
        state = wait(kernel, patience, every_s, limit_s, lambda state: say(f"{kernel}: {state.name}"))
    if state.name in FAILED:
        raise PipelineError(explained(state, kernel))
    say(explained(state, kernel))


def status(kernel: str, patience: Patience) -> State:
    """Return the state of the latest version of `kernel`. Raises PipelineError if Kaggle does not tell."""
    api = connect(patience)
    return _with_log(api, _status(api, kernel, patience), kernel, patience)


def wait(kernel: str, patience: Patience, every_s: float, limit_s: float, tell: Callable[[State], None]) -> State:
    """Ask until the kernel has ended, and `tell` each new state. Raises PipelineError after `limit_s`."""
    try:
        return _wait(connect(patience), kernel, patience, every_s, limit_s, tell)
    except KeyboardInterrupt:
        note(f"No longer waiting. The kernel {kernel} goes on: {_page(kernel)}")
        raise


def _wait(
    api: Any, kernel: str, patience: Patience, every_s: float, limit_s: float, tell: Callable[[State], None]
) -> State:
    end = time.monotonic() + limit_s
    told = None
    while True:
        state = _status(api, kernel, patience)
        if state != told:
            tell(state)
            told = state
        if state.is_over:
            return _with_log(api, state, kernel, patience)
        if time.monotonic() + every_s > end:
            raise PipelineError(
                f"After {limit_s / 60:.0f} min the kernel {kernel} is still {state.name}. It goes on; ask again with: "
                f"python -m pipeline kernel status --wait\n{_page(kernel)}"
            )
        time.sleep(every_s)


def pull(kernel: str, folder: Path, patience: Patience) -> tuple[str, list[str]]:
    """Fetch the output and the log of the latest version into `folder`, in the place of what was there.

    Returns the run whose submission it is, and the names of the files. Raises PipelineError if the kernel has not ended
    well, a name leads out of the folder, a file cannot be fetched, or is not the one that the kernel wrote; `folder`
    stays as it was then.
    """
    api = connect(patience)
    state = _status(api, kernel, patience)
    if state.name != COMPLETE:
        raise PipelineError(explained(_with_log(api, state, kernel, patience), kernel))
    files, log = _outputs(api, kernel, patience)
    with replacing_folder(folder) as temporary:
        for name, url in files.items():
            _fetch(url, inside(temporary, name), name, patience)
        run = _verify(temporary, kernel)
        if log:
            (temporary / "kernel.log").write_text(masked(log), encoding="utf-8")
    return run, sorted(files)


def explained(state: State, kernel: str) -> str:
    """Return what a state means and what to do."""
    if state.name == COMPLETE:
        return f"The kernel {kernel} has ended well. Fetch its output: python -m pipeline kernel pull"
    if state.name == "ERROR":
        end = f"The end of its log:\n{state.log}\nAll of it: " if state.log else "Its log says where: "
        return (
            f"The kernel {kernel} failed: {state.failure or 'Kaggle gives no reason'}\n"
            f"{end}{_page(kernel)}\nMend that and push again: python -m pipeline kernel push"
        )
    if state.name in FAILED:
        return f"The kernel {kernel} was cancelled ({state.name}). Push again: python -m pipeline kernel push"
    return f"The kernel {kernel} has not ended: {state.name}. Wait with: python -m pipeline kernel status --wait"


def _status(api: Any, kernel: str, patience: Patience) -> State:
    from kagglesdk.kernels.types.kernels_api_service import ApiGetKernelSessionStatusRequest

    request = ApiGetKernelSessionStatusRequest()
    request.user_name, request.kernel_slug = kernel.split("/")

    def ask() -> Any:
        with api.build_kaggle_client() as client:
            return client.kernels.kernels_api_client.get_kernel_session_status(request)

    answer = _ask(ask, kernel, f"tell the state of the kernel {kernel}", patience)
    return State(answer.status.name, masked(answer.failure_message or ""))


def _with_log(api: Any, state: State, kernel: str, patience: Patience) -> State:
    """Return the state with the end of the log, where the kernel failed and Kaggle gives it."""
    if state.name != "ERROR":
        return state
    try:
        return replace(state, log=_end_of(_outputs(api, kernel, patience)[1]))
    except PipelineError:
        return state  # the failure is what matters; its page has the log


def _end_of(log: str) -> str:
    """Return the last lines of a log, which Kaggle gives as JSON: a list of pieces with their `data`."""
    with contextlib.suppress(ValueError, KeyError, TypeError):  # else it is plain text
        log = "".join(str(piece["data"]) for piece in json.loads(log))
    return masked("\n".join(log.strip().splitlines()[-_LINES_OF_A_FAILURE:]))


def _outputs(api: Any, kernel: str, patience: Patience) -> tuple[dict[str, str], str]:
    """Return address by name of all output files, and the log."""
    from kagglesdk.kernels.types.kernels_api_service import ApiListKernelSessionOutputRequest

    found: dict[str, str] = {}
    log, token = "", ""
    while True:
        request = ApiListKernelSessionOutputRequest()
        request.user_name, request.kernel_slug = kernel.split("/")
        request.page_size = _PAGE
        if token:
            request.page_token = token

        def ask(request: Any = request) -> Any:
            with api.build_kaggle_client() as client:
                return client.kernels.kernels_api_client.list_kernel_session_output(request)

        answer = _ask(ask, kernel, f"list the output of the kernel {kernel}", patience)
        for file in answer.files or []:
            inside(Path(), file.file_name)
            found[file.file_name] = file.url
        log = log or answer.log or ""
        token = answer.next_page_token
        if not token:
            return found, log


def _fetch(url: str, path: Path, name: str, patience: Patience) -> None:
    def get() -> None:
        with (
            requests.get(url, stream=True, timeout=limits_of(patience), auth=no_auth) as response,
            replacing(path) as temporary,
        ):
            response.raise_for_status()
            with temporary.open("wb") as file:
                for block in response.iter_content(1 << 20):
                    file.write(block)

    def arrived() -> int:
        return sum(part.stat().st_size for part in path.parent.glob(f".{path.stem}.*") if part.is_file())

    persist(get, "", f"send the output file {name}", patience, arrived)


def _verify(folder: Path, kernel: str) -> str:
    """Return the run of the submission. Raises PipelineError if a file is not the one that the kernel wrote."""
    try:
        results = read_json(folder / RESULTS)
        run, sums = results["run"], dict(results["sha256"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        run, sums = None, {}
    if not isinstance(run, str) or not all(isinstance(text, str) for text in (*sums, *sums.values())):
        raise PipelineError(
            f"The output of {kernel} has no {RESULTS} that names a run and its files: that version is not one that "
            f"`kernel push` made, or it did not get to its end. Push again, or look at {_page(kernel)}"
        )
    for name, wanted in sums.items():
        path = inside(folder, name)
        if not path.is_file() or sha256_of(path) != wanted:
            raise PipelineError(
                f"The output file {name} of {kernel} is missing or not the one that the kernel wrote. Run again."
            )
    inside(folder, run)
    return run


def _ask(function: Callable[[], T], kernel: str, what: str, patience: Patience) -> T:
    """Return `function()`, tried again where that may help."""
    try:
        return persist(function, "", what, patience)
    except KaggleError as error:
        raise _of_kernel(error, kernel, what) from None


def _of_kernel(error: KaggleError, kernel: str, what: str) -> PipelineError:
    """Return the error with what 403 and 404 mean for a kernel."""
    if error.status not in (403, 404):
        return error
    return PipelineError(
        f"Kaggle refused to {what} ({error.status}).\n"
        f"Check that {_page(kernel)} exists and is yours: kernel.user and kernel.title in params.yaml make its name.\n"
        "It appears with the first: python -m pipeline kernel push"
    )


def _page(kernel: str) -> str:
    return f"https://www.kaggle.com/code/{kernel}"
