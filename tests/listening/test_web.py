"""The page of `listen --web`: what it makes of blocks, and, where gradio and Chromium are there, the page itself."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from pipeline.errors import PipelineError
from pipeline.jobs.listening import Listener
from pipeline.listening import web
from pipeline.listening.ear import SlidingSecond
from pipeline.listening.spotting import Spotting
from tests.listening.loud import Loud, tones

PLACED = {1.0: "low", 3.0: "high"}
SPOTTING = Spotting(threshold=0.6)


@pytest.fixture
def listeners():
    def listener(name: str, hop_ms: int) -> Listener:
        return Listener(name, lambda: SlidingSecond(Loud(), hop_ms), ["low", "high"], "a test", 0, "")

    return [listener("coarse", 200), listener("fine", 100)]


@pytest.mark.parametrize(("rate_hz", "channels", "kind"), [(48_000, 1, np.int16), (44_100, 2, np.float32)])
def test_blocks_of_any_rate_and_kind_are_heard_by_all_listeners(listeners, rate_hz, channels, kind):
    page = web.Live(listeners, SPOTTING, rate_hz)
    scale = 32_767 if kind is np.int16 else 1
    sound = (tones(PLACED, 5, rate_hz) * scale).astype(kind)
    sound = sound if channels == 1 else np.stack([sound] * channels, axis=1)
    for start in range(0, len(sound), 10_007):
        page.take(sound[start : start + 10_007])
    page.take(sound[:0])
    for hearing in page.hearings:
        assert [one.label for one in hearing.said] == ["low", "high"]
        assert [one.time_s for one in hearing.said] == pytest.approx([1.25, 3.25], abs=0.3)
    assert "high at 3." in page.table()
    assert page.table().count("<tr>") == 3


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "FLOAT"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS")])
def test_a_file_is_read_as_the_terminal_reads_it(name, subtype, listeners, tmp_path):
    soundfile.write(tmp_path / name, tones(PLACED, 5, 44_100), 44_100, subtype=subtype)
    for hearing in web.heard_file(listeners, SPOTTING, tmp_path / name).hearings:
        assert [one.label for one in hearing.said] == ["low", "high"]
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(PipelineError, match="is no audio"):
        web.heard_file(listeners, SPOTTING, tmp_path / name)


def test_without_gradio_it_says_what_to_install(listeners, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(PipelineError, match=r"pip install -r requirements-web\.txt"):
        web.page(listeners, SPOTTING)


def test_the_heading_tells_who_listens_for_what(listeners):
    assert web.heading(listeners) == "Words that the runs listen for: low, high."
    told = web.heading([*listeners, replace(listeners[0], run="third", keywords=["on"])])
    assert told.splitlines()[2:] == ["- by coarse (a test), fine (a test): low, high", "- by third (a test): on"]


def test_a_taken_port_is_told(listeners, monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    with socket.create_server((web.ADDRESS, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PipelineError) as error:
            web.serve(listeners, SPOTTING, port)
    assert str(error.value) == f"The port {port} of 127.0.0.1 is taken. Take another --port."


SERVING = """
import signal, sys
sys.path[:] = {path}
at_once = {at_once}
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job has some ignored
    signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
from pipeline.jobs.listening import Listener
from pipeline.listening import web
from pipeline.listening.spotting import Spotting
def told(*words, **options):
    print(*words, **options)
    if at_once:
        signal.raise_signal(at_once)
web.print = told
web.serve([Listener("a", lambda: None, ["yes"], "a test", 0, "")], Spotting(), 0)
"""


@pytest.fixture
def serving(tmp_path):
    """Start a process that serves the page; the signal `at_once`, if any, meets it once it has told its address."""
    pytest.importorskip("gradio")

    def start(at_once: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", SERVING.format(path=sys.path, at_once=at_once)],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")
@pytest.mark.parametrize(("name", "at_once"), [("SIGINT", True), ("SIGTERM", False), ("SIGHUP", False)])
def test_what_ends_the_page_leaves_no_sound_on_the_disk(name, at_once, serving, tmp_path):
    number = getattr(signal, name)
    with serving(number if at_once else 0) as process:
        try:
            assert process.stdout.readline().startswith("Listening page: http://127.0.0.1:")
            if not at_once:
                (folder,) = tmp_path.glob("listening-page-*")
                (folder / "block.wav").write_bytes(b"what was spoken")
                process.send_signal(number)
            process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert not list(tmp_path.glob("listening-page-*"))


@pytest.fixture
def served(listeners):
    """The page's address."""
    pytest.importorskip("gradio")
    built = web.page(listeners, SPOTTING)
    built.launch(server_name=web.ADDRESS, share=False, quiet=True, prevent_thread_lock=True)
    yield built.local_url
    built.close()


@pytest.fixture
def chromium(tmp_path):
    """A browser without a window, whose microphone hears speech.wav, from its beginning, again and again."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("there is no chromium with its chromedriver here")
    soundfile.write(tmp_path / "speech.wav", tones(PLACED, 5, 48_000), 48_000, subtype="PCM_16")
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        *("headless=new", "no-sandbox", "disable-dev-shm-usage", f"user-data-dir={tmp_path / 'profile'}"),
        *("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"),
        f"use-file-for-fake-audio-capture={tmp_path / 'speech.wav'}",
    ):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    yield browser
    browser.quit()


def test_chromium_speaks_into_the_page(served, chromium):
    chromium.get(served)
    wait = WebDriverWait(chromium, 120)

    def record(page):
        buttons = page.find_elements(By.XPATH, "//button[contains(., 'Record')]")
        return next((button for button in buttons if button.is_displayed()), None)

    wait.until(record).click()
    words = ("coarse (a test)", "fine (a test)", "low at", "high at")
    wait.until(lambda page: all(word in page.find_element(By.TAG_NAME, "body").text for word in words))
