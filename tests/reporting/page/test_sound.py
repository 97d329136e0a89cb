import base64
import io

import numpy as np
import soundfile
from PIL import Image

from pipeline.reporting.page import sound

SECONDS = np.arange(16_000) / 16_000
TONE = (12_000 * np.sin(2 * np.pi * 2000 * SECONDS) * (SECONDS > 0.5)).astype(np.int16)


def test_a_clip_is_heard_as_it_was_in_half_of_the_bytes():
    data = base64.b64decode(sound.wav(TONE))
    assert len(data) < 16_100
    samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 16_000
    noise = samples.astype(float) - TONE
    assert 10 * np.log10(np.mean(TONE.astype(float) ** 2) / np.mean(noise**2)) > 30
    assert sound.wav(TONE) == sound.wav(TONE.copy())


def test_a_tone_is_dark_at_its_time_and_pitch():
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(sound.spectrogram(TONE)))).convert("L"))
    assert picture.shape == (64, 124)
    row, column = np.unravel_index(picture.argmin(), picture.shape)
    assert 64 - row in (16, 17)  # 2 kHz of 8, 125 Hz a row, from below
    assert column > 60
    assert picture[:, :60].min() > 240


def test_digital_silence_is_white_paper():
    picture = Image.open(io.BytesIO(base64.b64decode(sound.spectrogram(np.zeros(16_000, np.int16)))))
    assert np.asarray(picture.convert("L")).min() == 255
