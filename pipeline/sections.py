"""The sections of params.yaml that name runs: how each is decided, and who votes."""

from collections.abc import Iterable
from typing import Any

from pipeline import params
from pipeline.clips.labels import SILENCE, UNKNOWN
from pipeline.errors import PipelineError
from pipeline.examples.task import Task
from pipeline.runs import ROUNDS, entry, models_of, names, round_of, task_of, where_of
from pipeline.scoring.settings import ENSEMBLE, Decide, Ensemble, Rule
from pipeline.settings import Settings

VOTES = ("vote", "second_vote")  # which label the test clips for the students, and for the second students
# Why an estimate is too high, in metrics.json and on the page.
OF_STUDENTS = (
    "a little kind where a teacher chose its epoch (`keep` is not last): the teachers of a student's fold learnt "
    "nothing of the speakers that judge it, but chose on them"
)
OF_PROBES = (
    "a little kind: {} weighed its layers on the clips that judge, and chose there the temperature of an SVM and the "
    "epoch of a dense net"
)
OF_HEARD = "too high: the checkpoint of {} was trained on clips that judge here"
_SHARED = ("seed", "folds", "download", "prepare", "encode", "train")  # sections that shape the files of all runs


class _Heard(Settings):
    heard_judges: bool = False


def decide(tree: dict[str, Any]) -> Decide:
    """Return the section `decide`.

    Raises PipelineError if it overrides a run that is not listed, or would decide silence before unknown.
    """
    section = params.section(tree, "decide", Decide)
    there = [*names(tree), ENSEMBLE]
    if strange := sorted(set(section.overrides) - set(there)):
        raise PipelineError(f"params.yaml, decide.overrides: {', '.join(strange)} is no run. Runs: {', '.join(there)}")
    for where, rule in _rules(section).items():
        if rule.silence_below > rule.unknown_below:
            raise PipelineError(
                f"params.yaml, {where}: silence_below ({rule.silence_below:g}) is above unknown_below "
                f"({rule.unknown_below:g}), so no clip would be unknown. It must be smaller."
            )
    return section


def check_priors(section: Decide, commands: tuple[str, ...]) -> None:
    """Raise PipelineError if a prior has a label that the submission has not."""
    labels = [*commands, UNKNOWN, SILENCE]
    for where, rule in _rules(section).items():
        strange = sorted(set(rule.prior) - set(labels)) if isinstance(rule.prior, dict) else []
        if strange:
            raise PipelineError(
                f"params.yaml, {where}.prior: {', '.join(strange)} is no label of the submission. "
                f"Labels: {', '.join(labels)}"
            )


def voters(tree: dict[str, Any], section: str) -> tuple[Ensemble, list[str], Task]:
    """Return the section `vote` (of teachers), `second_vote` (of students too) or `ensemble` (of all runs), who votes,
    and on what.

    Without a list, the runs that answer the competition's question vote; where there is none, those that answer the
    first run's. Where one of them has heard the clips that judge (`Run.heard_judges`), `best` is the mean: it would be
    given a weight for what it remembers. Raises PipelineError if the section names a run that is not listed, runs that
    answer different questions, a weight of a run that does not vote, or none above 0, a vote that tags cannot have, or
    weights that would be fitted to what a run has heard.
    """
    settings = params.section(tree, section, Ensemble)
    last_round = VOTES.index(section) + 1 if section in VOTES else len(ROUNDS)
    listed = names(tree, last_round)
    weights = settings.weights if isinstance(settings.weights, dict) else {}
    if strange := sorted({*(settings.runs or ()), *weights} - set(listed)):
        among = " and ".join(f"'{name}'" for name in ROUNDS[:last_round] if name in tree)
        raise PipelineError(
            f"params.yaml, section {section}: {', '.join(strange)} is no run that may vote. "
            f"Those under {among} may: {', '.join(listed)}."
        )
    asked = {name: task_of(tree, name) for name in listed}
    named = settings.runs or [name for name, task in asked.items() if task.is_submitted] or list(asked)
    task = asked[named[0]]
    if not task.exclusive:
        settings.refuse_tags(section)
    members = settings.members([name for name, other in asked.items() if other.question == task.question], section)
    if silent := sorted(name for name, weight in weights.items() if weight and name not in members):
        raise PipelineError(
            f"params.yaml, section {section}: `weights` names {', '.join(silent)}, which `runs` leaves out. "
            "Name it in both, or in neither."
        )
    if weights and not any(weights.get(name) for name in members):
        raise PipelineError(
            f"params.yaml, section {section}: no run that votes has a weight above 0 in `weights`. "
            f"Give one to at least one of: {', '.join(members)}."
        )
    if settings.is_fitted and (heard := heard_judges(tree, _weighed(settings, members))):
        if settings.weights != "best" or settings.temperature:
            raise PipelineError(
                f"params.yaml, section {section}: its weights or temperatures would be fitted to clips that the "
                f"checkpoint of {', '.join(heard)} was trained on (heard_judges).\n"
                "Set weights: equal, or a weight for each run, and no temperature."
            )
        settings = settings.model_copy(update={"weights": "equal"})
    return settings, members, task


