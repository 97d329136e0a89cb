"""What takes seconds to find and depends on little is kept, so that a changed threshold does not find it anew."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import code
from pipeline.files import write_json


def cached(folder: Path, part: str, of: bytes, find: Callable[[], Any]) -> Any:
    """Return `find()`, or what it returned when it was last asked `of` the same bytes: JSON, in `folder`.

    `part` is the module of the page that finds it, such as "drift": an edit of it, or of what it imports, finds anew.
    All else that the answer depends on must be in `of`.
    """
    path = folder / f"{part}.json"
    asked = f"{code.digest([f'reporting.page.{part}'])} {hashlib.sha256(of).hexdigest()}"
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["asked"] == asked:
            return before["found"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never found yet, or the file is broken: it is found anew
    found = find()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"asked": asked, "found": found})
    return found
