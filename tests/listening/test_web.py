"""The page of `listen --web`: what it makes of blocks, and, where gradio and Chromium are there, the page itself."""

import threading

import numpy as np
import pytest
import soundfile

from pipeline.errors import PipelineError
from pipeline.jobs.listening import Listener
from pipeline.listening import web
from pipeline.listening.ear import SlidingSecond
from pipeline.listening.spotting import Spotting
from tests.listening import browser
from tests.listening.loud import Loud, tones

PLACED = {1.0: "low", 3.0: "high"}
SPOTTING = Spotting(threshold=0.6)


@pytest.fixture
def listeners():
    def listener(name: str, hop_ms: int) -> Listener:
        return Listener(name, lambda: SlidingSecond(Loud(), hop_ms), ["low", "high"], "a test", 0)

    return [listener("coarse", 200), listener("fine", 100)]


@pytest.mark.parametrize(("rate_hz", "channels", "kind"), [(48_000, 1, np.int16), (44_100, 2, np.float32)])
def test_blocks_of_any_rate_and_kind_are_heard_by_all_listeners(listeners, rate_hz, channels, kind):
    page = web.Page(listeners, SPOTTING, rate_hz)
    scale = 32_767 if kind is np.int16 else 1
    sound = (tones(PLACED, 5, rate_hz) * scale).astype(kind)
    sound = sound if channels == 1 else np.stack([sound] * channels, axis=1)
    for start in range(0, len(sound), 10_007):
        page.push(sound[start : start + 10_007], is_last=start + 10_007 >= len(sound))
    for hearing in page.hearings:
        assert [one.label for one in hearing.said] == ["low", "high"]
        assert [one.time_s for one in hearing.said] == pytest.approx([1.25, 3.25], abs=0.3)
    assert "high at 3." in page.table()
    assert page.table().count("<tr>") == 3


def test_without_gradio_it_says_what_to_install(listeners, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    with pytest.raises(PipelineError, match=r"pip install -r requirements-web\.txt"):
        web.page(listeners, SPOTTING)


@pytest.fixture
def served(listeners):
    pytest.importorskip("gradio")
    if not browser.is_there():
        pytest.skip("there is no chromium with its chromedriver here")
    built = web.page(listeners, SPOTTING)
    built.launch(server_name=web.ADDRESS, server_port=None, share=False, quiet=True, prevent_thread_lock=True)
    yield built.local_url
    before = threading.active_count()
    built.close()
    assert threading.active_count() <= before


def test_chromium_speaks_into_the_page(served, tmp_path):
    soundfile.write(tmp_path / "speech.wav", tones(PLACED, 5, 48_000), 48_000, subtype="PCM_16")
    with browser.Browser(tmp_path / "speech.wav", tmp_path / "profile") as chromium:
        chromium.open(served)
        chromium.click("//button[contains(., 'Record')]")
        chromium.wait(
            lambda: all(text in chromium.text() for text in ("coarse (a test)", "fine (a test)", "high at", "low at")),
            "both words in the table",
        )
