"""The competition's archives on disk: train.7z, test.7z, sample_submission.7z, or folders unpacked from them."""

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from tqdm import tqdm

from pipeline.clips.recording import Recording, SplitList, bytes_of
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile
from pipeline.sources import _archive as archive

if TYPE_CHECKING:
    import pandas

KAGGLE = True  # its test clips are the competition's
TELLS = ("word", "speaker")

NOISE_FOLDER = "_background_noise_"

# No clips, which may be called readme.wav.
_ABOUT = {f"{stem}{suffix}" for stem in ("README", "LICENSE") for suffix in ("", ".MD", ".TXT", ".RST", ".PDF")}

Role = Literal["train", "test", "sample", "answers"]
_STEMS: dict[Role, str] = {"train": "train", "test": "test", "sample": "sample_submission"}
_LISTS: dict[str, Literal["validation", "testing"]] = {
    "validation_list.txt": "validation",
    "testing_list.txt": "testing",
}


class Params(Settings):
    """Where the three archives, or the folders unpacked from them, lie; and the answers where they are known."""

    folder: Path
    answers: Path | None = None


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Find the files; nothing is downloaded. Raises PipelineError if one is missing."""
    return catalogue(params.folder, params.answers)


def catalogue(folder: Path, answers: Path | None = None) -> list[SourceFile]:
    """List training archive, test archive, sample submission and, if given, the answers, each with its SHA-256.

    An unpacked folder's digest covers the names and sizes of its files, not their content: hashing 160,000 small files
    takes longer than preparing them. Raises PipelineError that lists everything that is missing.
    """
    found = {role: locate(folder, stem) for role, stem in _STEMS.items()}
    missing = [f"  {stem}: none of {', '.join(_candidates(stem))}" for r, stem in _STEMS.items() if found[r] is None]
    if answers is not None and not answers.is_file():
        missing.append(f"  answers: there is no file {answers} (download.answers)")
    if missing:
        raise PipelineError(
            f"Not all files of the competition are in {folder}:\n" + "\n".join(missing) + "\n"
            "Download them from https://www.kaggle.com/c/tensorflow-speech-recognition-challenge/data and set\n"
            "download.folder in params.yaml; or have them fetched: cp profiles/kaggle.yaml params.yaml\n"
            "(Kaggle account), profiles/speech-commands.yaml (public), profiles/demo.yaml (no network)."
        )
    roles = [(role, path) for role, path in found.items() if path is not None]
    if answers is not None:
        roles.append(("answers", answers))
    with tqdm(desc="checksums", unit="B", unit_scale=True, total=sum(_size(path) for _, path in roles)) as bar:
        return [describe(role, path, bar) for role, path in roles]


def locate(folder: Path, stem: str) -> Path | None:
    """Return the archive, file or non-empty folder called `stem` in `folder`, the archive first; None without one."""
    for name in _candidates(stem):
        path = folder / name
        if path.is_file() or (name.endswith("/") and path.is_dir() and any(path.iterdir())):
            return path
    return None


def describe(role: Role, path: Path, bar: tqdm | None = None) -> SourceFile:
    """Return what identifies a file (the SHA-256 of its content) or folder (of the names and sizes in it).

    Raises PipelineError if there is none, or as `archive.files_below`.
    """
    if not path.exists():
        raise PipelineError(
            f"There is no {path} (looked for at {path.absolute()}). Set the path under download in params.yaml."
        )
    digest = hashlib.sha256()
    if path.is_dir():
        size = 0
        for name, file in archive.files_below(path):
            length = file.stat().st_size
            digest.update(f"{name}\0{length}\n".encode())
            size += length
    else:
        size = path.stat().st_size
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                if bar is not None:
                    bar.update(len(block))
    return SourceFile(role, str(path), size, digest.hexdigest())


def read(files: list[SourceFile]) -> Iterator[Recording | SplitList]:
    """Stream the training clips, noises and split lists, then the test clips."""
    for file in files:
        if file.role == "train":
            yield from training(Path(file.path))
        elif file.role == "test":
            yield from test(Path(file.path))


def training(path: Path) -> Iterator[Recording | SplitList]:
    """Stream a training archive: Kaggle's, with `.../audio/<word>/<clip>`, or the public one, with `<word>/<clip>`.

    A file that does not belong there is yielded like a clip, so that `prepare` puts it on the quarantine list.
    """
    for name, data in archive.located(path):
        parts = _below_audio(name)
        if parts[-1] in _LISTS:
            yield SplitList(_LISTS[parts[-1]], _listed(path, name, bytes_of(data)))
        elif _is_about(parts[-1]):
            continue
        elif parts[0] == NOISE_FOLDER and len(parts) > 1:
            yield Recording("train", "/".join(parts), data, is_noise=True)
        else:
            speaker, nohash, _ = parts[-1].partition("_nohash_")
            word = parts[0] if len(parts) > 1 else None
            yield Recording("train", "/".join(parts), data, word, speaker if nohash else None)


def test(path: Path) -> Iterator[Recording]:
    """Stream a test archive: `.../audio/<clip>`, or the clips alone."""
    for name, data in archive.located(path):
        parts = _below_audio(name)
        if not _is_about(parts[-1]):
            inside = "audio" in PurePosixPath(name).parent.parts
            yield Recording("test", "/".join(parts) if inside else parts[-1], data)


def sample(files: list[SourceFile]) -> list[str] | None:
    """Return the names of the test clips in the order of the sample submission.

    Raises PipelineError if it is no CSV with the columns fname,label and one row a clip.
    """
    for file in files:
        if file.role == "sample":
            path = Path(file.path)
            names = list(_table(path, ["fname", "label"])["fname"])
            if not names:
                raise PipelineError(f"{path} holds no rows. It must list every test clip once: fname,label.")
            return names
    return None


def names(path: Path) -> list[str]:
    """Return the clips that a sample submission names: a CSV with the column fname first, or an archive that holds it.

    Raises PipelineError if it is missing, cannot be read, or has no such column.
    """
    try:
        data = path.read_bytes() if path.suffix.lower() == ".csv" else _only_csv(path)
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PipelineError(f"{path} is no CSV in UTF-8 ({error}). Get the sample submission anew.") from None
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None
    if not rows or rows[0][0] != "fname":
        raise PipelineError(f"{path} must begin with the column fname; found {rows[0] if rows else 'nothing'}.")
    return [row[0] for row in rows[1:]]


def answers(files: list[SourceFile]) -> "pandas.DataFrame | None":
    """Return the known answers: columns fname, label, usage (Public or Private).

    Raises PipelineError if a column is missing or a usage is neither.
    """
    for file in files:
        if file.role == "answers":
            path = Path(file.path)
            table = _table(path, ["fname", "label", "usage"])
            table["usage"] = table["usage"].str.strip().str.capitalize()
            wrong = table[~table["usage"].isin(["Public", "Private"])]
            if len(wrong):
                row = wrong.iloc[0]
                raise PipelineError(
                    f"{path}: usage of {row['fname']} is '{row['usage']}', in {len(wrong)} rows it is neither Public "
                    f"nor Private. Write Private in each row if the parts are not known."
                )
            return table
    return None


def _candidates(stem: str) -> list[str]:
    archives = [stem + suffix for suffix in archive.SUFFIXES]
    return [*archives, f"{stem}.csv", f"{stem}/"] if stem == "sample_submission" else [*archives, f"{stem}/"]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _below_audio(name: str) -> list[str]:
    """Return the parts below the folder `audio`; without one, the last two parts: no root's name matters.

    Noise may lie in folders of its own, so it keeps all parts from its folder on.
    """
    parts = name.split("/")
    if "audio" in parts[:-1]:
        return parts[parts.index("audio") + 1 :]
    return parts[parts.index(NOISE_FOLDER) :] if NOISE_FOLDER in parts[:-1] else parts[-2:]


def _is_about(name: str) -> bool:
    return name.upper() in _ABOUT


def _listed(path: Path, name: str, data: bytes) -> frozenset[str]:
    try:
        return frozenset(line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: {name} is not UTF-8 text ({error}). Get the archive anew.") from None


def _table(path: Path, columns: list[str]) -> "pandas.DataFrame":
    """Return a CSV with exactly these columns as text, each `fname` once; `path` may be an archive that holds it."""
    data = path.read_bytes() if path.suffix.lower() == ".csv" else _only_csv(path)
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is not UTF-8 text ({error}). Save it as CSV in UTF-8.") from None
    except csv.Error as error:
        raise PipelineError(f"{path} is no valid CSV: {error}.") from None
    header, *rows = [row for row in rows if row] or [[]]
    if header != columns:
        cure = " Write usage Private in each row if the parts are not known." if "usage" in columns else ""
        raise PipelineError(f"{path}: the first line must be '{','.join(columns)}'; found '{','.join(header)}'.{cure}")
    for row in rows:
        if len(row) != len(columns):
            raise PipelineError(f"{path}: expected {len(columns)} values a line; found '{','.join(row)}'.")
    import pandas  # half a second, which `submit` need not wait for

    table = pandas.DataFrame(rows, columns=columns, dtype=str)
    twice = table["fname"][table["fname"].duplicated()]
    if len(twice):
        raise PipelineError(f"{path} lists {len(twice)} clips more than once, '{twice.iloc[0]}' among them.")
    return table


def _only_csv(path: Path) -> bytes:
    found = [data for name, data in archive.members(path) if name.lower().endswith(".csv")]
    if len(found) != 1:
        raise PipelineError(f"{path} must hold one CSV file, the sample submission; it holds {len(found)}.")
    return found[0]
