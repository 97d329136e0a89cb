"""The base of every parameter class: frozen, typed, unknown keys refused."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

Share = Annotated[float, Field(ge=0, le=1)]
Processes = Literal["auto"] | Annotated[int, Field(ge=1, le=64)]  # "auto": by the machine


class Settings(BaseModel):
    """Parameters that are checked when they are made.

    Raises `pydantic.ValidationError` for an unknown key or a bad value; `pipeline.params` turns it into a message
    that names the section of params.yaml. True and false are no numbers, infinite numbers are none either.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, field: ValidationInfo) -> Any:
        given = any(isinstance(each, bool) for each in (value if isinstance(value, list | tuple) else [value]))
        if given and not _takes_truth_values(cls.model_fields[str(field.field_name)].annotation):
            raise PydanticCustomError("truth_value", "Input should be no truth value")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _completed(cls, value: Any, field: ValidationInfo) -> Any:
        """Take what a nested section leaves out from this field's default, which may differ from its class's."""
        default = cls.model_fields[str(field.field_name)].default
        return {**default.model_dump(), **value} if isinstance(default, Settings) and isinstance(value, dict) else value

    # `~/speech` is a folder of the user's, never one called `~` in the project.
    @field_validator("*")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        return value.expanduser() if isinstance(value, Path) else value


class FromCheckpoint(Settings):
    """Parameters of what may start from a published checkpoint: a folder, or a name on the hub and its revision."""

    checkpoint: str | None = None
    revision: str | None = None

    @model_validator(mode="after")
    def _revision_of_a_checkpoint(self) -> Self:
        if self.revision is not None and self.checkpoint is None:
            raise ValueError(f"revision {self.revision} is of a checkpoint: set it, or leave both out")
        return self


def _takes_truth_values(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(_takes_truth_values(part) for part in get_args(annotation))
