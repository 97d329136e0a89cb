import os

from rich.console import Console

from pipeline.benchmarks.rounds import Rounds
from pipeline.benchmarks.table import Finding, markdown, printed, rates

SLOW = Finding("reading", "5 s", "a | b", "2 times", "at most 4 s", False)


def test_rates_are_judged_by_the_middle_ratio():
    times = Rounds(ours_s=[2.0, 1.0, 4.0], other_s=[8.0, 6.0, 8.0])
    finding = rates("decoding", 100, "clips", times, "soundfile", at_least=4)
    assert finding.cells == (
        "decoding",
        "50 clips/s",
        "soundfile: 12 clips/s",
        "4.00 (2.00 to 6.00) times its speed",
        "at least 4",
        "yes",
    )
    assert rates("decoding", 100, "clips", times, "soundfile", at_least=4.1).met is False
    assert rates("decoding", 100, "clips", times, "soundfile").met is None


def test_markdown_holds_command_machine_notes_and_rows():
    page = markdown([SLOW, Finding("other", "not measured")], "python -m pipeline bench", ["Clips: none."])
    lines = page.splitlines()
    assert "Made by `python -m pipeline bench`." in lines
    assert f" {os.cpu_count()} cores" in page
    assert "torch 2." in page
    assert "- Clips: none." in lines
    # A bar inside a cell would open another column.
    assert lines[-2:] == [
        "| reading | 5 s | a / b | 2 times | at most 4 s | NO |",
        "| other | not measured |  |  |  |  |",
    ]


def test_the_terminal_shows_what_was_missed():
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(printed([SLOW]))
    assert "at most 4 s" in (text := console.export_text())
    assert "NO" in text
