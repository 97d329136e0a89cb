"""A real browser, driven by chromedriver's own protocol (W3C WebDriver) over the loopback."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import requests

PROGRAMS = ("chromium", "chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference to an element


def is_there() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


class Browser:
    """Chromium without a window, whose microphone hears the WAV file `speech`, from its beginning, again and again."""

    def __init__(self, speech: Path, folder: Path) -> None:
        self._arguments = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
            *(f"--use-file-for-fake-audio-capture={speech}", f"--user-data-dir={folder}"),
        ]

    def __enter__(self) -> Self:
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._driver.stdout is not None
        port = next(found[1] for line in self._driver.stdout if (found := re.search(r"on port (\d+)", line)))
        self._url = f"http://127.0.0.1:{port}/session"
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": self._arguments}}
        self._url += "/" + self._ask("post", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._ask("delete", "")
        finally:
            self._driver.terminate()
            self._driver.wait()

    def open(self, url: str) -> None:
        self._ask("post", "/url", {"url": url})

    def click(self, xpath: str) -> None:
        """Click the first element that matches, as soon as it is there."""
        found = self.wait(lambda: self._ask("post", "/elements", {"using": "xpath", "value": xpath}), xpath)
        self._ask("post", f"/element/{found[0][ELEMENT]}/click", {})

    def text(self) -> str:
        """Return what the page shows."""
        return str(self._ask("post", "/execute/sync", {"script": "return document.body.innerText", "args": []}))

    @staticmethod
    def wait(condition: Callable[[], Any], what: str, limit_s: float = 120) -> Any:
        """Return what the condition gives as soon as it gives something."""
        end = time.monotonic() + limit_s
        while not (found := condition()):
            assert time.monotonic() < end, f"waited {limit_s:g} s for {what}"
            time.sleep(0.2)
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, self._url + path, json=body, timeout=120).json()
        assert not isinstance(answer["value"], dict) or "error" not in answer["value"], answer["value"]
        return answer["value"]
