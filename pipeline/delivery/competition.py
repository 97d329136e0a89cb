"""One competition at Kaggle: its files, its limits, its submissions, its leaderboard."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import requests
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

from pipeline.delivery import credentials
from pipeline.delivery.kaggle_client import Patience, call, connect, limits_of, no_auth, not_working, persist
from pipeline.delivery.kaggle_errors import KaggleError, page_of
from pipeline.delivery.masking import masked
from pipeline.delivery.terminal import note
from pipeline.errors import PipelineError
from pipeline.locks import held

T = TypeVar("T")
Status = Literal["pending", "complete", "error"]

SPEECH_RECOGNITION = "tensorflow-speech-recognition-challenge"

_PAGE_ROWS = 200
# More pages than this are no leaderboard or list of one team.
_MOST_PAGES = 100


@dataclass(frozen=True)
class Limits:
    """How many submissions were made today and ever, and how many may still be made now."""

    today: int
    total: int
    left: int
    by_total: bool  # the limit is one for the whole competition, not for the day

    @property
    def is_outsider(self) -> bool:
        """Nothing made and nothing allowed: Kaggle answers so for an account that is on no team yet."""
        return not (self.today or self.total or self.left)


@dataclass(frozen=True)
class Submission:
    """One entry of Kaggle's list. Scores have five decimals, or are empty; `time` is ISO 8601 in UTC.

    `bytes` is the size of the file, 0 where Kaggle does not tell it.
    """

    ref: str
    time: str
    description: str
    file_name: str
    status: Status
    public: str
    private: str
    reason: str  # why the scoring failed
    bytes: int = 0


class Competition:
    """A connection to one competition. Every method raises KaggleError with cause and cure."""

    def __init__(self, slug: str, patience: Patience | None = None) -> None:
        """Log in. Raises PipelineError as `kaggle_client.connect` does."""
        self.slug = slug
        self.page = page_of(slug)
        self.patience = patience or Patience()
        self.api = connect(self.patience)

    def files(self) -> dict[str, int]:
        """Return the size in bytes of each file."""

        def page(token: str) -> tuple[list[Any], str]:
            answer = self.api.competition_list_files(self.slug, page_token=token or None, page_size=_PAGE_ROWS)
            return answer.files, answer.next_page_token

        return {file.name: file.total_bytes for file in self._pages(page, "list the files")}

    def ask_for_a_file(self) -> None:
        """Ask for the smallest file without fetching it: only who has accepted the rules gets one."""
        sizes = self.files()
        if not sizes:
            return

        def ask() -> None:
            from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFileRequest

            request = ApiDownloadDataFileRequest()
            request.competition_name = self.slug
            request.file_name = min(sizes, key=lambda name: (sizes[name], name))
            with self.api.build_kaggle_client() as client:
                client.competitions.competition_api_client.download_data_file(request).close()

        self._persist(ask, "fetch a file")

    def download(self, names: list[str], folder: Path) -> None:
        """Download files into `folder`, going on with partial ones, and check their sizes; one process at a time.

        Their content is not checked: the client takes a file of the right size for the right file. Raises
        PipelineError also for a name that the competition does not have.
        """
        try:
            self._download(names, folder)
        except KeyboardInterrupt:
            note(f"Interrupted. What has arrived stays in {folder}; the same command goes on from there.")
            raise
        except KaggleError as error:
            raise PipelineError(f"{error}\nOr fetch the files by hand from {self.page}/data into {folder}.") from None

    def _download(self, names: list[str], folder: Path) -> None:
        sizes = self.files()
        absent = [name for name in names if name not in sizes]
        if absent:
            raise PipelineError(
                f"The competition '{self.slug}' has no file {', '.join(absent)}; it has: {', '.join(sorted(sizes))}.\n"
                f"Check download.competition in params.yaml against {self.page}/data"
            )
        # Beside the folder, which holds the competition's files alone.
        with held(folder.parent / f".{folder.name}.download.lock", f"Another download into {folder}", note):
            self._fetch({name: sizes[name] for name in names}, folder)

    def _fetch(self, sizes: dict[str, int], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in sizes:
            path = folder / name
            if path.exists() and path.stat().st_size > sizes[name]:
                path.unlink()  # the client would keep it
            with tqdm(desc=name, total=sizes[name], unit="B", unit_scale=True) as bar:

                def arrived(path: Path = path, bar: tqdm = bar) -> int:
                    size = path.stat().st_size if path.exists() else 0
                    bar.update(size - bar.n)
                    return size

                get = partial(self.api.competition_download_file, self.slug, name, path=str(folder), quiet=True)
                self._persist(get, f"download {name}", arrived)
                size = arrived()
            if size != sizes[name]:
                raise PipelineError(
                    f"{path} has {size} bytes; Kaggle lists {sizes[name]}. Run again: it goes on where it was."
                )

    def limits(self) -> Limits:
        """Return how many submissions the account may make."""
        ask = partial(self.api.competition_get_submission_limits, self.slug)
        answer = self._persist(ask, "tell the submission limits")
        return Limits(answer.num_today, answer.num_total, answer.num_allowed_now, answer.limited_by_total)

    def upload(self, path: Path) -> str:
        """Upload a file and return its token. That alone makes no submission, so it may be repeated."""

        def send() -> str:
            from kagglesdk.competitions.types.competition_api_service import ApiStartSubmissionUploadRequest

            request = ApiStartSubmissionUploadRequest()
            request.competition_name = self.slug
            request.file_name = "submission.csv"
            request.content_length = path.stat().st_size
            request.last_modified_epoch_seconds = int(path.stat().st_mtime)
            with self.api.build_kaggle_client() as client:
                started = client.competitions.competition_api_client.start_submission_upload(request)
            # The client's own upload has no time limit and tells neither status nor Retry-After.
            bar.reset()
            limits_s = (limits_of(self.patience)[0], self.patience.stall_s)
            with path.open("rb") as file, requests.Session() as session:
                session.auth = no_auth
                body = CallbackIOWrapper(bar.update, file, "read")
                response = session.put(started.create_url, data=body, timeout=limits_s)
            if response.status_code not in (200, 201):
                raise requests.HTTPError(response=response)
            return started.token

        with tqdm(desc="upload", total=path.stat().st_size, unit="B", unit_scale=True) as bar:
            return self._persist(send, "take the upload", lambda: int(bar.n))

    def create(self, token: str, description: str) -> str:
        """Make a submission of an uploaded file; return its reference. Tried once: a lost reply may have made one.

        Raises KaggleError, `refused` where certainly no submission was made.
        """

        def make() -> str:
            from kagglesdk.competitions.types.competition_api_service import ApiCreateSubmissionRequest

            request = ApiCreateSubmissionRequest()
            request.competition_name = self.slug
            request.blob_file_tokens = token
            request.submission_description = description
            with self.api.build_kaggle_client() as client:
                answer = client.competitions.competition_api_client.create_submission(request)
            if not answer.ref:
                raise KaggleError(f"Kaggle made no submission: {answer.message or 'no reason given'}")
            return str(answer.ref)

        return call(make, self.slug, "make the submission", 2 * self.patience.call_s + 60)

    def submissions(self) -> list[Submission]:
        """Return all submissions, newest first."""
        from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

        page = self._listing(ApiListSubmissionsRequest, "list_submissions")
        return [_submission(one) for one in self._pages(page, "list the submissions")]

    def leaderboard(self) -> list[float]:
        """Return the scores of the leaderboard, best first: of the private one once the competition is over."""
        from kagglesdk.competitions.types.competition_api_service import ApiGetLeaderboardRequest

        page = self._listing(ApiGetLeaderboardRequest, "get_leaderboard")
        scores = (_number(one.score or "") for one in self._pages(page, "show the leaderboard"))
        return [score for score in scores if score is not None]

    def _listing(self, kind: Any, method: str) -> Callable[[str], tuple[list[Any], str]]:
        """Return what fetches one page of a listing: `kind` is the SDK's request, `method` its client's."""

        def page(token: str) -> tuple[list[Any], str]:
            request = kind()
            request.competition_name = self.slug
            request.page_size = _PAGE_ROWS
            if token:
                request.page_token = token
            with self.api.build_kaggle_client() as client:
                answer = getattr(client.competitions.competition_api_client, method)(request)
            return answer.submissions, answer.next_page_token

        return page

    def _pages(self, page: Callable[[str], tuple[list[Any], str]], what: str) -> Iterator[Any]:
        token = ""
        for _ in range(_MOST_PAGES):
            rows, token = self._persist(partial(page, token), what)
            yield from rows
            if not token:
                return

    def _persist(self, function: Callable[[], T], what: str, arrived: Callable[[], int] = lambda: 0) -> T:
        try:
            return persist(function, self.slug, what, self.patience, arrived)
        except KaggleError as error:
            if error.status == 401:
                raise KaggleError(not_working(credentials.places()), status=401, refused=True) from None
            raise


def five(score: str) -> str:
    """Return a score as Kaggle gives it with five decimals; "" for what is no number."""
    number = _number(score)
    return "" if number is None else f"{number:.5f}"


def _submission(one: Any) -> Submission:
    return Submission(
        str(one.ref),
        f"{one.date.isoformat(timespec='seconds')}+00:00" if one.date else "",
        masked(one.description),
        masked(one.file_name),
        one.status.name.lower(),
        five(one.public_score),
        five(one.private_score),
        masked(one.error_description),
        one.total_bytes,
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None  # neither NaN nor infinite
