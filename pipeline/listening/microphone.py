"""Samples from a microphone, through the package sounddevice, which nothing else here needs."""

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.listening.windows import BEFORE, Resampler

BLOCK_S = 0.05
LONGEST_QUEUE_S = 5.0  # what is behind by more is dropped: an ear that is too slow must not fill the memory
SILENT_S = 5.0  # without any block, the microphone is gone


def blocks(device: int | None) -> Iterator[NDArray[np.int16]]:
    """Yield what a microphone hears, int16 [samples] at 16 kHz, until it is closed, after half a second of silence.

    `device` is its number, as sounddevice counts; None the system's own choice. Raises PipelineError without the
    package, without such a device, and if it stops giving sound.
    """
    sound = _library()
    heard: queue.Queue[NDArray[np.float32]] = queue.Queue(maxsize=round(LONGEST_QUEUE_S / BLOCK_S))

    def take(block: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        if not heard.full():
            heard.put_nowait(block.copy())

    try:
        about = sound.query_devices(device, "input")
        rate_hz = int(about["default_samplerate"])
        stream = sound.InputStream(
            rate_hz, round(BLOCK_S * rate_hz), device, about["max_input_channels"], "float32", callback=take
        )
    except (sound.PortAudioError, ValueError) as error:
        raise PipelineError(_no_device(sound, device, error)) from None
    resampler = Resampler(rate_hz)
    yield BEFORE
    with stream:
        while True:
            try:
                block = heard.get(timeout=SILENT_S)
            except queue.Empty:
                raise PipelineError(
                    f"The microphone '{about['name']}' has given no sound for {SILENT_S:g} s. Is it still plugged in?"
                ) from None
            yield resampler.push(np.nan_to_num(block))


def _library() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise PipelineError(
            "A microphone needs the package sounddevice, which is not installed: pip install sounddevice\n"
            "A recording needs no package: python -m pipeline listen FILE.wav"
        ) from None
    except OSError as error:
        raise PipelineError(
            f"The package sounddevice finds no PortAudio library: {error}.\n"
            "Install it (Debian: apt install libportaudio2), or listen to a recording: "
            "python -m pipeline listen FILE.wav"
        ) from None
    return sounddevice


def _no_device(sound: Any, device: int | None, error: Exception) -> str:
    try:
        inputs = [f"{n}: {one['name']}" for n, one in enumerate(sound.query_devices()) if one["max_input_channels"]]
    except sound.PortAudioError:
        inputs = []
    wanted = "There is no microphone" if device is None else f"Device {device} is no microphone"
    reason = str(error).strip().rstrip(".")
    return (
        f"{wanted}: {reason}.\nMicrophones: {'; '.join(inputs) or 'none'}.\n"
        "Name one with --device, or listen to a recording: python -m pipeline listen FILE.wav"
    )
