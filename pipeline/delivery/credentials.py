"""Where Kaggle credentials lie on this machine: the places are told, the values never."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TOKEN_PAGE = "https://www.kaggle.com/settings"
VARIABLES = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")


@dataclass(frozen=True)
class Place:
    """One place that holds credentials: `token` (Bearer), `key` (user name and key) or `login` (OAuth)."""

    kind: Literal["token", "key", "login"]
    where: str
    remove: str  # how to get rid of it
    odd: bool = False  # it holds what no credential does: a space, a typographic quote

    def __str__(self) -> str:
        return f"{self.kind} in {self.where}"


def places() -> list[Place]:
    """Return the places that hold credentials in the order in which the client tries them; the first one counts."""
    found: list[Place] = []
    if token := _given_token():
        found.append(Place("token", "the variable KAGGLE_API_TOKEN", "unset KAGGLE_API_TOKEN", _is_odd(token)))
    files = (_home() / "access_token", _home() / "access_token.txt")
    found += [Place("token", str(path), f"rm {path}", _is_odd(token)) for path in files if (token := _text(path))]
    path = config_folder() / "kaggle.json"
    stored = _stored_key(path)
    given = {name: value for name in ("username", "key") if (value := _variable(f"KAGGLE_{name.upper()}"))}
    odd = _is_odd("".join({**stored, **given}.values()))
    if given.keys() == {"username", "key"}:
        both, remove = "the variables KAGGLE_USERNAME and KAGGLE_KEY", "unset KAGGLE_USERNAME KAGGLE_KEY"
        found.append(Place("key", both, remove, odd))
    elif given and stored.keys() | given.keys() == {"username", "key"}:
        both = f"{path} and the variable KAGGLE_{min(given).upper()}"
        found.append(Place("key", both, f"unset KAGGLE_{min(given).upper()}", odd))
    if stored.keys() == {"username", "key"} and not given:
        found.append(Place("key", str(path), f"rm {path}", odd))
    path = _home() / "credentials.json"
    if _text(path):
        found.append(Place("login", str(path), "kaggle auth revoke"))
    return found


def advice() -> str:
    """Say what is half there, and how to get credentials."""
    lines = []
    for name, other in (("USERNAME", "KEY"), ("KEY", "USERNAME")):
        if os.environ.get(f"KAGGLE_{name}") and not os.environ.get(f"KAGGLE_{other}"):
            lines.append(f"KAGGLE_{name} is set, but KAGGLE_{other} is not.")
    path = config_folder() / "kaggle.json"
    if path.exists() and _stored_key(path).keys() != {"username", "key"}:
        lines.append(f'{path} is there, but does not hold {{"username": ..., "key": ...}} as JSON that can be read.')
    lines.append(
        f"Create a token at {TOKEN_PAGE} (API) and put it into {_home() / 'access_token'}, or into the variable\n"
        "KAGGLE_API_TOKEN; the older kaggle.json works as well, but a token comes before it."
    )
    return "\n".join(lines)


def secrets() -> set[str]:
    """Return every secret that is on this machine, for a mask: tokens, keys, `user:key`, all of a login's."""
    found = {_given_token(), _variable("KAGGLE_KEY")}
    found |= {_text(_home() / name) for name in ("access_token", "access_token.txt")}
    folders = {config_folder(), _home(), _of_user() / ".config" / "kaggle"}
    stored = [_stored_key(folder / "kaggle.json") for folder in folders]
    found |= {key.get("key", "") for key in stored}
    users = {_variable("KAGGLE_USERNAME"), *(key.get("username", "") for key in stored)}
    found |= {f"{user}:{key}" for user in users for key in found if user and key}
    return {secret for secret in found | _login_secrets() if secret}


def _login_secrets() -> set[str]:
    """Return the tokens in the file that `kaggle auth login` wrote."""
    try:
        stored = json.loads(_text(_home() / "credentials.json"))
    except ValueError:
        return set()
    values = stored.items() if isinstance(stored, dict) else ()
    return {value for name, value in values if isinstance(value, str) and re.search("token|secret|key", str(name))}


def config_folder() -> Path:
    """Return where the client looks for kaggle.json."""
    if os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(os.environ["KAGGLE_CONFIG_DIR"])
    if _home().exists():
        return _home()
    return Path(os.environ.get("XDG_CONFIG_HOME") or _of_user() / ".config") / "kaggle"


def _home() -> Path:
    return _of_user() / ".kaggle"


def _of_user() -> Path:
    """Return the user's home folder; `~` as it is, a folder that is not there, for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("~")


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _given_token() -> str:
    """Return the token that KAGGLE_API_TOKEN gives: itself, or the path of its file."""
    given = _variable("KAGGLE_API_TOKEN")
    return _text(Path(given)) or given


def _is_odd(secret: str) -> bool:
    return re.fullmatch("[!-~]*", secret) is None


def _stored_key(path: Path) -> dict[str, str]:
    try:
        stored = json.loads(_text(path))
    except ValueError:
        return {}
    if not isinstance(stored, dict):
        return {}
    return {name: str(stored[name]) for name in ("username", "key") if stored.get(name)}


def _text(path: Path) -> str:
    """Return the file's text without space around it; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip() if str(path) != "." else ""
    except (OSError, ValueError):
        return ""
