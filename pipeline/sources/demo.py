"""A miniature of the competition, spoken by a synthesiser on the spot: no network, no account, the same from each seed.

`fetch` lays out the competition's own archives and, what the competition keeps for itself, the answers; from there on
the demo takes the path of `archives`. Its scores are those of synthetic speech and say nothing of the leaderboard.
"""

import csv
import io
import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import py7zr
from py7zr.helpers import ArchiveTimestamp
from pydantic import Field

from pipeline.clips.labels import COMMANDS, SILENCE, UNKNOWN
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing, write_json
from pipeline.settings import Settings
from pipeline.sources import SourceFile
from pipeline.sources.archives import answers, catalogue, read, sample
from pipeline.synthesis import acoustics, backgrounds
from pipeline.synthesis.espeak import Utterance, speak
from pipeline.synthesis.speech import Noise, coloured, recorded
from pipeline.synthesis.voices import Voice, draw_voices

__all__ = ["Params", "answers", "fetch", "read", "sample"]

TELLS = ("word", "speaker")

# Raise it when the clips change, so that demos made before are made again.
GENERATOR = 1

OTHER_WORDS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin",
    "nine", "one", "seven", "sheila", "six", "three", "tree", "two", "wow", "zero",
)  # fmt: skip
# Words of the test set that no training clip holds; five of them came with Speech Commands v0.02.
UNSEEN_WORDS = (
    "backward", "forward", "follow", "learn", "visual", "bottle", "chicken", "doctor", "finger", "hammer",
    "kitchen", "lemon", "market", "pencil", "rabbit", "silver", "thunder", "velvet", "winter", "orange",
)  # fmt: skip
UNSEEN_SHARE = 0.6
PUBLIC_SHARE = 0.3
DIGITAL_SILENCE_SHARE = 0.1
_FILES = ("train.7z", "test.7z", "sample_submission.7z", "answers.csv")


