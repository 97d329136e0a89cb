"""The page of `listen --web`: what it makes of blocks, and, where gradio and Chromium are there, the page itself."""

import shutil
import sys

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
