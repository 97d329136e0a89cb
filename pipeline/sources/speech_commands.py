"""Speech Commands as Google published it: the training tarball and the test set that belongs to it, by HTTP."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas
import requests
from pydantic import Field
from tqdm import tqdm

from pipeline.clips.recording import Recording, SplitList
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives
from pipeline.sources import _archive as archive

_WAITS_S = (1, 2, 4, 8, 16, 32)  # before each further try; counted anew once bytes have come
_TIMEOUT_S = 60
_LABELS = {"_unknown_": "unknown", "_silence_": "silence"}
_PUBLIC_SHARE = 0.3  # as in the competition


@dataclass(frozen=True)
class _Published:
    name: str
    bytes: int
    sha256: str | None


# v0.02: TensorFlow Datasets, url_checksums/speech_commands.txt. v0.01, training: torchaudio, datasets/speechcommands.py
# (SHA-256), and the length the server gave. v0.01, test set: the length is what remains of the 1,560,367,713 bytes that
# the card of the SUPERB dataset gives for both files together; no SHA-256 of it is published anywhere we looked.
_PUBLISHED = {
    "v0.01": (
        _Published(
            "speech_commands_v0.01.tar.gz",
            1_489_096_277,
            "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        ),
        _Published("speech_commands_test_set_v0.01.tar.gz", 71_271_436, None),
    ),
    "v0.02": (
        _Published(
            "speech_commands_v0.02.tar.gz",
            2_428_923_189,
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
        _Published(
            "speech_commands_test_set_v0.02.tar.gz",
            112_563_277,
            "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
        ),
    ),
}


class Params(Settings):
    """Where the tarballs go, and where they come from.

    `sha256` (file name: digest) takes the place of what was published, length included: for a mirror with other files.
    """

    folder: Path
    version: Literal["v0.01", "v0.02"] = "v0.02"
    base_url: str = "http://download.tensorflow.org/data"
    sha256: dict[str, str] = Field(default_factory=dict)


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Download what is not there yet, going on where a download was cut off, and check it.

    Raises PipelineError if the server cannot be reached or refuses, or a file has not the published length or SHA-256.
    """
    files: list[SourceFile] = []
    for role, published in zip(("train", "test"), _PUBLISHED[params.version], strict=True):
        path = params.folder / published.name
        if not path.is_file():
            download(f"{params.base_url.rstrip('/')}/{published.name}", path)
        file = archives.describe("train" if role == "train" else "test", path)
        override = params.sha256.get(published.name)
        wrong = file.sha256 != (override or published.sha256 or file.sha256)
        if wrong or (override is None and file.bytes != published.bytes):
            raise PipelineError(
                f"{path} is not the published file: it has {file.bytes} bytes and SHA-256 {file.sha256},\n"
                f"expected {'any number of' if override else published.bytes} bytes and SHA-256 "
                f"{override or published.sha256 or '(unknown)'}.\n"
                "Delete it and run again. If it comes from a mirror with other files, put its digest into "
                "download.sha256 in params.yaml."
            )
        files.append(file)
    return files


def read(files: list[SourceFile]) -> Iterator[Recording | SplitList]:
    """Stream the training tarball with its lists, then the test set under names that tell no label.

    The training tarball holds the clips of the test set too: its testing list, which says so and keeps them out of the
    training. Raises PipelineError if that list is missing.
    """
    for file in files:
        if file.role == "train":
            has_list = False
            for item in archives.training(Path(file.path)):
                if isinstance(item, SplitList) and item.split == "testing":
                    item, has_list = replace(item, is_test_set=True), True
                yield item
            if not has_list:
                raise PipelineError(
                    f"{file.path} has no testing_list.txt, so the clips of the test set, which are among its own, "
                    "cannot be kept out of the training. Get the published tarball."
                )
        else:
            for name, _, data in _labelled(Path(file.path)):
                yield Recording("test", name, data)


def answers(files: list[SourceFile]) -> pandas.DataFrame | None:
    """Return fname, label, usage of the official test set, sorted by fname; its folders are the labels."""
    rows = [(name, label) for file in files if file.role == "test" for name, label, _ in _labelled(Path(file.path))]
    return answer_table(rows)


def anonymous(name: str) -> str:
    """Return a file name for a test clip that is stable and tells nothing of its folder."""
    return f"clip_{hashlib.sha1(name.encode()).hexdigest()[:12]}.wav"


def answer_table(rows: list[tuple[str, str]]) -> pandas.DataFrame:
    """Return fname, label, usage for (fname, published label), sorted; about 30 % Public, fixed by the name's hash."""
    table = pandas.DataFrame(sorted(rows), columns=["fname", "label"], dtype=str)
    table["label"] = table["label"].replace(_LABELS)
    table["usage"] = ["Public" if _fraction(name) < _PUBLIC_SHARE else "Private" for name in table["fname"]]
    return table


def download(url: str, path: Path) -> None:
    """Download `url` to `path` through `<path>.part`, from which a later call goes on.

    Raises PipelineError if the server refuses, or cannot be reached in seven tries in a row without a byte.
    """
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _download_rest(url, part)
            part.replace(path)
            return
        except requests.RequestException as error:
            status = error.response.status_code if error.response is not None else None
            final = status is not None and status < 500 and status not in (408, 429)
            tries = tries + 1 if not part.exists() or part.stat().st_size <= before else 1
            if final or tries > len(_WAITS_S):
                cause = f"the server answered {status}" if status else f"{type(error).__name__}: {error}"
                raise PipelineError(
                    f"{url} cannot be downloaded ({cause}).\n"
                    f"Check the network and download.base_url in params.yaml and run again: it goes on where it was.\n"
                    f"Or download the file elsewhere and put it at {path}."
                ) from None
            time.sleep(_WAITS_S[tries - 1])


def _download_rest(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    # Without compression on the way, so that ranges and lengths are those of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
        if response.status_code == 416:  # nothing lies behind what we have
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise requests.ConnectionError("the partial file was longer than the file itself")
        response.raise_for_status()
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status_code == 206 and not resumed:
            raise requests.ConnectionError("the server sent another part of the file than asked for")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(desc=part.name.removesuffix(".part"), total=total, initial=have, unit="B", unit_scale=True) as bar,
        ):
            for block in response.iter_content(1 << 16):
                file.write(block)
                bar.update(len(block))
        if total is not None and part.stat().st_size != total:
            raise requests.ConnectionError(f"{part.stat().st_size} of {total} bytes came")


def _labelled(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name without label, published label, content) of each clip of a test tarball."""
    for name, data in archive.members(path):
        parts = name.split("/")
        if len(parts) > 1 and parts[-1].lower().endswith(".wav"):
            yield anonymous("/".join(parts[-2:])), parts[-2], data


def _fraction(name: str) -> float:
    """Return a number in [0, 1) that only the name decides."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
