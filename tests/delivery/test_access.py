import pytest

from pipeline.delivery import access
from pipeline.delivery.competition import Competition, Limits
from pipeline.delivery.kaggle_client import Patience
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.errors import PipelineError
from tests.delivery.entrant import QUICK
from tests.delivery.kaggle_server import COMPETITION, USERNAME, Fault


@pytest.fixture
def competition(here):
    return Competition(COMPETITION, Patience(**QUICK))


def test_what_is_found(competition, server):
    server.files = {"train.7z": b"much" * 100, "sample_submission.7z": b"little"}
    found = access.check(competition)
    assert (found.user, found.rules, found.limits) == (USERNAME, True, Limits(0, 0, 5, False))
    # Nothing is fetched to find that out but the smallest file's first bytes.
    assert [request.body["fileName"] for request in server.asked("DownloadDataFile")] == ["sample_submission.7z"]


def test_rules_that_are_not_accepted(competition, server):
    server.rules_accepted = False
    with pytest.raises(KaggleError, match=rf"403: You must accept(.|\n)*/c/{COMPETITION}/rules"):
        access.check(competition)


def test_files_that_are_down_are_no_reason_to_stop(competition, server):
    server.plan("DownloadDataFile", *[Fault(status=503)] * 4)
    assert access.check(competition).rules is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(5, 20, 0, False), r"No submission is left today \(5 made\)(.|\n)*midnight UTC, in \d+ h \d\d min"),
        (Limits(1, 20, 0, True), "All 20 submissions that the competition allows were made"),
    ],
)
def test_none_left(competition, limits, message):
    with pytest.raises(PipelineError, match=message):
        access.require_one_left(competition, limits)


@pytest.mark.parametrize("limits", [Limits(4, 20, 1, False), Limits(0, 0, 0, False)])
def test_some_left_or_not_known(competition, limits):
    access.require_one_left(competition, limits)
