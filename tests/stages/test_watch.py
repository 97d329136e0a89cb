"""`python -m pipeline watch` as a user starts it, in a real browser, while a training goes on."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files import write_json
from tests.browser import Browser
from tests.conftest import heed_ctrl_c

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def address(judged_project):
    layout = judged_project.layout
    work = layout.run("ast").work(0) / "0123456789abcdef"
    curve = work / "live" / "plots" / "metrics" / "train" / "loss.tsv"
    curve.parent.mkdir(parents=True)
    curve.write_text("step\tloss\n1\t2.5\n2\t1.5\n")
    write_json(work / "seconds.json", {"seconds": 40.0})
    judged_project.configure(runs={"ast": {"model": "ast", "training": {"epochs": 8}}})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "watch", "--port", "0"],
        cwd=layout.root,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout is not None
    yield re.findall(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


def test_the_page_shows_the_curves_as_they_grow(address, judged_project):
    browser = Browser()
    try:
        browser.open(address)
        browser.wait("return document.querySelector('.training svg.marks')")
        assert "epoch 2 of 8" in browser.ask("return document.querySelector('.training').textContent")
        assert "0 of 1 fold trained" in browser.ask("return document.getElementById('load').textContent")
        assert browser.console() == []
        # A reader who has touched the page keeps it; the new figures wait for them.
        browser.click("#standing")
        (judged_project.layout.params).touch()
        browser.wait("return document.querySelector('#load button')")
        browser.click("#load button")
        browser.wait("return !document.querySelector('#load button') && document.querySelector('.training')")
        shutil.rmtree(judged_project.layout.run("ast").work(0))
        browser.wait("return document.getElementById('trainings').textContent.startsWith('Nothing is being trained')")
        browser.open(address)
        browser.wait("return document.getElementById('trainings').textContent.startsWith('Nothing is being trained')")
    finally:
        browser.driver.quit()
