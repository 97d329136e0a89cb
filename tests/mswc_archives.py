"""Archives in the layout of the Multilingual Spoken Words Corpus, with clips by libsndfile's Opus encoder."""

import csv
import functools
import io
import tarfile
from pathlib import Path

import numpy as np
import soundfile

ENGLISH = ["yes", "no", *(f"word{number:02}" for number in range(23))]
GERMAN = ["ja", "nein", *(f"wort{number}" for number in range(8))]
SPEAKERS = 6
SETS = ["TRAIN"] * 4 + ["DEV", "TEST"]


def pitch_hz(word: str) -> int:
    return 200 + 60 * (ENGLISH + GERMAN).index(word)


@functools.cache
def opus(word: str, speaker: int) -> bytes:
    """A second of a tone as the corpus has it: Opus in Ogg, 48 kHz, mono."""
    file = io.BytesIO()
    tone = (0.2 + 0.1 * speaker) * np.sin(2 * np.pi * pitch_hz(word) * np.arange(48_000) / 48_000)
    soundfile.write(file, tone, 48_000, format="OGG", subtype="OPUS")
    return file.getvalue()


def rows(language: str, words: list[str]) -> list[tuple[str, ...]]:
    """One clip a word and speaker; the lists have the columns SET,LINK,WORD,VALID,SPEAKER,GENDER."""
    return [
        (
            SETS[s],
            f"{word}/common_voice_{language}_{s}.opus",
            word,
            "True",
            f"{language}{s:0126}",
            ["MALE", "NAN"][s % 2],
        )
        for word in words
        for s in range(SPEAKERS)
    ]


def tarball(path: Path, members: dict[str, bytes], *odd: tarfile.TarInfo) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in odd:
            archive.addfile(info)


def write_lists(folder: Path, language: str, listed: list[tuple[str, ...]]) -> None:
    columns = ("SET", "LINK", "WORD", "VALID", "SPEAKER", "GENDER")
    tables = {f"{language}_splits.csv": [columns, *listed]}
    for name, split in (("train", "TRAIN"), ("dev", "DEV"), ("test", "TEST")):
        tables[f"{language}_{name}.csv"] = [columns[1:], *(row[1:] for row in listed if row[0] == split)]
    texts = {"version.txt": b"version 1.0\n"}
    for name, table in tables.items():
        text = io.StringIO(newline="")
        csv.writer(text).writerows(table)
        texts[name] = text.getvalue().encode()
    tarball(folder / "splits" / f"{language}.tar.gz", texts)


def write(
    folder: Path,
    language: str,
    words: list[str],
    listed: list[tuple[str, ...]] | None = None,
    levels: int = 1,  # of each word's clips: those at the same level hold the same samples, and are encoded once
) -> None:
    listed = rows(language, words) if listed is None else listed
    write_lists(folder, language, listed)
    clips = {f"{language}/clips/{row[1]}": opus(row[2], number % levels) for number, row in enumerate(listed)}
    tarball(folder / "audio" / f"{language}.tar.gz", clips)