def makers(tree: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the parameters that made a run's submission, for their digest; other runs' have no part in it.

    Those of a student include the runs that taught it and how they voted; those of the ensemble all that vote.
    Raises PipelineError as `decide` and `voters`.
    """
    made = {key: value for key, value in tree.items() if key in _SHARED}
    rules = decide(tree)
    made["decide"] = rules.for_run(run).model_dump()
    members, votes = _behind(tree, run)
    made["runs"] = {name: entry(tree, name) for name in members}
    made |= {vote: tree.get(vote) for vote in votes}
    return made | ({"prior": rules.for_run(ENSEMBLE).prior} if votes else {})  # under it, votes choose


def heard_judges(tree: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Return those of the runs whose checkpoints were trained on clips that judge here, each once."""
    return [name for name in dict.fromkeys(names) if _heard(tree, name)]


def _heard(tree: dict[str, Any], name: str) -> bool:
    """Return what a run says of it, read as `Run` reads it: `no` is a word in YAML 1.2."""
    said = {key: value for key, value in entry(tree, name).items() if key == "heard_judges"}
    return params.validate(said, _Heard, where_of(tree, name)).heard_judges


def has_heard_judges(tree: dict[str, Any], run: str) -> bool:
    """Return whether a run, or one that taught it or voted in it, started from clips that judge here."""
    return bool(heard_judges(tree, _behind(tree, run)[0]))


def note_of(tree: dict[str, Any], run: str) -> str:
    """Return why the estimate of a run, or of the ensemble, is too high; "" where nothing is known to make it so."""
    members, votes = _behind(tree, run)
    heard = heard_judges(tree, members)
    notes = [OF_HEARD.format(", ".join(heard))] if heard else []
    if probes := [name for name in dict.fromkeys(members) if "probes" in models_of(tree, name)]:
        notes.append(OF_PROBES.format(", ".join(probes)))
    return "; ".join([*notes, *([OF_STUDENTS] if set(votes) & set(VOTES) else [])])


def _behind(tree: dict[str, Any], run: str) -> tuple[list[str], list[str]]:
    """Return the runs that had a part in a run's submission, itself included, and the sections by which they voted."""
    members, votes = [run], []
    if run == ENSEMBLE:
        members, votes = _voting(tree, ENSEMBLE), [ENSEMBLE]
    for learners, vote in reversed(list(enumerate(VOTES, start=2))):
        if any(round_of(tree, name) == learners for name in members):
            members, votes = [*members, *_voting(tree, vote)], [*votes, vote]
    return members, votes


def _voting(tree: dict[str, Any], section: str) -> list[str]:
    settings, members, _ = voters(tree, section)
    return _weighed(settings, members)


def _weighed(settings: Ensemble, members: list[str]) -> list[str]:
    """Return the members without those whose given weight is 0."""
    weights = settings.weights
    return [name for name in members if weights.get(name)] if isinstance(weights, dict) else members


def _rules(section: Decide) -> dict[str, Rule]:
    """Return each rule by its place in params.yaml."""
    return {"decide": section} | {f"decide.overrides.{run}": section.for_run(run) for run in section.overrides}
