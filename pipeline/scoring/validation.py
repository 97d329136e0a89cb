"""Whether a file may be submitted: which sample it is held against, what is wrong, what looks wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.clips.labels import COMMANDS, Vocabulary, composed
from pipeline.delivery.terminal import say
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing
from pipeline.scoring import inspection
from pipeline.scoring.inspection import Findings
from pipeline.scoring.repair import repair

_SAMPLES = ("sample.csv", *(f"sample_submission{suffix}" for suffix in (".csv", ".csv.zip", ".csv.7z", ".zip", ".7z")))


def sample_of(path: Path, corpus: Path, given: Path | None) -> Path:
    """Return the sample submission that `path` is held against: the one that was given, the corpus's, one beside it.

    Raises PipelineError where there is none, or no `path`, or it cannot be looked at (its name is too long).
    """
    try:
        is_there = path.exists()
    except OSError as error:
        raise PipelineError(f"{path} cannot be looked at: {error.strerror}.") from None
    if not is_there:
        raise PipelineError(f"There is no {path}. `dvc repro` makes the files of the runs.")
    beside = [path.parent / name for name in _SAMPLES]
    of_kernel = beside if (path.parent / "corpus.json").is_file() else []  # `kernel pull` left what it was made for
    places = [given] if given else [*of_kernel, corpus / "sample.csv", *beside]
    if found := next((place for place in places if place.is_file()), None):
        return found
    if given:
        raise PipelineError(f"There is no sample submission {given}. Name the competition's: --sample FILE")
    raise PipelineError(
        f"There is nothing to hold {path} against. Name the competition's sample submission (CSV, .zip or .7z):\n"
        "--sample sample_submission.csv (a corpus, which `dvc repro` prepares, has one too; it trains all runs first)."
    )


def labels_of(sample: Path, prepare: Mapping[str, Any] | None) -> list[str]:
    """Return the labels that a submission may hold: the corpus's, if the sample is; else those of the section
    `prepare`, or the competition's.
    """
    corpus = sample.parent / "corpus.json"
    given = prepare.get("commands") if isinstance(prepare, Mapping) else prepare
    if given is not None and not (isinstance(given, list) and all(isinstance(each, str) for each in given)):
        raise PipelineError(f"params.yaml, prepare.commands: {given!r} is no list of words.")
    commands = tuple(map(composed, read_json(corpus)["commands"] if corpus.exists() else given or COMMANDS))
    return Vocabulary(commands, commands).submission_labels


@dataclass(frozen=True)
class Sample:
    """What a submission is held against: the clips that the sample submission at `path` names, the labels that it may
    hold, and the share of each that is expected.
    """

    path: Path
    names: Sequence[str]
    labels: Sequence[str]
    prior: Sequence[float]

    def read(self, path: Path) -> bytes:
        """Return the file's bytes. Raises PipelineError if the sample names no clips, and as `inspection.read` does."""
        if not self.names:
            raise PipelineError(f"{self.path} names no clips, so there is nothing to submit.")
        return inspection.read(path, inspection.limit_of(self.names, self.labels))

    def examine(self, path: Path, data: bytes) -> Findings:
        """Return what `data` says. Raises PipelineError that lists by line what is wrong with it, if anything is."""
        findings = inspection.inspect(data, self.names, self.labels)
        if findings.problems:
            cure = "\n`validate --fix` repairs what is certain, in a copy." if self._repaired(data)[1] else ""
            raise PipelineError(
                f"{path} is no valid submission ({len(findings.problems)} problems; sample: {self.path}):\n"
                f"{findings.report()}{cure}"
            )
        return findings

    def fix(self, path: Path, data: bytes) -> tuple[Path, bytes]:
        """Write a copy with all that can be repaired for certain, say what that was, and return it.

        It is `path` itself where there is nothing to repair. Raises PipelineError rather than overwrite another file.
        """
        repaired, changes = self._repaired(data)
        if not changes:
            say(f"Nothing in {path} can be repaired for certain.")
            return path, data
        copy = path.with_name(f"{path.stem}.fixed{path.suffix}")
        if copy.exists() and not (copy.is_file() and copy.read_bytes() == repaired):
            raise PipelineError(f"{copy} is there already, and is another file. Move it away, and run this again.")
        with replacing(copy) as temporary:
            temporary.write_bytes(repaired)
        say(f"{copy}: a copy of {path}, in which")
        for change in changes:
            say(f"  {change}")
        return copy, repaired

    def show(self, findings: Findings) -> None:
        """Print each label's share beside the expected one."""
        shares, width = findings.shares(self.labels), max(len("label"), *(len(label) for label in self.labels))
        say(f"{'label':{width}}  {'clips':>9}  {'share':>6}  expected")
        for label, prior in zip(self.labels, self.prior, strict=True):
            clips = round(shares[label] * len(findings.labels))
            say(f"{label:{width}}  {clips:>9,}  {shares[label]:>6.1%}  {prior:>8.1%}")

    def warn(self, findings: Findings) -> None:
        """Print a warning of each label that has vanished or crowds out the others."""
        shares = findings.shares(self.labels)
        for label, prior in zip(self.labels, self.prior, strict=True):
            if shares[label] > inspection.CROWDED:
                say(f"Warning: {shares[label]:.0%} of the clips are '{label}'.")
            elif not shares[label] and prior:
                say(f"Warning: no clip is '{label}', of which {prior:.1%} were expected.")

    def _repaired(self, data: bytes) -> tuple[bytes, list[str]]:
        return repair(data, self.names, self.labels)


def refuse_one_label(path: Path, findings: Findings) -> None:
    """Raise PipelineError if all clips have the same label, which is a mistake more often than a question."""
    found = set(findings.labels.values())
    if len(found) == 1 and len(findings.labels) > 1:
        raise PipelineError(
            f"All {len(findings.labels):,} clips of {path} are '{found.pop()}'; nothing was uploaded.\n"
            "If that is meant, as a question to the leaderboard, add --force."
        )
