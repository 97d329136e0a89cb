"""Speech from espeak-ng, in a process of its own.

The library is one unlocked state machine whose hidden state outlives `espeak_Terminate`: the same bytes come only from
a fresh process, the same order of calls and a set random seed. So `speak` starts `python -m pipeline.synthesis.espeak`,
sends it all requests and streams the answers back while the child goes on speaking.

espeak-ng is GPL-3; it is a separate library, called here and not copied. `espeakng-loader` brings it as a wheel.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.errors import PipelineError

SAMPLE_RATE_HZ = 22_050

# From espeak-ng's speak_lib.h.
_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8 = 2, 0x8000, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_ENGLISH_DATA = ("phontab", "phonindex", "phondata", "intonations", "en_dict", "lang/gmw")


@dataclass(frozen=True)
class Utterance:
    """One thing to say. `variant` is the text of an espeak voice file: the vocal tract."""

    text: str
    dialect: str
    variant: str
    words_per_minute: int
    pitch: int
    pitch_range: int


def speak(utterances: Sequence[Utterance], seed: int) -> Iterator[np.ndarray]:
    """Yield one int16 array [samples at SAMPLE_RATE_HZ] an utterance, in order, the closing pause included.

    Equal utterances in equal order with an equal seed give equal samples on one kind of machine.
    Raises PipelineError if the library is missing, does not load, lacks a dialect, or crashes.
    """
    package_root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    with (
        # The parent's, so that it goes even when the child crashes or is stopped.
        tempfile.TemporaryDirectory(prefix="es") as folder,
        tempfile.TemporaryFile() as messages,
        tempfile.TemporaryFile() as requests,
    ):
        request = {"folder": folder, "seed": seed, "utterances": [asdict(utterance) for utterance in utterances]}
        requests.write(json.dumps(request).encode())
        requests.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-m", "pipeline.synthesis.espeak"],
            stdin=requests,
            stdout=subprocess.PIPE,
            stderr=messages,
            env={**os.environ, "PYTHONPATH": paths},
        )
        assert child.stdout is not None
        try:
            for _ in utterances:
                size = child.stdout.read(4)
                pcm = child.stdout.read(int.from_bytes(size, "little"))
                if len(size) < 4 or len(pcm) < int.from_bytes(size, "little"):
                    status = child.wait()
                    messages.seek(0)
                    raise _unusable(messages.read().decode(errors="replace").strip() or f"it ended with {status}")
                yield np.frombuffer(pcm, dtype="<i2").astype(np.int16, copy=False)
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def _unusable(reason: str) -> PipelineError:
    return PipelineError(
        f"The demo's speech synthesiser, espeak-ng, does not work here: {reason}\n"
        "It comes with the package espeakng-loader: pip install -r requirements.txt (wheels for Linux, macOS and "
        "Windows).\nWhere it cannot run, use recordings: cp profiles/archives.yaml params.yaml and set download.folder."
    )


class _Library:
    """The loaded library. One a process; use from one thread."""

    def __init__(self, folder: Path, seed: int) -> None:
        try:
            import espeakng_loader

            data = Path(espeakng_loader.get_data_path())
            library = ctypes.CDLL(espeakng_loader.get_library_path())
        except (ImportError, OSError, RuntimeError) as error:
            raise _LibraryError(str(error)) from None
        # The library cuts its data path at about 160 characters, and variants have to lie among its data: so the part
        # that English needs (1 MB) moves into a short temporary folder.
        for name in _ENGLISH_DATA:
            if not (data / name).exists():
                raise _LibraryError(f"{data} lacks {name}")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (data / name).is_dir() else shutil.copyfile)(data / name, target)
        self._variants = folder / "voices" / "!v"
        self._variants.mkdir(parents=True)
        self._library = library
        # Without the flag, missing data would end the interpreter; 0 and -1 both mean failure.
        rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(folder), _DO_NOT_EXIT)
        if rate_hz != SAMPLE_RATE_HZ:
            raise _LibraryError(f"espeak_Initialize gave a sample rate of {rate_hz}, expected {SAMPLE_RATE_HZ}")
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_ng_SetRandSeed(seed % 2**31)
        self._chunks: list[bytes] = []
        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._callback = signature(self._keep)  # Held here, for the library would call freed memory.
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._voices: dict[tuple[str, str], bytes] = {}
        self._current: tuple[str, str] | None = None

    def _keep(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, utterance: Utterance) -> bytes:
        """Return int16 PCM in the machine's byte order."""
        self._choose(utterance.dialect, utterance.variant)
        for parameter, value in (
            (_RATE, utterance.words_per_minute),
            (_PITCH, utterance.pitch),
            (_RANGE, utterance.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        text = utterance.text.encode() + b"\0"
        status = self._library.espeak_Synth(text, len(text), 0, 0, 0, _UTF8, None, None)
        if status != 0 or not self._chunks:
            raise _LibraryError(f"it cannot say {utterance.text!r} (status {status})")
        return b"".join(self._chunks)

    def _choose(self, dialect: str, variant: str) -> None:
        key = (dialect, variant)
        if key == self._current:
            return
        if key not in self._voices:
            # A missing variant is ignored without a word, so the file is written before it is named.
            name = f"v{len(self._voices)}"
            (self._variants / name).write_text(variant, encoding="utf-8", newline="\n")
            self._voices[key] = f"{dialect}+{name}".encode()
        # A failure leaves the previous voice in place.
        if self._library.espeak_SetVoiceByName(self._voices[key]) != 0:
            raise _LibraryError(f"it has no voice for the dialect {dialect!r}")
        self._current = key


class _LibraryError(Exception):
    """The library cannot do it; the parent process turns the text into a PipelineError."""


def _serve(request: Any, output: BinaryIO) -> None:
    library = _Library(Path(request["folder"]), request["seed"])
    for values in request["utterances"]:
        pcm = library.speak(Utterance(**values))
        output.write(len(pcm).to_bytes(4, "little") + np.frombuffer(pcm, np.int16).astype("<i2").tobytes())


if __name__ == "__main__":
    try:
        with suppress(BrokenPipeError):  # The reader has stopped early, as it may.
            _serve(json.load(sys.stdin), sys.stdout.buffer)
            sys.stdout.flush()
    except _LibraryError as problem:
        sys.exit(str(problem))
