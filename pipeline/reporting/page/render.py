"""The page as one file of HTML: template, style, scripts, charts and values, complete without a network."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.reporting.page import drift

FOLDER = Path(__file__).parent
TITLE = "The Speech Commands Report"


def render(told: Mapping[str, Any], story: Mapping[str, Any] | None, charts_script: str, live: bool = False) -> str:
    """Return the page; equal content gives equal text.

    `told` is `jobs.paging.content`, `story` its sentences (`story.story`); None where no run is decided yet.
    `charts_script` is what draws the charts (`vega.script`). A `live` page asks the server that it came from how the
    training goes on. Nothing of the content is ever markup: the template escapes it, the scripts make text of it, and
    the policy allows no script but the page's own, and no request.
    """
    scripts = [charts_script, _text("page.js"), _text("runs.js"), *([_text("live.js")] if live else [])]
    charts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("charts/*.json"))}
    values = {name: value for name, value in told.items() if name not in ("media", "groups", "changes")}
    blocks = {"told": values, "media": told["media"], "charts": charts}
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"thousands": thousands, "duration": duration, "change": change}
    return environment.get_template("page.html").render(
        title=TITLE,
        policy=policy(scripts, live),
        style=Markup(_text("page.css")),
        blocks={name: as_json(value) for name, value in blocks.items()},
        scripts=[Markup(script) for script in scripts],
        told=told,
        story=story,
        drift=drift,
        live=live,
    )


def policy(scripts: list[str], live: bool) -> str:
    """Return the content security policy: the page's own scripts by their hashes; no network, but a live page's own."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; media-src blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def as_json(value: Any) -> Markup:
    """Return JSON that may stand in a script element, whatever the texts in it: `<`, `>` and `&` as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def thousands(value: float) -> str:
    """Return a count with commas."""
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return seconds as a reader says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def change(value: float | None) -> str:
    """Return a difference of scores with its sign."""
    return "–" if value is None else f"{value:+.5f}".replace("-", "−")


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8").strip()
