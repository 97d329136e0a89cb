"""From a source's recordings to the finished corpus: decoded, split, dealt into folds, with silence made of noise."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas
from pydantic import Field, field_validator

from pipeline.clips import copies, extra, silence, synthetic, unheard
from pipeline.clips.answers import in_order
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.extra import Extra
from pipeline.clips.intake import Intake, Quarantined, examples
from pipeline.clips.labels import (
    COMMANDS,
    NO_WORDS,
    SILENCE,
    SILENCE_WORD,
    SILENCE_WORDS,
    UNKNOWN,
    UNKNOWN_WORD,
    Label,
    Vocabulary,
    check_commands,
)
from pipeline.clips.noise import NEVER_JUDGED
from pipeline.clips.recording import Recording, Rejected, SplitList
from pipeline.clips.silence import Silence
from pipeline.clips.splits import Method, TestingList, assign, speakers_of
from pipeline.clips.synthetic import Speak, Synthetic
from pipeline.clips.waveform import fit
from pipeline.errors import PipelineError
from pipeline.settings import Processes, Settings


class Prepare(Settings):
    """The section `prepare` of params.yaml.

    `commands` may be empty for a source without words. `segments` cuts training recordings into clips of one second;
    else a clip is one second of the recording (`waveform.fit`). `folds`: speakers are dealt into so many parts, each of
    which judges the nets that learn from the others; 1 is a single split. `without` names labels of the submission
    (`unknown`, `silence`) that no training clip is meant to have.
    `unheard_words` is the share of the words that are no command which the nets of each fold never learn, other words
    in each fold; then metrics.json has the recall of `unknown` on words that nobody heard. It costs the nets these
    words, so it is 0 unless that is to be measured.
    `max_lost_share` of the test clips (a broken number of clips counts as one more) may be missing from the archive,
    unreadable, or unknown to the sample submission: more, and it is probably the wrong archive.
    `processes` decode, beside one that reads where they are several; the corpus is the same for any number. "auto" is
    one for each core that this process may use.
    """

    commands: tuple[Label, ...] = COMMANDS
    segments: bool = False
    folds: int = Field(1, ge=1, le=100)
    splits: Method = "auto"
    testing_list: TestingList = "train"
    silence: Silence = Silence()
    synthetic: Synthetic = Synthetic()
    unheard_words: float = Field(0.0, ge=0, le=0.5)
    without: tuple[Literal["unknown", "silence"], ...] = ()
    max_lost_share: float = Field(0.02, ge=0, le=1)
    processes: Processes = "auto"

    @field_validator("commands")
    @classmethod
    def _names(cls, commands: tuple[str, ...]) -> tuple[str, ...]:
        if commands:
            check_commands(commands)
        return commands


def build(
    folder: Path,
    items: Iterable[Recording | SplitList | Rejected],
    sample: list[str] | None,
    answers: pandas.DataFrame | None,
    settings: Prepare,
    source: str,
    seed: int,
    speak: Speak,
    extras: Sequence[Extra] = (),
) -> tuple[dict[str, Any], pandas.DataFrame]:
    """Write the corpus, quarantine.csv, sample.csv and answers.csv; return corpus.json's content and the quarantine.

    `sample` names the test clips in the order of the submission, `answers` are columns fname, label, usage; None where
    there are none. `speak` makes what settings.synthetic asks for; what `extras` bring trains. Raises PipelineError if
    too many test clips are lost, there is no training clip, no noise to make silence from, nothing to learn a label
    from, or the clips cannot be split as asked.
    """
    with CorpusWriter(folder) as writer:
        whole_noises, processes = settings.silence.whole_recordings, _processes(settings)
        intake = Intake(
            writer, sample, settings.segments, settings.folds, whole_noises, source, bool(extras), processes
        )
        with intake:
            for item in items:
                intake.take(item)
            fnames = intake.complete(settings.max_lost_share)
            rows = writer.rows
            if not (rows["part"] == "train").any():
                raise _without_clips(source, intake)
            nameless = rows["speaker"].isna() & rows["word"].notna() & rows["split"].isna() & (rows["part"] == "train")
            if nameless.any() and not intake.lists:
                print(
                    f"Warning: of {nameless.sum()} training clips the speaker is not known, so one person may train "
                    "and judge, and the estimate be too kind. In folders of words, a name such as ann_nohash_1.wav "
                    "tells it."
                )
            splits, folds = assign(rows, intake.lists, settings.splits, settings.testing_list, seed, settings.folds)
            for warning in copies.warnings_of(rows, splits, folds, intake.own_digests):
                print(warning)
            kept = set(rows["word"].dropna()) if settings.unheard_words else set()
            added = extra.add(intake, extras, speakers_of(rows), settings.commands, kept)
            own_words = rows["word"].to_numpy()
            del rows  # a GB for some millions of clips
        if not (intake.has_noise or intake.holds_embeddings):
            print("No background noise of a second or more was read, so AddNoise changes nothing.")
        splits, folds = _and(splits, folds, added, "train")
        splits, folds = _with_silence(writer, own_words, splits, folds, settings, seed)
        words = writer.columns(["word"])["word"]
        _warn_of_case(words, settings.commands)
        splits, folds = _and(splits, folds, _add_synthetic(writer, settings.synthetic, seed, speak), "synthetic")
        learnt_from = words[(splits == "train")[: len(words)]].dropna().unique()
        never = unheard.deal(learnt_from, settings.commands, settings.unheard_words, settings.folds, seed)
        description = writer.finish(
            splits, folds, source=source, seed=seed, commands=settings.commands, unheard=never if any(never) else None
        )
    vocabulary = Vocabulary(settings.commands, tuple(description["words"]))
    for fold in range(settings.folds):
        learnt = set(words[((splits == "train") & (folds != fold))[: len(words)]].unique()) - set(never[fold])
        _refuse_labels_without_clips({vocabulary.label_of(word, "commands") for word in learnt}, fold, settings)
    in_order(answers, fnames, vocabulary).to_csv(folder / "answers.csv", index=False)
    pandas.DataFrame({"fname": fnames}).to_csv(folder / "sample.csv", index=False)
    quarantine = pandas.DataFrame(intake.quarantine, columns=list(Quarantined.__annotations__))
    quarantine.to_csv(folder / "quarantine.csv", index=False)
    return description, quarantine


def _without_clips(source: str, intake: Intake) -> PipelineError:
    """Return the refusal of a source without a training clip. quarantine.csv is not written then."""
    rejected = [line for line in intake.quarantine if line.part == "train" and line.action == "excluded"]
    such_as = f", and {len(rejected)} were rejected, such as\n{examples(rejected)}\n" if rejected else ".\n"
    return PipelineError(
        f"The source '{source}' gave no training clip that can be read: for training {intake.came['train']} recordings "
        f"came{such_as}Is the layout as the source expects it? The paths that were read are in "
        "artifacts/download/manifest.json; section download names them."
    )


def _warn_of_case(words: pandas.Series, commands: Sequence[str]) -> None:
    asked = {command.casefold(): command for command in commands}
    for word, clips in words.value_counts(sort=False).sort_index().items():
        if word not in commands and word.casefold() in asked:
            print(
                f"Warning: {word} is not the command {asked[word.casefold()]}, since its case differs; its {clips} "
                "clips are unknown. Rename its folder, or list it in prepare.commands."
            )


def _processes(settings: Prepare) -> int:
    if settings.processes != "auto":
        return settings.processes
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _and(splits: np.ndarray, folds: np.ndarray, count: int, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return both with `count` more rows that judge no fold."""
    return np.concatenate([splits, np.full(count, split)]), np.concatenate([folds, np.full(count, NEVER_JUDGED)])


