"""The competition's archives, fetched with the Kaggle client."""

from pathlib import Path

from tqdm import tqdm

from pipeline.delivery import access
from pipeline.delivery.competition import SPEECH_RECOGNITION, Competition
from pipeline.delivery.kaggle_client import Patience
from pipeline.errors import PipelineError
from pipeline.settings import Settings
from pipeline.sources import SourceFile, archives
from pipeline.sources import _archive as archive
from pipeline.sources.archives import answers, read, sample

__all__ = ["KAGGLE", "TELLS", "Params", "answers", "fetch", "read", "sample"]

KAGGLE = True  # its test clips are the competition's
TELLS = ("word", "speaker")
_STEMS = ("train", "test", "sample_submission")


class Params(Settings):
    """The competition, the folder for its archives, and how long to wait for them."""

    folder: Path
    competition: str = SPEECH_RECOGNITION
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
