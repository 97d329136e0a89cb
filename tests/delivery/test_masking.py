"""Nothing of a credential is left in what comes from outside, however somebody has written it."""

import base64
import html
import json
import os
from urllib.parse import quote, quote_plus

import pytest

from pipeline.delivery.masking import masked

SECRET = "very-secret/value+with=signs&5"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("KAGGLE", "XDG_CONFIG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kaggle").mkdir()
    return tmp_path


def test_every_place_of_a_secret(home, monkeypatch):
    (home / ".kaggle" / "access_token").write_text(f"{SECRET}-1\n")
    (home / ".kaggle" / "kaggle.json").write_text(json.dumps({"username": "me", "key": f"{SECRET}-2"}))
    (home / "token").write_text(f"{SECRET}-3")
    (home / ".kaggle" / "credentials.json").write_text(json.dumps({"refresh_token": f"{SECRET}-4", "username": "me"}))
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / "token"))
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    text = " ".join(f"{SECRET}-{number}" for number in range(1, 5))
    assert masked(f"me: {text} {SECRET}") == "me: *** *** *** *** ***"
    assert masked(f"see {home / 'token'}") == f"see {home / 'token'}"


ENCODED = {
    "plain": SECRET,
    "in capitals": SECRET.upper(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "percent": quote(SECRET, safe=""),
    "percent in small letters": quote(SECRET, safe="").lower(),
    "a form": quote_plus(SECRET),
    "hexadecimal": SECRET.encode().hex(),
    "HTML": html.escape(SECRET),
    "JSON": json.dumps(SECRET),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_every_encoding_of_a_secret(kind, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", SECRET)
    said = masked(f"you sent {ENCODED[kind]} to us")
    assert "***" in said
    assert ENCODED[kind] not in said
    assert said.startswith("you sent ")
    assert said.endswith(" to us")


@pytest.mark.parametrize("user", ["a", "me", "you", "name", "somebody"])
def test_basic_credentials_wherever_the_key_begins_in_them(user, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", SECRET)  # the user's name is not known here
    for tail in ("", "!", "!!"):
        code = base64.b64encode(f"{user}:{SECRET}{tail}".encode()).decode()
        left = masked(code).split("***")
        assert len(left) == 2, left
        assert sum(map(len, left)) <= len(code) - len(SECRET) * 4 // 3 + 4


def test_a_quoted_header_is_masked_whoevers_it_is():
    text = "Authorization: Basic c29tZWJvZHk6MDEyMzQ1Njc4OWFiY2RlZg== and Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc"
    assert masked(text) == "Authorization: Basic *** and Bearer ***"
    assert masked("a basic knowledge of words") == "a basic knowledge of words"


def test_signed_addresses_and_control_codes():
    assert (
        masked("GET https://storage/x?X-Goog-Signature=abc123&y=1") == "GET https://storage/x?X-Goog-Signature=***&y=1"
    )
    assert masked("fine\x1b[2J\x1b[31m\r\nnext\ttab\x07\u202e") == "fine\nnext\ttab"


def test_short_words_are_no_secrets(monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "abc")
    assert masked("abc abcdef") == "abc abcdef"
