"""What is said to the user, masked: results on stdout, what goes on meanwhile on stderr; and what is asked."""

import sys
from typing import TextIO

from pipeline.delivery.masking import masked


def say(text: str) -> None:
    """Print a result."""
    _print(text, sys.stdout)


def note(text: str, stream: TextIO | None = None) -> None:
    """Print what is going on, where it spoils no output that another program reads: on stderr, or on `stream`."""
    _print(text, stream or sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    """Print, with ? for what the stream cannot show: a submission must not stay without record for that."""
    encoding = stream.encoding or "utf-8"
    print(masked(text).encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)


def ask(question: str) -> bool:
    """Ask a question of yes or no; without a terminal the answer is no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"{masked(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
