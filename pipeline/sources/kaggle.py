"""The competition's archives, fetched with the Kaggle client."""

from collections.abc import Iterator
from pathlib import Path

import pandas
from tqdm import tqdm

from pipeline.clips.recording import Recording, SplitList
from pipeline.delivery import access
from pipeline.delivery.competition import Competition
from pipeline.delivery.kaggle_client import Patience
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives
from pipeline.sources import _archive as archive

KAGGLE = True  # its test clips are the competition's
_STEMS = ("train", "test", "sample_submission")


class Params(Settings):
    """The competition, the folder for its archives, and how long to wait for them."""

    folder: Path
    competition: str = "tensorflow-speech-recognition-challenge"
    answers: Path | None = None
    patience: Patience = Patience()


def fetch(params: Params, seed: int) -> list[SourceFile]:
    """Download the archives that are not there or not whole, test each one, and list them as `archives` does.

    With all of them in place it needs neither network nor credentials. Raises PipelineError with what to do.
    """
    stems = [stem for stem in _STEMS if not _is_whole(archives.locate(params.folder, stem))]
    if stems:
        competition = Competition(params.competition, params.patience)
        access.check(competition)
        for name in [f"{stem}.7z" for stem in stems]:
            competition.download([name], params.folder)
            path = params.folder / name
            if not _is_whole(path):
                # The client takes a file of the right size for whole and would never fetch it again.
                path.unlink()
                competition.download([name], params.folder)
                _test(path)
    return archives.catalogue(params.folder, params.answers)


def read(files: list[SourceFile]) -> Iterator[Recording | SplitList]:
    """Stream what the archives hold; see `archives.read`."""
    return archives.read(files)


def sample(files: list[SourceFile]) -> list[str] | None:
    """Return the names of the test clips in the order of the sample submission."""
    return archives.sample(files)


def answers(files: list[SourceFile]) -> pandas.DataFrame | None:
    """Return the answers of download.answers, if any: columns fname, label, usage."""
    return archives.answers(files)


def _is_whole(path: Path | None) -> bool:
    """Say whether the archive passes its own checksums; a folder or a CSV file has none."""
    if path is None or path.with_name(f"{path.name}.kaggle-partial").exists():  # the client's mark of a download
        return False
    try:
        _test(path)
    except PipelineError:
        return False
    return True


def _test(path: Path) -> None:
    if archive.is_archive(path):
        for _ in tqdm(archive.members(path), desc=f"testing {path.name}", unit=" files"):
            pass
