"""The base of every parameter class: frozen, typed, unknown keys refused."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Parameters that are checked when they are made.

    Raises `pydantic.ValidationError` for an unknown key or a bad value; `pipeline.params` turns it into a message
    that names the section of params.yaml.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
