"""Whether this machine may work with a competition: credentials, rules, submissions left."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.delivery import credentials
from pipeline.delivery.competition import Competition, Limits
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.errors import PipelineError


@dataclass(frozen=True)
class Access:
    """What was found. `user` is "" where the client does not know it, `rules` None where they could not be checked."""

    places: list[credentials.Place]
    user: str
    rules: bool | None
    limits: Limits


def check(competition: Competition) -> Access:
    """Ask Kaggle whether the credentials of `competition` work, the rules are accepted, and what is left today.

    Raises PipelineError with the page to open where they do not work or the rules are not accepted.
    """
    limits = competition.limits()
    try:
        competition.ask_for_a_file()
        rules: bool | None = True
    except KaggleError as error:
        if error.status in (401, 403, 404):
            raise
        rules = None  # the storage of the files may be down while all else works
    user = str(competition.api.config_values.get("username", ""))
    return Access(credentials.places(), user, rules, limits)


def require_one_left(competition: Competition, limits: Limits) -> None:
    """Raise PipelineError if no submission can be made now; it says when one can."""
    if limits.left > 0 or limits.is_outsider:  # of those, the upload tells more
        return
    if limits.by_total:
        raise PipelineError(
            f"All {limits.total} submissions that the competition allows were made; nothing was uploaded.\n"
            f"See {competition.page}/submissions"
        )
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = int((midnight - now).total_seconds() // 60) + 1
    raise PipelineError(
        f"No submission is left today ({limits.today} made); nothing was uploaded.\n"
        f"The limit is reset at midnight UTC, in {minutes // 60} h {minutes % 60:02} min. Run the same command then."
    )
