"""Debian's Chromium, without a window and without a network."""

import shutil
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import axe_core_python
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--autoplay-policy=no-user-gesture-required", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
BROWSERS, DRIVERS = ("chromium", "chromium-browser", "google-chrome"), ("chromedriver", "chromium.chromedriver")


class Browser:
    """One window; `console` are the lines that the pages wrote since it was last asked."""

    def __init__(self) -> None:
        found = [next(filter(None, map(shutil.which, names)), None) for names in (BROWSERS, DRIVERS)]
        if None in found:
            pytest.skip("there is no Chromium with its driver here: apt-get install -y chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = str(found[0])
        for flag in FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(found[1]))

    def open(self, page: Path | str, width: int = 1200, scheme: str = "light") -> None:
        """Load a file or an address, and wait until its charts are drawn."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        self.cdp("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.driver.get(page.resolve().as_uri() if isinstance(page, Path) else page)
        self.settle()

    def settle(self) -> None:
        """Wait until all charts that were asked for are drawn."""
        script = "const done = arguments[0]; window.drawn.then(() => done(''), (error) => done(String(error)))"
        assert self.driver.execute_async_script(script) == ""

    def ask(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def click(self, selector: str) -> None:
        """Click the first element that a selector finds, wherever it is."""
        self.ask("document.querySelector(arguments[0]).click()", selector)

    def wait(self, script: str) -> None:
        """Wait five seconds at most until a script returns something true."""
        end = time.monotonic() + 5
        while not self.ask(script):
            assert time.monotonic() < end, script
            time.sleep(0.02)

    def console(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def cdp(self, command: str, values: dict[str, Any]) -> Any:
        return self.driver.execute_cdp_cmd(command, values)

    def findings(self) -> list[str]:
        """Return what axe-core finds that is serious or critical."""
        self.ask((files(axe_core_python) / "axe.min.js").read_text(encoding="utf-8"))
        script = "const done = arguments[0]; axe.run().then((found) => done(found.violations))"
        found = self.driver.execute_async_script(script)
        return [
            f"{each['id']}: {node['html'][:200]}"
            for each in found
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]
