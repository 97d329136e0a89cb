import pytest

from pipeline.errors import PipelineError
from pipeline.stages import access
from tests.delivery.kaggle_server import COMPETITION, USERNAME


def test_all_is_well(entrant):
    entrant.server.made_before = 2
    status, output = entrant.run("kaggle", "check")
    assert status == 0, output
    assert output.splitlines() == [
        "credentials: key in the variables KAGGLE_USERNAME and KAGGLE_KEY",
        f"they work, as user {USERNAME}",
        f"rules of {COMPETITION}: accepted",
        "submissions left now: 3 (2 made today, 2 in all)",
    ]
    assert all(request.path.startswith(("competitions.", "/storage/files")) for request in entrant.server.requests)


def test_what_is_shadowed_is_named(entrant, monkeypatch, capsys):
    entrant.credentials = {**entrant.server.key(), **entrant.server.token()}
    entrant.move_in(monkeypatch)
    access.main(entrant.layout)
    assert capsys.readouterr().out.startswith(
        "credentials: token in the variable KAGGLE_API_TOKEN; not used: key in the variables KAGGLE_USERNAME"
    )


def test_nothing_left(entrant, monkeypatch, capsys):
    entrant.server.made_before = 5
    entrant.move_in(monkeypatch)
    with pytest.raises(PipelineError, match=r"No submission is left today \(5 made\)(.|\n)*midnight UTC"):
        access.main(entrant.layout)
    assert "submissions left now: 0" in capsys.readouterr().out


def test_failure_is_told_to_the_shell(entrant):
    entrant.server.rules_accepted = False
    status, output = entrant.run("kaggle", "check")
    assert status == 1
    assert f"open https://www.kaggle.com/c/{COMPETITION}/rules and accept the rules" in output
