"""The README names only commands, profiles and files that there are; so do the pages in docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKS = [
    (page, link) for page in PAGES for link in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8"))
]
VERBS = sorted(set(re.findall(r"python -m pipeline ([a-z_]+)", README)))


@pytest.fixture(scope="module")
def listing() -> str:
    command = [sys.executable, "-m", "pipeline", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_there(verb: str, listing: str) -> None:
    assert f" {verb} " in listing


def test_every_verb_of_the_program_has_an_example(listing: str) -> None:
    offered = re.findall(r"^│ ([a-z_]+) ", listing, flags=re.MULTILINE)
    assert sorted(offered) == VERBS


@pytest.mark.parametrize("profile", sorted(set(re.findall(r"`([a-z-]+\.yaml)`", README)) - {"params.yaml"}))
def test_every_profile_is_there(profile: str) -> None:
    assert (ROOT / "profiles" / profile).exists()


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_every_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, heading = link.partition("#")
    target = page.parent / path if path else page
    assert target.exists()
    headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE) if heading else []
    assert not heading or heading in [re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-") for text in headings]


def test_the_two_commands_stand_there_word_for_word() -> None:
    assert "pip install -r requirements.txt && dvc repro" in README
    assert "pip install -r requirements.txt && python -m pytest" in README
    assert "python -m pytest" in (ROOT / ".ci" / "run").read_text()
