"""The section `fleet` of params.yaml."""

import hashlib
from typing import Annotated

from pydantic import Field, field_validator

from pipeline.settings import Settings


class Needs(Settings):
    """What Ray keeps for one stage on a machine: processors, and GPUs (0.5 lets two stages share one)."""

    cpus: Annotated[int, Field(ge=1)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0

    @field_validator("gpus")
    @classmethod
    def _whole_or_a_part(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("should be a part of one GPU, or a whole number")
        return value


class Fleet(Settings):
    """The section `fleet`.

    `address` is that of a Ray cluster: HOST:PORT, "auto" for the one that this machine is part of, "local" for this
    machine alone. `remote` is a DVC remote's name, by default DVC's own default. `folder` is where a machine keeps its
    copies, cache and checkpoints: on storage that all machines share, another one goes on with a lost one's training.
    `retries` is how often a stage is handed out again after its machine was lost, `patience_min` how many minutes the
    remote is asked again when it does not answer.
    """

    address: Annotated[str, Field(min_length=1)] = "auto"
    remote: str | None = None
    folder: Annotated[str, Field(min_length=1)] = "~/.cache/speech-commands-fleet"
    retries: Annotated[int, Field(ge=0)] = 3
    patience_min: Annotated[float, Field(ge=0)] = 15
    train: Needs = Needs()
    predict: Needs = Needs()
    encode: Needs = Needs()

    def folder_of(self, remote_url: str) -> str:
        """Return the folder of one project, which its remote tells apart, also where it was cloned again."""
        return f"{self.folder}/{hashlib.sha256(remote_url.encode()).hexdigest()[:12]}"
