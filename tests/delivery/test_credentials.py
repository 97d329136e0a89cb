import json
import os

import pytest

from pipeline.delivery import credentials

SECRET = "very-secret-value"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("KAGGLE", "XDG_CONFIG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_nowhere(home):
    assert credentials.places() == []
    assert credentials.advice().startswith("Create a token at https://www.kaggle.com/settings")
    assert str(home / ".kaggle" / "access_token") in credentials.advice()


def test_all_places_in_the_clients_order(home, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    token = write(home / ".kaggle" / "access_token", SECRET)
    key = write(home / ".kaggle" / "kaggle.json", json.dumps({"username": "me", "key": SECRET}))
    login = write(home / ".kaggle" / "credentials.json", SECRET)
    found = credentials.places()
    assert [str(place) for place in found] == [
        "token in the variable KAGGLE_API_TOKEN",
        f"token in {token}",
        f"key in {key}",
        f"login in {login}",
    ]
    assert [place.remove for place in found] == [
        "unset KAGGLE_API_TOKEN",
        f"rm {token}",
        f"rm {key}",
        "kaggle auth revoke",
    ]
    assert SECRET not in str(found) + credentials.advice()


def test_variables_override_the_key_file(home, monkeypatch):
    write(home / ".kaggle" / "kaggle.json", json.dumps({"username": "me", "key": SECRET}))
    monkeypatch.setenv("KAGGLE_KEY", "other")
    (place,) = credentials.places()
    assert "kaggle.json and the variable KAGGLE_KEY" in str(place)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    (place,) = credentials.places()
    assert str(place) == "key in the variables KAGGLE_USERNAME and KAGGLE_KEY"


def test_other_folders(home, monkeypatch):
    stored = json.dumps({"username": "me", "key": SECRET})
    write(home / ".config" / "kaggle" / "kaggle.json", stored)
    assert str(home / ".config" / "kaggle") in str(credentials.places()[0])
    write(home / "own" / "kaggle.json", stored)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / "own"))
    assert str(home / "own" / "kaggle.json") in str(credentials.places()[0])


@pytest.mark.parametrize(
    "value", [f"\u201c{SECRET}\u201d", f"{SECRET[:5]} {SECRET[5:]}", os.fsdecode(b"very-secret-\xe9")]
)
def test_what_can_be_no_credential_is_known(value, home, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", value)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", value)
    assert [place.odd for place in credentials.places()] == [True, True]
    (home / "jos\u00e9").write_text(f"{SECRET}\n")
    monkeypatch.setenv("KAGGLE_API_TOKEN", f"{home}/jos\u00e9\n")  # a file's path may hold anything
    monkeypatch.setenv("KAGGLE_KEY", f"{SECRET}\r\n")
    assert [place.odd for place in credentials.places()] == [False, False]
    assert credentials.secrets() == {SECRET, f"me:{SECRET}"}


def test_without_a_home_there_are_no_credentials(monkeypatch):
    """In a container, as a user whom it does not know."""
    monkeypatch.delenv("HOME")

    def nobody(number):
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert (credentials.places(), credentials.secrets()) == ([], set())
    assert "KAGGLE_API_TOKEN" in credentials.advice()
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    assert [place.kind for place in credentials.places()] == ["token"]
    assert credentials.secrets() == {SECRET}


def test_what_is_half_there_is_said(home, monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    assert credentials.places() == []
    assert "KAGGLE_USERNAME is set, but KAGGLE_KEY is not." in credentials.advice()
    monkeypatch.delenv("KAGGLE_USERNAME")
    for text in ("{", "[]", '{"username": "me"}', ""):
        path = write(home / ".kaggle" / "kaggle.json", text)
        assert credentials.places() == []
        assert f"{path} is there, but does not hold" in credentials.advice()
