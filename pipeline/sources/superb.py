"""SUPERB's keyword spotting (`superb`, `ks`: Speech Commands v0.01 with its splits) through `datasets`."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast

import pandas

from pipeline.clips.recording import Recording, SplitList
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives, speech_commands

TELLS = ("word", "speaker")

_SPLITS = ("train", "validation", "test")
_NAMED_SPLIT = re.compile(r"-(train|validation|test)(-\d+-of-\d+)?$")  # the builder's own name may hold hyphens
_UNKNOWN, _SILENCE = "_unknown_", "_silence_"


class Params(Settings):
    """A dataset on the hub, or `path`: a folder with Parquet copies of its splits.

    `superb` itself is a loading script, which `datasets` 4 and later refuses; the hub keeps its conversion to Parquet
    under the revision named here, as `<config>/<split>/0000.parquet`, the layout that `path` takes as well.
    """

    dataset: str = "superb"
    config: str = "ks"
    revision: str | None = "refs/convert/parquet"
    path: Path | None = None
    folder: Path | None = None


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Have `datasets` download what its cache lacks (`folder`, else its own), and list the cached Arrow files.

    Raises PipelineError if the dataset cannot be had, offline for instance, or is no audio with labels.
    """
    import datasets

    cache = str(params.folder) if params.folder else None
    try:
        if params.path is not None:
            parquet = {split: _parquet(params.path, split) for split in _SPLITS}
            loaded = datasets.load_dataset("parquet", data_files=parquet, cache_dir=cache)
        else:
            loaded = datasets.load_dataset(params.dataset, params.config, revision=params.revision, cache_dir=cache)
    except PipelineError:
        raise
    except Exception as error:  # the library raises nearly anything, depending on what it first stumbles over
        wanted = params.path or f"{params.dataset}/{params.config} (revision {params.revision})"
        offline = " HF_HUB_OFFLINE is set, so the hub was not asked." if os.environ.get("HF_HUB_OFFLINE") else ""
        raise PipelineError(
            f"{wanted} cannot be loaded ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})."
            f"{offline}\n"
            "Check the network, or set download.path in params.yaml to a folder with train, validation and test in\n"
            "Parquet, or download.dataset to a copy of it without a loading script. The same recordings come from\n"
            "cp profiles/speech-commands.yaml params.yaml with download.version v0.01."
        ) from None
    files = []
    for split in _SPLITS:
        if split not in loaded:
            raise PipelineError(f"{params.dataset}/{params.config} has no split '{split}'; it has {', '.join(loaded)}.")
        _labels(loaded[split])
        role: Literal["train", "test"] = "test" if split == "test" else "train"
        files += [archives.describe(role, Path(cached["filename"])) for cached in loaded[split].cache_files]
    return files


def read(files: list[SourceFile]) -> Iterator[Recording | SplitList]:
    """Stream training, validation and test clips, as stored.

    Silence in training and validation is background noise of any length (the dataset has six rows of a minute and more,
    all in training), from which `prepare` makes clips. Where validation has its own, it judges and that of training
    trains; else each recording is cut for both. A clip's word is its folder's name, where the table has kept it, else
    its label; so `_unknown_` may stand for any of the other words.
    """
    validation = [Path(file.path) for file in files if file.role == "train" and _split(file) == "validation"]
    validation_has_noise = any(_has_silence(path) for path in validation)
    for file in files:
        for index, (label, source, data) in enumerate(_rows(Path(file.path))):
            if file.role == "test":
                yield Recording("test", _test_name(index, source, label), data)
                continue
            split: Literal["train", "validation"] = "validation" if _split(file) == "validation" else "train"
            stem = source.name or f"{split}_{index}.wav"
            if label == _SILENCE:
                name = f"{archives.NOISE_FOLDER}/{split}_{index}_{stem}"
                yield Recording("train", name, data, is_noise=True, split=split if validation_has_noise else None)
                continue
            folder = source.parent.name
            word = label if label != _UNKNOWN else folder or _UNKNOWN
            # Without the folder, two words of one speaker may have the same file name.
            name = f"{word}/{stem}" if folder else f"{word}/{split}_{index}_{stem}"
            speaker = stem.partition("_nohash_")[0] if "_nohash_" in stem else None
            yield Recording("train", name, data, word, speaker, split)


def answers(files: list[SourceFile]) -> pandas.DataFrame | None:
    """Return fname, label, usage of the test split, sorted by fname."""
    tests = [Path(file.path) for file in files if file.role == "test"]
    rows = [(_test_name(i, source, label), label) for path in tests for i, (label, source, _) in enumerate(_rows(path))]
    return speech_commands.answer_table(rows)


def _parquet(folder: Path, split: str) -> list[str]:
    """Return the Parquet files of a split: `.../<split>/*.parquet` or `.../<split>*.parquet`."""
    found = [p for p in sorted(folder.rglob("*.parquet")) if p.parent.name == split or p.name.startswith(split)]
    if not found:
        raise PipelineError(
            f"{folder} (download.path) has no Parquet file of the split '{split}': {split}/0000.parquet."
        )
    return [str(path) for path in found]


def _labels(table: Any) -> list[str]:
    """Return the label names; raise PipelineError if the columns are not those of `superb`."""
    label = table.features.get("label")
    if "audio" not in table.features or not hasattr(label, "names"):
        raise PipelineError(
            f"The dataset must have the columns audio and label (a ClassLabel); found {dict(table.features)}."
        )
    return cast("list[str]", label.names)


def _rows(path: Path) -> Iterator[tuple[str, PurePosixPath, bytes]]:
    """Yield (label, recorded path, content) of each row of a cached Arrow file, which stays on the disk."""
    import datasets

    # Undecoded: the library decodes through torchcodec and FFmpeg, which many machines lack.
    table = datasets.Dataset.from_file(str(path)).cast_column("audio", datasets.Audio(decode=False))
    labels = _labels(table)
    for row in table:
        audio = row["audio"]
        source = PurePosixPath(row.get("file") or audio["path"] or "")
        content = audio["bytes"] if audio["bytes"] is not None else _content(Path(audio["path"]))
        yield labels[row["label"]], source, content


def _has_silence(path: Path) -> bool:
    import datasets

    table = datasets.Dataset.from_file(str(path))
    labels = _labels(table)
    return any(labels[index] == _SILENCE for index in table.unique("label"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PipelineError(f"The dataset names {path}, which cannot be read: {error.strerror}.") from None


def _split(file: SourceFile) -> str:
    """Return the split from the name that `datasets` gave the cached file: <builder>-<split>[-<part>-of-<parts>].

    Raises PipelineError if it has another name.
    """
    match = _NAMED_SPLIT.search(Path(file.path).stem)
    if match is None:
        raise PipelineError(f"{file.path} does not tell its split. Run: dvc repro --force download")
    return match[1]


def _test_name(index: int, source: PurePosixPath, label: str) -> str:
    return speech_commands.anonymous(f"{index}/{label}/{source.name}")
