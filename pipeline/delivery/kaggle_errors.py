"""What went wrong with a request to Kaggle, in words that name cause and cure."""

import time
from email.utils import parsedate_to_datetime

import requests

from pipeline.delivery import credentials
from pipeline.delivery.masking import masked
from pipeline.errors import PipelineError

# Answers after which the same request may well succeed.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 308})


class KaggleError(PipelineError):
    """A request that failed; its text is masked. `refused`: it certainly had no effect. `passing`: another try may
    succeed.

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
        super().__init__(masked(text))
        self.status = status
        self.refused = refused
        self.passing = passing
        self.retry_after_s = retry_after_s


def page_of(competition: str) -> str:
    """Return the address of the competition's page."""
    return f"https://www.kaggle.com/c/{competition}" if competition else "https://www.kaggle.com"


def explained(error: Exception, competition: str, what: str) -> KaggleError:
    """Return the error of a request as one that names cause and cure, without any address that may hold a secret."""
    page = page_of(competition)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        response = error.response
        status, after = response.status_code, _retry_after_s(response)
        text = f"Kaggle refused to {what} ({status}: {_said(response)}).\n"
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


def _said(response: requests.Response) -> str:
    """Return the service's own words, which it nests."""
    try:
        said = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = ""
    return said or response.reason or "no reason given"


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
