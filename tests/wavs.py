"""Recordings as bytes of a file, for tests that read such."""

import io

import numpy as np
import soundfile


def coded(samples: np.ndarray, rate_hz: int = 16_000, container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """Return a file of any format that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()
