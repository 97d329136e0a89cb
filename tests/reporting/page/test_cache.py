import numpy as np
import pytest

from pipeline import code
from pipeline.reporting.page.cache import cached

PART = "drift"


@pytest.fixture
def finder(tmp_path):
    """`ask(b"clips")`: what is kept of these bytes; `ask.found` counts how often it had to be found."""

    def ask(of):
        def find():
            ask.found += 1
            return [{"of": of.decode(), "share": float(np.float64(1) / 3)}]

        return cached(tmp_path / "page", PART, of, find)

    ask.found, ask.path = 0, tmp_path / "page" / "drift.json"
    return ask


def test_it_is_found_once_of_the_same_and_anew_of_others(finder):
    first = finder(b"clips")
    assert finder(b"clips") == first == [{"of": "clips", "share": 1 / 3}]
    assert finder.found == 1
    assert finder(b"other clips")[0]["of"] == "other clips"
    assert finder(b"clips") == first
    assert finder.found == 3  # the last alone is kept


def test_an_edit_of_the_code_finds_it_anew(finder, monkeypatch):
    finder(b"clips")
    monkeypatch.setattr(code, "digest", lambda names: "edited")
    finder(b"clips")
    assert finder.found == 2


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'"text"', b'{"asked": "x"}', b"\xff"])
def test_a_broken_file_is_found_anew(finder, broken):
    finder(b"clips")
    finder.path.write_bytes(broken)
    assert finder(b"clips")[0]["of"] == "clips"
    assert finder.found == 2
