"""What a run answers: which of the corpus's columns its labels are, and how they exclude each other."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.clips.labels import ABSENT, CLIP, Kind, Label
from pipeline.settings import Settings

WORD, TAGS = "word", "tags"


class Presence(Settings):
    """A yes-or-no question: is one of the words or tags `of` there? The labels are "other" and `name`.

    `of: all` means any word but silence, or any tag at all.
    """

    name: str
    of: Annotated[list[Label], Field(min_length=1)] | Literal["all"] = "all"

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in (ABSENT, CLIP):
            raise ValueError(f"must be another name than {ABSENT} and {CLIP}")
        return name


class Task(Settings):
    """The part of a run's entry that says what its labels are.

    `target` is what is learnt: the word (as `vocabulary` names it), another column of the corpus, or its tags;
    `presence` makes a yes-or-no question of it.
    """

    target: str = WORD
    vocabulary: Kind = "commands"
    presence: Presence | None = None

    @property
    def is_submitted(self) -> bool:
        """Whether it is the competition's question."""
        return self.target == WORD and self.presence is None

    @property
    def exclusive(self) -> bool:
        """Whether a clip has one label; else it may have several at once, or none."""
        return self.target != TAGS or self.presence is not None

    @property
    def question(self) -> tuple[str, str | None]:
        """What runs must have in common to vote together; 30 words or ten commands answer the same question."""
        return self.target, self.presence.model_dump_json() if self.presence else None
