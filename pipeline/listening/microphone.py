"""Samples from a microphone, through the package sounddevice, which nothing else here needs."""

import queue
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.listening.windows import BEFORE, Resampler

BLOCK_S = 0.05
LONGEST_QUEUE_S = 5.0  # what is behind by more is lost: an ear that is too slow must not fill the memory
SILENT_S = 5.0  # without any block, the microphone is gone


def blocks(device: int | None) -> Iterator[NDArray[np.int16]]:
    """Yield what a microphone hears, int16 [samples] at 16 kHz, until it is closed, after half a second of silence.

    `device` is its number, as sounddevice counts; None the system's own choice. In the place of sound that is lost,
    since it was not taken in time, comes as much silence: what follows keeps its time. Raises PipelineError without the
    package, without such a device, if it cannot be started, and if it stops giving sound.
    """
    sound = _library()
    # Each with the number of frames that were lost before it.
    heard: queue.Queue[tuple[int, NDArray[np.float32]]] = queue.Queue(maxsize=round(LONGEST_QUEUE_S / BLOCK_S))
    lost = 0

    def take(block: NDArray[np.float32], frames: int, time: Any, status: Any) -> None:
        nonlocal lost
        if heard.full():
            lost += len(block)
        else:
            heard.put_nowait((lost, block.copy()))
            lost = 0

    try:
        about = sound.query_devices(device, "input")
        rate_hz = int(about["default_samplerate"])
        stream = sound.InputStream(
            rate_hz, round(BLOCK_S * rate_hz), device, about["max_input_channels"], "float32", callback=take
        )
    except (sound.PortAudioError, ValueError) as error:
        raise PipelineError(_no_device(sound, device, error)) from None
    resampler = Resampler(rate_hz)
    with ExitStack() as opened:
        try:
            opened.enter_context(stream)
        except sound.PortAudioError as error:
            raise PipelineError(
                f"The microphone '{about['name']}' cannot be started: {_reason(error)}.\n"
                "Is another program using it? Name another with --device, or listen to a recording: "
                "python -m pipeline listen FILE.wav"
            ) from None
        yield BEFORE
        while True:
            try:
                missing, block = heard.get(timeout=SILENT_S)
            except queue.Empty:
                raise PipelineError(
                    f"The microphone '{about['name']}' has given no sound for {SILENT_S:g} s. Is it still plugged in?"
                ) from None
            if missing:
                print(
                    f"{missing / rate_hz:.1f} s of the microphone's sound were lost: this machine was behind by more "
                    f"than {LONGEST_QUEUE_S:g} s.",
                    file=sys.stderr,
                )
            for start in range(0, missing, rate_hz):  # a second at a time: it may be an hour
                yield resampler.push(np.zeros((min(rate_hz, missing - start), 1), np.float32))
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
    return (
        f"{wanted}: {_reason(error)}.\nMicrophones: {'; '.join(inputs) or 'none'}.\n"
        "Name one with --device, or listen to a recording: python -m pipeline listen FILE.wav"
    )


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".")