class Params(Settings):
    """Sizes of the demo. `train_voices` include those that `validation_share` sets aside; the test has others."""

    folder: Path = Path("data/demo")
    train_voices: int = Field(default=80, ge=2, le=2_000)
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    test_voices: int = Field(default=30, ge=1, le=2_000)
    clips_per_command: int = Field(default=180, ge=2, le=10_000)
    clips_per_other_word: int = Field(default=50, ge=1, le=10_000)
    test_clips_per_label: int = Field(default=95, ge=2, le=10_000)
    background_seconds: int = Field(default=40, ge=3, le=600)


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Make the archives in `params.folder` unless the same ones lie there, and list them.

    Raises PipelineError if the synthesiser does not work here, or if the folder holds files that are no demo's.
    """
    stamp, key = params.folder / "demo.json", _key(params, seed)
    if not _is_made(stamp, key):
        if strangers := _strangers(params.folder, stamp):
            told = ", ".join(strangers[:5]) + (", ..." if len(strangers) > 5 else "")
            raise PipelineError(
                f"{params.folder} holds {told}, which the demo did not make: it will not write among it.\n"
                "Set download.folder in params.yaml to another folder, or download.source to archives."
            )
        write_json(stamp, {**key, "bytes": {}})  # Names the folder the demo's, though nothing is whole yet.
        for torn in params.folder.glob(".*.part*"):  # What a killed process left.
            torn.unlink()
        sizes = {path.name: path.stat().st_size for path in _make(params, seed)}
        write_json(stamp, {**key, "bytes": sizes})
    return catalogue(params.folder, params.folder / "answers.csv")


@dataclass(frozen=True)
class _Clip:
    """A member to make: who says which word, and its name in the archive."""

    voice: Voice
    word: str
    name: str


def _key(params: Params, seed: int) -> dict[str, Any]:
    return {"generator": GENERATOR, "seed": seed, "params": params.model_dump(mode="json", exclude={"folder"})}


def _is_made(stamp: Path, key: dict[str, Any]) -> bool:
    try:
        made = read_json(stamp)
    except (FileNotFoundError, ValueError):
        return False
    files = made.pop("bytes", {})
    whole = all(
        (stamp.parent / name).is_file() and (stamp.parent / name).stat().st_size == files[name] for name in files
    )
    return made == key and bool(files) and whole


def _strangers(folder: Path, stamp: Path) -> list[str]:
    """Return what lies in the folder that no demo made, sorted; hidden files are of no concern."""
    own = {stamp.name, *_FILES} if stamp.exists() else set()
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in there if name not in own and not name.startswith("."))


def _make(params: Params, seed: int) -> list[Path]:
    streams = np.random.SeedSequence(seed).spawn(5)
    voice_rng, train_rng, test_rng, train_noise_rng, test_noise_rng = (np.random.default_rng(s) for s in streams)
    voices = draw_voices(params.train_voices + params.test_voices, voice_rng)
    learning, judging = voices[: params.train_voices], voices[params.train_voices :]
    validating = learning[: min(len(learning) - 1, max(1, round(params.validation_share * len(learning))))]

    clips = _training_clips(params, learning, train_rng)
    noises = _background(params, train_noise_rng)
    with _archive(params.folder / "train.7z") as add:
        for name, recording in noises.items():
            add(f"train/audio/_background_noise_/{name}", _wav(recording))
        for clip, pcm in _recorded(clips, acoustics.TRAINING, coloured, train_rng, "training clips"):
            add(f"train/audio/{clip.name}", _wav(pcm))
        held_out = {voice.speaker for voice in validating}
        listed = sorted(clip.name for clip in clips if clip.voice.speaker in held_out)
        add("train/validation_list.txt", "".join(f"{name}\n" for name in listed).encode())
        add("train/testing_list.txt", b"")  # As in the competition, the testing voices are in the test set.

    strange = list(_background(params, test_noise_rng).values())
    clips, labels = _test_clips(params, judging, test_rng)
    with _archive(params.folder / "test.7z") as add:
        for clip, pcm in _recorded(clips, acoustics.TEST, _heard_over(strange), test_rng, "test clips"):
            add(f"test/audio/{clip.name}", _wav(pcm))
        for name in sorted(name for name, label in labels.items() if label == SILENCE):
            add(f"test/audio/{name}", _wav(_silence(strange, test_rng)))

    names = sorted(labels)
    public = set(test_rng.permutation(names)[: round(PUBLIC_SHARE * len(names))])
    with _archive(params.folder / "sample_submission.7z") as add:
        add("sample_submission.csv", _csv([("fname", "label"), *((name, SILENCE) for name in names)]))
    rows = [(name, labels[name], "Public" if name in public else "Private") for name in names]
    with replacing(params.folder / "answers.csv") as temporary:
        temporary.write_bytes(_csv([("fname", "label", "usage"), *rows]))
    return [params.folder / name for name in _FILES]


def _training_clips(params: Params, voices: list[Voice], rng: np.random.Generator) -> list[_Clip]:
    """Return the clips, voice by voice; each word goes round all voices before one says it again."""
    clips = []
    for word in sorted((*COMMANDS, *OTHER_WORDS)):
        turn = rng.permutation(len(voices))
        for number in range(params.clips_per_command if word in COMMANDS else params.clips_per_other_word):
            voice = voices[turn[number % len(voices)]]
            clips.append(_Clip(voice, word, f"{word}/{voice.speaker}_nohash_{number // len(voices)}.wav"))
    return sorted(clips, key=lambda clip: (clip.voice.speaker, clip.name))


def _test_clips(params: Params, voices: list[Voice], rng: np.random.Generator) -> tuple[list[_Clip], dict[str, str]]:
    """Return the spoken clips, voice by voice, and the label of every clip, the silent ones included."""
    each = params.test_clips_per_label
    unseen = round(UNSEEN_SHARE * each)
    words = [word for word in COMMANDS for _ in range(each)]
    words += [str(word) for word in np.resize(rng.permutation(UNSEEN_WORDS), unseen)]
    words += [str(word) for word in np.resize(rng.permutation(OTHER_WORDS), each - unseen)]
    names: dict[str, None] = {}
    while len(names) < len(words) + each:
        names[f"clip_{rng.integers(16**9):09x}.wav"] = None
    clips = [_Clip(voices[rng.integers(len(voices))], word, name) for word, name in zip(words, names, strict=False)]
    labels = dict.fromkeys(names, SILENCE)
    labels.update((clip.name, clip.word if clip.word in COMMANDS else UNKNOWN) for clip in clips)
    return sorted(clips, key=lambda clip: (clip.voice.speaker, clip.name)), labels


def _recorded(
    clips: list[_Clip], scene: acoustics.Scene, noise: Noise, rng: np.random.Generator, what: str
) -> Iterator[tuple[_Clip, np.ndarray]]:
    """Yield each clip with its int16 samples."""
    yield from zip(clips, recorded([(clip.voice, clip.word) for clip in clips], scene, noise, rng, what), strict=True)


def _background(params: Params, rng: np.random.Generator) -> dict[str, np.ndarray]:
    script: list[Utterance] = backgrounds.script(rng)
    spoken = list(speak(script, int(rng.integers(2**31))))
    return backgrounds.record_backgrounds(spoken, params.background_seconds, rng)


def _heard_over(recordings: list[np.ndarray]) -> Noise:
    """Return a noise that is coloured for one half of the clips, a stretch of `recordings` for the other."""

    def noise(clips: int, rng: np.random.Generator) -> np.ndarray:
        stretches = backgrounds.stretches(recordings, clips, rng)
        return np.where(rng.random((clips, 1)) < 0.5, stretches, coloured(clips, rng))

    return noise


def _silence(recordings: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Return int16 [CLIP_SAMPLES]: a stretch, or two mixed, at any volume, digital silence included."""
    if rng.random() < DIGITAL_SILENCE_SHARE:
        return np.zeros(CLIP_SAMPLES, dtype=np.int16)
    mixture = backgrounds.stretches(recordings, int(rng.integers(1, 3)), rng).sum(axis=0)
    rms = 10 ** (rng.uniform(-65, -14) / 20)
    return acoustics.quantised(mixture * (rms / max(1e-6, float(np.sqrt(np.mean(mixture**2))))))


@contextmanager
def _archive(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Yield a function that adds a member to the 7z archive `path`, which appears when the block ends well."""
    with (
        replacing(path) as temporary,
        # Noise hardly shrinks; stored, the archive is written and read at the disk's speed.
        py7zr.SevenZipFile(temporary, "w", filters=[{"id": py7zr.FILTER_COPY}]) as archive,
    ):

        def add(name: str, data: bytes) -> None:
            with io.BytesIO(data) as member:  # Closed, or py7zr would hold every member until the end.
                archive.writef(member, name)
            # Without the clock, the same demo has the same bytes, and nothing downstream is trained again.
            archive.files.files_list[-1]["lastwritetime"] = ArchiveTimestamp.from_datetime(0)

        yield add


def _wav(pcm: np.ndarray) -> bytes:
    """Return int16 samples as a 16 kHz mono WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
    return buffer.getvalue()


def _csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
