"""Clips and noise of further sources: they train, and are never judged or submitted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.clips.intake import Intake
from pipeline.clips.labels import NO_WORDS, UNKNOWN_WORD
from pipeline.clips.recording import Recording, Rejected, SplitList, Take
from pipeline.errors import PipelineError

FOLDER = "_extra_"


@dataclass(frozen=True)
class Extra:
    """What a further source brings: `take` its clips, its background noise, or both.

    `source` is its name in the corpus. `unknown` calls each of its words unknown, as fits another language's; one that
    is spelled like a command is left out then, since it may sound like it; its silence stays silence.
    """

    source: str
    items: Iterable[Recording | SplitList | Rejected]
    take: Take = "all"
    unknown: bool = False


def add(
    intake: Intake, extras: Sequence[Extra], speakers: set[str], commands: tuple[str, ...], kept: Collection[str] = ()
) -> int:
    """Append what the extra sources bring; return how many clips that is.

    `speakers` are those of the source whose clips are judged, spelt as the corpus has them: what an extra source has of
    them is left out, and so is a clip with the very samples of another, a test clip's for instance, or a recording of
    noise with those of another. Noise trains; where the source had none at all, it is shared out as the source's own
    would be. `kept` are words of which some may be kept from nets (prepare.unheard_words): they are not brought as
    unknown. Raises PipelineError if a source has embeddings and another audio.
    """
    before = intake.clips
    for extra in extras:
        intake.begin(extra.source)
        for item in extra.items:
            if isinstance(item, SplitList) or item.part == "test":
                continue  # its own lists and test set are of no concern here
            item = replace(item, name=f"{FOLDER}/{extra.source}/{item.name}")
            if isinstance(item, Rejected):
                intake.take(item)
            elif extra.take in ("all", "noise" if item.is_noise else "clips"):
                _take(intake, intake.spelt(replace(item, split=None)), extra, speakers, commands, kept)
    intake.settle()
    return intake.clips - before


def _take(
    intake: Intake, item: Recording, extra: Extra, speakers: set[str], commands: tuple[str, ...], kept: Collection[str]
) -> None:
    if (item.embedding is not None) != intake.holds_embeddings:
        raise PipelineError(
            f"Of the sources, one gives audio and another embeddings, so '{extra.source}' cannot join the corpus.\n"
            "Delete it from download.extra in params.yaml."
        )
    if item.speaker is not None and item.speaker in speakers:
        intake.exclude(item, "its speaker is one of the source's own, and may judge")
    elif extra.unknown and item.word in commands:
        intake.exclude(item, f"spelled like the command '{item.word}', so not called unknown")
    elif extra.unknown and item.word in kept and item.word not in NO_WORDS:
        intake.exclude(item, f"spelled like '{item.word}', which prepare.unheard_words may keep from nets")
    elif extra.unknown and item.word is not None and item.word not in NO_WORDS:
        intake.take(replace(item, word=UNKNOWN_WORD))
    else:
        intake.take(item)
