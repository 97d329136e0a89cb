"""prepare: stream what was downloaded into the corpus, decide the splits, make the silence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
from pydantic import field_validator
from tqdm import tqdm

from pipeline import params, sources
from pipeline.clips.corpus import CorpusWriter
from pipeline.clips.intake import Intake, Quarantined
from pipeline.clips.labels import COMMANDS, SILENCE_WORD, UNKNOWN_WORD, Vocabulary, check_commands
from pipeline.clips.noise import NoiseSplit
from pipeline.clips.silence import Silence, make
from pipeline.clips.splits import Method, TestingList, assign
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder
from pipeline.layout import Layout
from pipeline.settings import Settings

ANSWER_COLUMNS = ["fname", "label", "usage"]


class Params(Settings):
    """The section `prepare` of params.yaml.

    `commands` may be empty for a source without words. `pieces` cuts training recordings into clips of one second;
    else a clip is one second of the recording (`waveform.fit`).
    """

    commands: tuple[str, ...] = COMMANDS
    pieces: bool = False
    splits: Method = "auto"
    testing_list: TestingList = "train"
    silence: Silence = Silence()

    @field_validator("commands")
    @classmethod
    def _names(cls, commands: tuple[str, ...]) -> tuple[str, ...]:
        if commands:
            check_commands(commands)
        return commands


def main(layout: Layout) -> None:
    """Write the corpus, quarantine.csv, sample.csv and answers.csv.

    Raises PipelineError if the downloaded files have changed, hold no training clip, leave no noise to make silence
    from, or cannot be split as asked; nothing is written then.
    """
    tree = params.read(layout.params)
    settings, seed = params.section(tree, "prepare", Params), params.seed(tree)
    name, files = _downloaded(layout.manifest)
    source = sources.find(name)
    with replacing_folder(layout.prepare) as folder, CorpusWriter(folder) as writer:
        intake = Intake(writer, source.sample(files), settings.pieces)
        for item in tqdm(source.read(files), desc="prepare", unit=" clips", mininterval=1):
            intake.take(item)
        fnames = intake.complete()
        writer.end_noise()
        rows = writer.rows
        if not (rows["part"] == "train").any():
            where = ", ".join(file.path for file in files if file.role == "train") or "any file"
            raise PipelineError(f"No training clip could be read from {where}. Check download in params.yaml.")
        assigned = assign(rows, intake.lists, settings.splits, settings.testing_list, seed)
        assigned = _with_silence(writer, rows["word"].to_numpy(), assigned, settings, seed)
        description = writer.finish(assigned, source=name, seed=seed, commands=settings.commands)
        if lacking := [command for command in settings.commands if not description["counts"]["train"][command]]:
            raise PipelineError(
                f"No clip of {', '.join(lacking)} is in the split train, so it cannot be learnt.\n"
                "Change prepare.splits or prepare.commands in params.yaml."
            )
        vocabulary = Vocabulary(settings.commands, tuple(description["words"]))
        _answers(source.answers(files), fnames, vocabulary).to_csv(folder / "answers.csv", index=False)
        pandas.DataFrame({"fname": fnames}).to_csv(folder / "sample.csv", index=False)
        quarantine = pandas.DataFrame(intake.quarantine, columns=list(Quarantined.__annotations__))
        quarantine.to_csv(folder / "quarantine.csv", index=False)
    print(_summary(description["counts"], quarantine, layout.prepare))


def _downloaded(manifest: Path) -> tuple[str, list[sources.SourceFile]]:
    """Return the source's name and its files, which must still be as the manifest says."""
    if not manifest.exists():
        raise PipelineError(f"There is no {manifest}. Run: dvc repro download")
    content = read_json(manifest)
    files = [sources.SourceFile(**file) for file in content["files"]]
    for file in files:
        path = Path(file.path)
        found = "is gone" if not path.exists() else f"has {path.stat().st_size} bytes" if path.is_file() else None
        if found and found != f"has {file.bytes} bytes":
            raise PipelineError(f"{path} {found}; {file.bytes} bytes were downloaded. Run: dvc repro --force download")
    return content["source"], files


def _with_silence(
    writer: CorpusWriter, words: np.ndarray, assigned: np.ndarray, settings: Params, seed: int
) -> np.ndarray:
    """Append the silence clips to `writer` and their splits to `assigned`, str [rows]."""
    amounts: dict[NoiseSplit, float] = {"train": settings.silence.train, "validation": settings.silence.validation}
    for index, (split, amount) in enumerate(amounts.items()):
        of_split = words[assigned[: len(words)] == split]
        wanted = round(amount * np.isin(of_split, settings.commands).sum() / max(1, len(settings.commands)))
        noises = writer.noises(split)
        if wanted and not noises:
            raise PipelineError(
                f"There is no background noise for {split}, so no silence can be made.\n"
                f"Add recordings of noise to the source, or set prepare.silence.{split}: 0 in params.yaml."
            )
        clips = make(noises, wanted, settings.silence, np.random.default_rng([seed, index])) if wanted else ()
        for number, (samples, noise_source) in enumerate(clips):
            clip = f"{SILENCE_WORD}/{split}_{number:05}.wav"
            writer.add(samples, clip=clip, part="train", word=SILENCE_WORD, noise_source=noise_source)
        assigned = np.concatenate([assigned, np.full(wanted, split)])
    return assigned


def _answers(answers: pandas.DataFrame | None, fnames: list[str], vocabulary: Vocabulary) -> pandas.DataFrame:
    """Return the answers in the order of `fnames`, words turned into labels; no rows where they are unknown."""
    if answers is None:
        return pandas.DataFrame(columns=ANSWER_COLUMNS)
    differing = sorted(set(answers["fname"]).symmetric_difference(fnames))
    if differing or len(answers) != len(fnames):
        raise PipelineError(
            f"The answers do not match the test clips: {len(answers)} answers, {len(fnames)} clips, "
            f"{len(differing)} names in only one of them ({', '.join(differing[:3])}).\nMend or remove the answers."
        )
    known = {*vocabulary.words, *vocabulary.submission_labels, UNKNOWN_WORD, SILENCE_WORD}
    strange = sorted(set(answers["label"]) - known)
    if strange:
        raise PipelineError(f"The answers hold labels that are no words of the corpus: {', '.join(strange[:5])}.")
    answers = answers.set_index("fname").loc[fnames].reset_index()[ANSWER_COLUMNS]
    answers["label"] = [vocabulary.label_of(word, "commands") for word in answers["label"]]
    return answers


def _summary(counts: dict[str, dict[str, int]], quarantine: pandas.DataFrame, folder: Path) -> str:
    judged: dict[str, Any] = {split: counts[split] for split in ("train", "validation", "testing")}
    table = pandas.DataFrame(judged)
    table.loc["all"] = table.sum()
    lines = [table.to_string(), f"test clips: {counts['test']['all']}"]
    for (part, action), count in quarantine.groupby(["part", "action"]).size().items():
        lines.append(f"{part} clips {action}: {count} (see {folder / 'quarantine.csv'})")
    return "\n".join(lines)
