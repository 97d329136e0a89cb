"""One row a run: what it is, what it cost, how well it does; as Markdown and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors import safe_open

from pipeline.errors import PipelineError
from pipeline.features.selection import FILE as SELECTION
from pipeline.files import replacing
from pipeline.scoring.paired import Gain

FIGURES = {"prior_accuracy": "accuracy under the prior", "map": "mean average precision"}
BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"


@dataclass(frozen=True)
class Estimate:
    """A share of 0 to 1 with its 95 % interval, where there is one, and of how many clips."""

    value: float
    low: float | None
    high: float | None
    clips: int

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


@dataclass(frozen=True)
class RunSummary:
    """One run; None is what was not measured, or does not apply.

    `round` is "student" or "second student" of a run that learnt from the test clips too, else "". `judge` names the
    figure of `estimate`, `selected` and `test`: prior_accuracy, or map (mean average precision).
    `estimate` is of out-of-fold clips on which nothing was chosen (nested), `selected` of the same clips by the choices
    made on them, which flatters.
    `parameters` counts the networks' values, `train_seconds` includes what killed trainings took, `clips_a_second`
    is the speed of `predict`. `reported` is what the system's authors told of their own data. `unheard_recall` is the
    recall of unknown on words that the nets never learnt, `gain` the difference to another run's estimate.
    """

    run: str
    model: str
    round: str
    question: str
    learns: str
    parameters: int | None
    train_seconds: float | None
    clips_a_second: float | None
    judge: str
    estimate: Estimate
    selected: float | None
    test: Estimate | None
    macro_f1: float | None
    unknown_recall: float | None
    silence_recall: float | None
    reported: str
    unheard_recall: Estimate | None = None
    gain: Gain | None = None


HEADINGS = {
    "run": "run",
    "model": "model",
    "round": "round",
    "learns": "learns",
    "parameters": "parameters",
    "train_seconds": "training, s",
    "clips_a_second": "clips/s",
    "estimate": "estimate, nested (95 %)",
    "gain": "difference (95 %)",
    "selected": "selected, flatters",
    "test": "test (95 %)",
    "macro_f1": "macro F1",
    "unknown_recall": "recall of unknown",
    "unheard_recall": "recall of unheard words",
    "silence_recall": "recall of silence",
    "reported": "reported by the authors",
}
SHORT = ("run", "train_seconds", "estimate", "gain", "test", "macro_f1")  # for a terminal
# What has several columns of the CSV.
_PARTS = {
    **dict.fromkeys(("estimate", "test", "unheard_recall"), ("value", "low", "high", "clips")),
    "gain": ("value", "low", "high"),
}
_NUMBERS = {name for name in HEADINGS if name not in ("run", "model", "round", "learns", "reported")}
LEGEND = (
    "estimate: clips out of fold, each judged by choices (epoch, weights, thresholds) made on other speakers;\n"
    "selected: the same clips by the final choices, which were made on them.\n"
)


def parameters_in(folder: Path) -> int | None:
    """Return how many values the networks under `folder` hold, None where there is none.

    What selects a probe's features is no fitted value, and how many a forest or support vectors have is no such number.
    """
    files = [path for path in sorted(folder.rglob("*.safetensors")) if path.name != SELECTION]
    total = 0
    for path in files:
        with safe_open(path, "numpy") as weights:
            for name in weights.keys():  # noqa: SIM118 (it is no dictionary)
                size = 1
                for length in weights.get_slice(name).get_shape():
                    size *= length
                total += size
    return total if files else None


def markdown(rows: Sequence[RunSummary], columns: Sequence[str] = tuple(HEADINGS)) -> str:
    """Return the runs as Markdown, best estimate first: a table for each question, since figures of different
    questions do not compare. Columns that no run fills are left out; a line says what both figures are.
    """
    questions = list(dict.fromkeys((row.question, row.judge) for row in rows))
    tables = []
    for question, judge in questions:
        of_question = [row for row in rows if (row.question, row.judge) == (question, judge)]
        told = f"{question}: {FIGURES[judge]}\n\n" if len(questions) > 1 else ""
        tables.append(told + _table(of_question, columns))
    return "\n".join([*tables, LEGEND])


def _table(rows: Sequence[RunSummary], columns: Sequence[str]) -> str:
    texts = [_texts(row) for row in sorted(rows, key=lambda row: -row.estimate.value)]
    shown = [name for name in columns if any(text[name] for text in texts)]
    lines = [" | ".join(HEADINGS[name] for name in shown), "|".join("--:" if n in _NUMBERS else "---" for n in shown)]
    lines += [" | ".join(text[name] or "-" for name in shown) for text in texts]
    return "".join(f"| {line} |\n" if "---" not in line else f"|{line}|\n" for line in lines)


def to_csv(rows: Sequence[RunSummary]) -> str:
    """Return the table as CSV with every column; an accuracy is in four: value, low, high, clips."""
    file = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(
        file, list(flat[0]) if flat else [field.name for field in fields(RunSummary)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(flat)
    return file.getvalue()


def put_into(path: Path, table: str) -> None:
    """Replace what stands between the lines `<!-- compare: begin -->` and `<!-- compare: end -->` of a file.

    Raises PipelineError if the file has no such lines.
    """
    try:
        text = path.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
    except FileNotFoundError:
        raise PipelineError(f"There is no {path} to put the table into.") from None
    except ValueError:
        raise PipelineError(f"{path} must have the lines '{BEGIN}' and '{END}', each once.") from None
    with replacing(path) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table}{END}{after}", encoding="utf-8")


def _texts(row: RunSummary) -> dict[str, str]:
    texts = {}
    for name in HEADINGS:
        value = getattr(row, name)
        if value is None:
            texts[name] = ""
        elif name == "parameters":
            texts[name] = f"{value:,}"
        elif name in ("train_seconds", "clips_a_second"):
            texts[name] = f"{value:,.0f}"
        elif isinstance(value, float):
            texts[name] = f"{value:.3f}"
        elif isinstance(value, Gain):
            texts[name] = f"{value.value:+.3f} ({value.low:+.3f} to {value.high:+.3f})"
        else:
            texts[name] = str(value).replace("|", "\\|")
    return texts


def _flat(row: RunSummary) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in asdict(row).items():
        if name in _PARTS:
            flat |= {f"{name}_{part}".removesuffix("_value"): value and value[part] for part in _PARTS[name]}
        else:
            flat[name] = value
    return flat
