"""The sections `submit` and `kernel` of params.yaml."""

from typing import Annotated, Any

from pydantic import Field

from pipeline.delivery.competition import SPEECH_RECOGNITION
from pipeline.delivery.kaggle_client import LongerThanNothing, Patience, Seconds
from pipeline.settings import Settings

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


class Submit(Settings):
    """The section `submit`.

    `competition`: None takes that of the source, if it is `kaggle`, else the Speech Recognition Challenge. `lookups_s`:
    after a request that got no reply, the waits before each further look whether Kaggle lists it. `poll_s`: the first
    wait of `--wait`, which grows to a minute; `wait_limit_s`: how long it waits for the score in all.
    """

    competition: str | None = None
    patience: Patience = Patience()
    lookups_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (3.0, 5.0, 10.0, 20.0, 30.0)
    poll_s: LongerThanNothing = 5.0
    wait_limit_s: LongerThanNothing = 1800.0

    def slug(self, download: Any) -> str:
        """Return the competition's name; `download` is the section of that name, as it stands in params.yaml."""
        is_kaggle = isinstance(download, dict) and download.get("source") == "kaggle"
        return self.competition or (download.get("competition") if is_kaggle else None) or SPEECH_RECOGNITION


class Kernel(Settings):
    """The section `kernel`.

    `accelerator` is Kaggle's name of the machine if `gpu` is on (its default, a P100, is too old for newer torch);
    `run` is the run whose submission is the notebook's; `keep` names packages of Kaggle's image that are good in any
    version; `python` is the Python of that image, for the wheels of `dataset` (OWNER/NAME).
    """

    user: Annotated[str, Field(pattern=_NAME)]
    title: str = "Speech commands pipeline"
    slug: str | None = None
    private: bool = True
    gpu: bool = True
    accelerator: str = "NvidiaTeslaT4"
    internet: bool = True
    run: str = "ensemble"
    dataset: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]+/[a-z0-9-]{6,50}$")] = None
    keep: tuple[str, ...] = ("torch",)
    python: Annotated[str, Field(pattern=r"^3\.\d+$")] = "3.12"
