"""What is said to the user, masked: results on stdout, what goes on meanwhile on stderr; and what is asked."""

import sys
from typing import TextIO

from pipeline.delivery.masking import masked


def say(text: str) -> None:
    """Print a result."""
    print(masked(text), flush=True)


def note(text: str, stream: TextIO | None = None) -> None:
    """Print what is going on, where it spoils no output that another program reads: on stderr, or on `stream`."""
    print(masked(text), file=stream or sys.stderr, flush=True)


def ask(question: str) -> bool:
    """Ask a question of yes or no; without a terminal the answer is no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{masked(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
