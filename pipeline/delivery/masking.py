"""One mask over all text that comes from outside: no credential of this machine in any encoding, no control codes."""

import base64
import functools
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from pipeline.delivery import credentials

MASK = "***"

# Shorter ones would be found inside of ordinary words.
_SHORTEST = 4
_SHORTEST_ENCODED = 8
# A header that somebody quotes, and the signature in an address, whoever's they are.
_HEADER = re.compile(r"(?i)\b(basic|bearer)(\s+|%20)[A-Za-z0-9+/=_.~%-]{16,}")
_SIGNATURE = re.compile(r"(?i)([?&][\w-]*(?:signature|sig|token|secret|credential)[\w-]*=)[^&\s\"'<>]+")
# What would move the cursor or change the colours of a terminal; newline and tab may stay.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def masked(text: str) -> str:
    """Return `text` with *** in the place of each secret of this machine, plain or encoded, and of what looks like one.

    Encodings: base64 (standard or for addresses, also as a part of something longer, such as `user:key`), percent,
    hexadecimal, HTML, JSON; upper and lower case do not matter. The text can be written as UTF-8.
    """
    text = _CONTROL.sub("", printable(text).replace("\r\n", "\n"))
    if secrets := _pattern(frozenset(credentials.secrets())):
        text = secrets.sub(MASK, text)
    return _SIGNATURE.sub(rf"\1{MASK}", _HEADER.sub(rf"\1\2{MASK}", text))


def printable(text: str) -> str:
    """Return `text` with ? in the place of what is no UTF-8: odd bytes of a file's name, half of an emoji."""
    return text.encode(errors="replace").decode()


@functools.lru_cache(maxsize=8)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    """Return what finds every form of the secrets, the longest first; None where there are none."""
    forms = {form for secret in secrets for form in _forms(printable(secret))}
    found = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(found, re.IGNORECASE) if found else None


def _forms(secret: str) -> Iterator[str]:
    if len(secret) < _SHORTEST:
        return
    yield secret
    if len(secret) < _SHORTEST_ENCODED:
        return
    yield from (
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
    )
    data = secret.encode()
    yield data.hex()
    yield from ("".join(f"%{byte:02x}" for byte in data), "".join(f"\\x{byte:02x}" for byte in data))
    for before in range(3):
        # Three bytes make four characters, so what stands before the secret decides which of three texts it becomes.
        # The characters that it shares with its neighbours are left out: they hold less than a byte of it.
        code = base64.b64encode(bytes(before) + data).decode()
        first = -(-before * 4 // 3)
        core = code[first : (before + len(data)) * 8 // 6]
        yield from (core, core.replace("+", "-").replace("/", "_"), quote(core, safe=""))
