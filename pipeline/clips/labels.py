"""Words of the corpus and the labels that a model learns."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from pipeline.errors import PipelineError

UNKNOWN = "unknown"
SILENCE = "silence"
# The names that Speech Commands gives to the folders of clips that are no word of their own.
UNKNOWN_WORD = "_unknown_"
SILENCE_WORD = "_silence_"
SILENCE_WORDS = frozenset({SILENCE, SILENCE_WORD})
NO_WORDS = frozenset({UNKNOWN, UNKNOWN_WORD}) | SILENCE_WORDS  # folders called so hold no word of that name
ABSENT = "other"  # the answer "no" to a yes-or-no question
CLIP = "clip"  # the column beside the labels in tables of probabilities

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

Kind = Literal["commands", "words"]


def composed(text: str) -> str:
    """Return a name with its letters composed (Unicode NFC): macOS writes an é as two characters that look like it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# A label in params.yaml, spelt as the corpus's are.
Label = Annotated[str, AfterValidator(composed)]


@dataclass(frozen=True)
class Vocabulary:
    """The commands that are told apart when submitting, and all words that the training clips hold.

    Without commands, there is nothing to submit: other columns of the corpus are learnt.
    Raises PipelineError if a command is among no training clips, is named twice, or is a reserved name.
    """

    commands: tuple[str, ...]
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        # A folder "_unknown_" (or "unknown") is a word as others are, called by its label; silence always has its own.
        words = {UNKNOWN if word == UNKNOWN_WORD else word for word in self.words} - SILENCE_WORDS
        object.__setattr__(self, "words", tuple(sorted(words)))
        if not self.commands:
            return  # a corpus that no word is learnt from
        check_commands(self.commands)
        missing = [command for command in self.commands if command not in words]
        if missing:
            raise PipelineError(
                f"No training clip holds the command(s) {', '.join(missing)}. Words found: {', '.join(self.words)}.\n"
                "Change prepare.commands in params.yaml."
            )

    def labels(self, kind: Kind) -> list[str]:
        """Return the labels in the order of every probability table: words or commands first, silence last."""
        return [*self.commands, UNKNOWN, SILENCE] if kind == "commands" else [*self.words, SILENCE]

    @property
    def submission_labels(self) -> list[str]:
        return self.labels("commands")

    def label_of(self, word: str, kind: Kind) -> str:
        """Return the label of a clip by its word. Raises ValueError for kind "words" and a word of no training clip."""
        if word in SILENCE_WORDS:
            return SILENCE
        if kind == "commands":
            return word if word in self.commands else UNKNOWN
        word = UNKNOWN if word == UNKNOWN_WORD else word
        if word not in self.words:
            raise ValueError(f"'{word}' is none of the corpus's words: {', '.join(self.words)}")
        return word


def check_commands(commands: Iterable[str]) -> None:
    """Raise PipelineError unless `commands` are at least one name, each once, none of them reserved."""
    commands = list(commands)
    reserved = sorted((NO_WORDS | {CLIP}).intersection(commands))
    repeated = sorted({command for command in commands if commands.count(command) > 1})
    if not commands or reserved or repeated:
        problem = (
            f"reserved: {', '.join(reserved)}"
            if reserved
            else f"named twice: {', '.join(repeated)}"
            if repeated
            else "none"
        )
        raise PipelineError(
            f"prepare.commands must be at least one word, each once, other than unknown, silence and {CLIP}; found "
            f"{problem}.\n"
            "Change prepare.commands in params.yaml."
        )
