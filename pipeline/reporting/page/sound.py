"""A clip small enough to be carried by the page: its sound and its spectrogram."""

import base64
import io

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from pipeline.clips.waveform import SAMPLE_RATE_HZ

FRAME_SAMPLES, HOP_SAMPLES = 256, 128  # 16 ms every 8 ms: short enough to see the strokes of the voice
RANGE_DB = 62  # what lies further under the loudest is white paper
ROWS = 64  # of 125 Hz each, 0 to 8 kHz
GREYS = 24  # so few that the picture stays under five kilobytes


def wav(samples: NDArray[np.int16]) -> str:
    """Return int16 [samples] at 16 kHz as base64 of a WAV file in 8-bit µ-law (ITU-T G.711), half of 16 bits in size.

    Browsers play it without a codec of their own, and equal samples give equal bytes.
    """
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="ULAW")
    return base64.b64encode(file.getvalue()).decode()


def spectrogram(samples: NDArray[np.int16]) -> str:
    """Return base64 of a grey PNG of int16 [samples], 64 high and a column each 8 ms: dark is loud, low is low."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32), FRAME_SAMPLES)[::HOP_SAMPLES]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME_SAMPLES).astype(np.float32)))[:, 1:] ** 2
    bands = power.reshape(len(power), ROWS, -1).sum(axis=2)  # [frames, rows]
    # The ear hears high bands louder than their power tells; six decibels an octave bring the consonants out.
    bands = bands * np.linspace(1, 24, ROWS)
    level = 10 * np.log10(bands + 1e3)
    dark = np.clip((level - level.max()) / RANGE_DB + 1, 0, 1) if bands.max() > 0 else np.zeros_like(level)
    dark **= 1.5  # hiss fades, the voice stays
    grey = 255 - np.round(np.round(dark * (GREYS - 1)) * 255 / (GREYS - 1))
    file = io.BytesIO()
    Image.fromarray(grey.T[::-1].astype(np.uint8)).quantize(GREYS).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
