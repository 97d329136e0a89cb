"""The page's sentences: what the figures say, for a reader in a hurry."""

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup

from pipeline.reporting.page import drift
from pipeline.reporting.page.render import duration, thousands

LEVEL = 0.0005  # less is no difference in three digits


def story(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return headlines, the lede, the points in brief, and which marks the first chart has; None without a run."""
    lead = told["lead"]
    if lead is None:
        return None
    rows = next(group["rows"] for group in told["groups"] if any(row["run"] == lead for row in group["rows"]))
    row = next(each for each in rows if each["run"] == lead)
    kinds = {point["kind"] for point in told["standing"]["points"]}
    count = sum(len(group["rows"]) for group in told["groups"])
    return {
        "headline": headline(row, told["new_voices"], told["heard"]),
        "lede": lede(row, rows, told),
        "brief": brief(told, lead),
        "kinds": [kind for kind in ("private", "public", "held out", "reported") if kind in kinds],
        "runs_head": runs_head(row, rows, count),
        "errors_head": errors_head(told["errors"]),
        "data_head": data_head(told["data"]),
        "cost_head": cost_head(told["provenance"]["graph"]),
        "counted": counted(told["prior"]),
    }


def counted(prior: Any) -> str:
    """Return how an accuracy counts labels."""
    return "each label alike" if prior == "uniform" else "labels as the prior of decide.prior has them"


def headline(row: Mapping[str, Any], new_voices: bool, heard: bool) -> str:
    """Return the page's headline: the leading estimate in words.

    `new_voices`: no training had the judged speakers. `heard`: but a checkpoint, on which the run rests, had.
    """
    value = row["estimate"]["value"]
    if row["judge"] == "map":
        where = "clips that its checkpoint has heard" if heard else "recordings it never heard"
        return f"Mean average precision {value:.3f}, on {where}"
    if heard:
        return f"Right {of_hundred(value)} times of 100, on clips that its checkpoint has heard"
    if row["question"] == "word":
        where = "from voices it never heard" if new_voices else "in clips it never heard"
        return f"It understands {of_hundred(value)} of 100 words {where}"
    return f"Right {of_hundred(value)} times of 100, on clips it never heard"


def of_hundred(share: float) -> str:
    """Return a share of 0 to 1 in hundredths, with as many digits as keep what is not all from being said to be all."""
    texts = [f"{100 * share:.{digits}f}" for digits in range(4)]
    return next((text for text in texts if 0 < float(text) < 100), texts[0])


def runs_head(row: Mapping[str, Any], rows: list[dict[str, Any]], count: int) -> str:
    """Return the headline of the table; `count` runs answer all questions together."""
    others = [each for each in rows if each["run"] != row["run"]]
    if not others:
        return f"One run: {row['run']}" if count == 1 else f"{count} runs, each with a question of its own"
    gap = row["estimate"]["value"] - others[0]["estimate"]["value"]
    if gap < LEVEL:
        return f"{row['run']} and {others[0]['run']} are level"
    return f"{row['run']} leads, {others[0]['run']} follows {gap:.3f} behind"


def lede(row: Mapping[str, Any], rows: list[dict[str, Any]], told: Mapping[str, Any]) -> list[str]:
    """Return the first paragraphs; names in them are escaped."""
    estimate, figure = row["estimate"], "a mean average precision" if row["judge"] == "map" else "an accuracy"
    interval = ""
    if row["judge"] != "map":
        interval = (
            f" (95 % interval {estimate['low']:.3f} to {estimate['high']:.3f}), counting {counted(told['prior'])}"
        )
    start = f"Of {len(rows)} runs, " if len(rows) > 1 else "The run "
    verb = "comes first, with" if len(rows) > 1 else "has"
    first = Markup("{}<b>{}</b> {} {} of {:.3f}{}. ").format(
        start, row["run"], verb, figure, estimate["value"], interval
    )
    first += (
        f"That is an estimate from {thousands(estimate['clips'])} clips out of fold, each judged by choices that were "
        f"made without it{' and its speaker' if told['new_voices'] else ''}."
    )
    if told["heard"]:
        first += f" But it is {told['runs'][row['run']]['note']}."
    second = [f"By the final choices, which have seen these clips, the figure would be {row['selected']:.3f}."]
    others = [each for each in rows if each["run"] != row["run"]]
    if others:
        second.append(f"{others[0]['run']} comes next, with {others[0]['estimate']['value']:.3f}.")
    if row["private"] is not None:
        public = f", {row['public']:.5f} public" if row["public"] is not None else ""
        second.append(f"On the test clips it has {row['private']:.5f} private{public}.")
        if row["private"] < estimate["low"]:
            second.append("That is less than the interval promised: the test clips are other than the training clips.")
    elif row["test"]:
        second.append(f"On clips held out from all choices it has {row['test']['value']:.3f}.")
    if told["caption"]:
        second.append("The speech is synthetic, so none of this says anything of the leaderboard.")
    return [first, " ".join(second)]


def brief(told: Mapping[str, Any], lead: str) -> list[dict[str, str]]:
    """Return short findings, with the place on the page that shows each."""
    items: list[dict[str, str]] = []
    run, errors, data = told["runs"][lead], told["errors"], told["data"]
    if run.get("confusions"):
        worst = max(run["confusions"], key=lambda each: (each["clips"], each["clips"] / each["of"]))
        labels = run["labels"]
        text = (
            f"Its worst confusion: {labels[worst['truth']]} taken for {labels[worst['decided']]}, "
            f"{worst['clips']} of {worst['of']}.{' Hear them.' if told['media'] else ''}"
        )
        cell = f"{worst['truth']},{worst['decided']}" if run.get("cells") else ""
        items.append({"text": text, "cell": cell, "href": "#runs"})
    known = [each for each in run.get("recalls") or run.get("precisions") or [] if each["value"] is not None]
    if known:
        weak = min(known, key=lambda each: each["value"])
        what = "recall" if run.get("recalls") else "average precision"
        if weak["value"] < 1:
            items.append({"text": f"Weakest label: {weak['label']}, {what} {weak['value']:.2f}."})
    if "calibration_error" in run:
        items.append({"text": f"Its probabilities are off by {run['calibration_error']:.3f} on average."})
    if errors and errors["suspects"]:
        found = len(errors["suspects"])
        text = "1 label looks wrong." if found == 1 else f"{found} labels look wrong."
        items.append({"text": text, "href": "#errors"})
    shifted = [each for each in (data or {}).get("drift", []) if each["distance"] > drift.TOLD]
    if shifted:
        names = ", ".join(f"{each['title'].lower()} ({each['distance']:.2f})" for each in shifted)
        items.append({"text": f"Test clips differ from training clips: {names}.", "href": "#data"})
    return [{"cell": "", "href": "", **item} for item in items]


def errors_head(errors: Mapping[str, Any] | None) -> str:
    """Return the headline of the errors."""
    if not errors:
        return "Where it fails"
    what = "recordings with a label on the wrong side" if errors["tags"] else "clips wrong"
    return f"{thousands(errors['wrong'])} of {thousands(errors['clips'])} {what}"


def data_head(data: Mapping[str, Any] | None) -> str:
    """Return the headline of the data."""
    if not data:
        return "What there is to learn from"
    clips = sum(data["counts"]["clips"])
    worst = max(data["drift"], key=lambda each: each["distance"], default=None)
    if worst and worst["distance"] > drift.TOLD:
        return f"{thousands(clips)} labelled clips, and a test that sounds different"
    return f"{thousands(clips)} labelled clips"


def cost_head(steps: Iterable[Mapping[str, Any]]) -> str:
    """Return the headline of the cost: the time of all steps that have units of work, where all were timed."""
    seconds = [step["seconds"] for step in steps if step["units"]]
    return f"{duration(sum(seconds))} of training and prediction" if seconds and all(seconds) else "What it took"
