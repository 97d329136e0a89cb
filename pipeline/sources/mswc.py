"""The Multilingual Spoken Words Corpus: 23 million one-second clips of 340,000 words in 50 languages.

A language is two tarballs: splits/<language>.tar.gz with the lists, audio/<language>.tar.gz with
<language>/clips/<word>/<clip>.opus (Mazumder et al., "Multilingual Spoken Words Corpus", NeurIPS 2021, Datasets and
Benchmarks). It holds no background noise: that comes from a second source, `download.extra` with `take: noise`.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from tqdm import tqdm

from pipeline.clips.labels import check_commands
from pipeline.clips.recording import Recording, Rejected
from pipeline.files import replacing
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives, speech_commands
from pipeline.sources import _archive as archive
from pipeline.sources._csv_rows import csv_rows
from pipeline.sources._mswc_selection import COLUMNS, Language, digest_of, select

TELLS = ("word", "speaker", "gender", "language")

_SPLITS: dict[str, Literal["train", "validation", "holdout"]] = {
    "TRAIN": "train",
    "DEV": "validation",
    "TEST": "holdout",
}


class Params(Settings):
    """Which words of which languages, and how many clips of each.

    `folder` holds splits/<language>.tar.gz and audio/<language>.tar.gz; what is missing is downloaded. A word that two
    languages list is one word. `splits`: "speakers" leaves it to prepare.splits, which keeps each speaker on one side;
    "published" takes the corpus's own lists, which do not: training then goes without the speakers of DEV and TEST, and
    validation without those of TEST.
    """

    folder: Path
    languages: dict[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z]+)?$")], Language] = Field(min_length=1)
    clips_per_word: int = Field(1_000, ge=1)
    splits: Literal["speakers", "published"] = "speakers"
    base_url: str = "https://mswc.mlcommons-storage.org"


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Download what is not there yet, going on where a download was cut off; write which clips are chosen.

    The list of the chosen clips is a file beside the tarballs, and the first one listed. Raises PipelineError if a
    tarball cannot be had, or a language lacks a word.
    """
    named = [word for language in params.languages.values() for word in language.named]
    if named:
        check_commands(dict.fromkeys(named))  # refuses words that are called like a label
    paths = {
        kind: [params.folder / kind / f"{name}.tar.gz" for name in params.languages] for kind in ("splits", "audio")
    }
    for kind, tarballs in paths.items():
        for path in tarballs:
            if not path.is_file():
                speech_commands.download(f"{params.base_url.rstrip('/')}/{kind}/{path.name}", path)
    files = [*paths["splits"], *paths["audio"]]
    with tqdm(desc="checksums", unit="B", unit_scale=True, total=sum(path.stat().st_size for path in files)) as bar:
        listed = [archives.describe("train", path, bar) for path in files]
    lists = dict(zip(params.languages, paths["splits"], strict=True))
    key = digest_of(
        params.model_dump(mode="json", exclude={"folder", "base_url"}), seed, [file.sha256 for file in listed]
    )
    selection = params.folder / f"selection-{key}.csv"
    if not selection.is_file():
        chosen = select(lists, params.languages, params.clips_per_word, params.splits == "published", seed)
        with replacing(selection) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *chosen])
    return [archives.describe("train", selection), *listed]


def read(files: list[SourceFile]) -> Iterator[Recording | Rejected]:
    """Stream the chosen clips in the order of the tarballs, each with word, speaker, gender, language and list.

    Rejected is a clip of the lists that its tarball lacks. Raises PipelineError if a tarball is damaged.
    """
    selection, *tarballs = [Path(file.path) for file in files]
    rows = csv_rows(selection)[1:]
    for path in tarballs:
        if path.parent.name == "audio":
            language = path.name.removesuffix(".tar.gz")
            yield from _clips(path, language, {row[1]: row for row in rows if row[0] == language})


def _clips(path: Path, language: str, wanted: dict[str, list[str]]) -> Iterator[Recording | Rejected]:
    for name, data in archive.members(path, lambda name: _link(name) in wanted):
        _, link, word, speaker, gender, published, split = wanted.pop(_link(name))
        told = {"language": language, "gender": gender, "published_split": published}
        yield Recording(
            "train",
            f"{language}/{link}",
            data,
            word=word,
            speaker=speaker or None,
            split=_SPLITS[published] if split else None,
            metadata={key: value for key, value in told.items() if value},
        )
    for link in wanted:
        yield Rejected("train", f"{language}/{link}", f"in the lists, but not in {path.name}")


def _link(name: str) -> str:
    """Return a member's name as the lists have it: <word>/<clip>.opus."""
    return "/".join(name.split("/")[-2:])