def _add_synthetic(writer: CorpusWriter, settings: Synthetic, seed: int, speak: Speak) -> int:
    """Append the synthetic clips to the corpus; return how many.

    Raises PipelineError if the corpus holds no words to speak, or as `speak` does.
    """
    if not settings.total:
        return 0
    train = writer.columns(["part", "word"])[lambda rows: rows["part"] == "train"]
    words = sorted(set(train["word"].dropna()) - NO_WORDS)
    if not words:
        raise PipelineError(
            "prepare.synthetic asks for synthetic speech, and the source's clips have no words. "
            "Delete it in params.yaml."
        )
    for number, spoken in enumerate(speak(words, settings, seed)):
        word = spoken.word if spoken.word in words else UNKNOWN_WORD
        name = f"{synthetic.FOLDER}/{spoken.word}/{spoken.speaker}_{number:06}.wav"
        writer.add(fit(spoken.samples)[0], clip=name, part="train", word=word, speaker=spoken.speaker)
    return settings.total


def _with_silence(
    writer: CorpusWriter, words: np.ndarray, splits: np.ndarray, folds: np.ndarray, settings: Prepare, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Append the silence clips to `writer`; return `splits` and `folds` with them.

    `words` are those of the source's own clips, which come first and alone say how much silence is made. Each fold's
    silence is made of the noise that judges it alone, so it may train the nets of the other folds.
    """
    if settings.folds == 1:
        made = [("train", NEVER_JUDGED, settings.silence.train), ("validation", 0, settings.silence.validation)]
    else:
        made = [("train", fold, settings.silence.train) for fold in range(settings.folds)]
    for index, (split, fold, amount) in enumerate(made):
        # `splits` is longer: by the clips of extra sources, and by the silence made so far.
        of_split = words[(splits[: len(words)] == split) & (folds[: len(words)] == fold)]
        wanted = round(amount * np.isin(of_split, settings.commands).sum() / max(1, len(settings.commands)))
        noises = writer.noises(fold)
        told = split if settings.folds == 1 else f"fold {fold}"
        if wanted and not noises:
            fewer = "" if settings.folds == 1 else ", take a smaller number in prepare.folds"
            others = set(writer.columns(["word"])["word"].dropna()) - {*settings.commands, *SILENCE_WORDS}
            lacking = [SILENCE] if others else [UNKNOWN, SILENCE]
            raise PipelineError(
                f"There is no background noise for {told}, so no silence can be made.\n"
                f"Add recordings of noise to the source{fewer}, or do without silence. In params.yaml:\n"
                f"prepare:\n  silence: {{train: 0, validation: 0}}\n  without: {_meant(settings, lacking)}"
            )
        generator = np.random.default_rng([seed, index])
        clips = silence.make(noises, wanted, settings.silence, generator) if wanted else ()
        name = split if settings.folds == 1 else f"fold_{fold}"
        for number, (samples, noise_source) in enumerate(clips):
            clip = f"{SILENCE_WORD}/{name}_{number:05}.wav"
            writer.add(samples, clip=clip, part="train", word=SILENCE_WORD, noise_source=noise_source)
        splits = np.concatenate([splits, np.full(wanted, split)])
        folds = np.concatenate([folds, np.full(wanted, fold)])
    return splits, folds


def _refuse_labels_without_clips(there: set[str], fold: int, settings: Prepare) -> None:
    """Raise PipelineError for a label of the submission that no clip which trains `fold` has, unless that is meant."""
    causes = {
        UNKNOWN: "the source has no word beside prepare.commands",
        SILENCE: "prepare.silence.train is 0, or there are too few clips of the commands",
    }
    labels = [*settings.commands, *causes] if settings.commands else []
    lacking = [label for label in labels if label not in there and label not in settings.without]
    if not lacking:
        return
    told = "; ".join(f"{label}: {causes[label]}" for label in lacking if label in causes)
    told = f" ({told})" if told else ""
    where = "" if settings.folds == 1 else f" outside fold {fold}"
    meant = [label for label in lacking if label in causes]
    raise PipelineError(
        f"No training clip{where} is {', '.join(lacking)}, so it can be neither learnt nor judged{told}."
        "\nChange prepare.splits, prepare.commands or prepare.silence in params.yaml"
        + (f", or say that it is meant: prepare.without: {_meant(settings, meant)}." if meant else ".")
    )


def _meant(settings: Prepare, lacking: list[str]) -> str:
    """Return what `without` is to be: the labels that it names already, and these."""
    return f"[{', '.join(label for label in (UNKNOWN, SILENCE) if label in (*settings.without, *lacking))}]"
