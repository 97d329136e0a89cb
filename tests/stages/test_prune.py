import pytest

from pipeline.delivery import ledger
from pipeline.files import sha256_of, write_json
from pipeline.layout import Layout
from pipeline.stages import prune


def row(run, file, scoreboard):
    return ledger.Row("2026-11-21T12:00:00+00:00", run, scoreboard, "0.5", "0.5", sha256_of(file), "", "")


@pytest.fixture
def layout(tmp_path):
    """A project with one run, and what another has left."""
    layout = Layout(tmp_path)
    write_json(layout.params, {"seed": 1, "runs": {"net": {"model": "linear"}}})
    layout.submissions.mkdir()
    for run in ("net", "gone"):
        (layout.artifacts / "work" / run / "0").mkdir(parents=True)
        write_json(layout.timing(run, "train-0"), {"seconds": 1})
        for score, text in (("0.50000", "local"), ("0.60000", "kaggle")):
            file = layout.submissions / f"{score}_{run}.csv"
            file.write_text(f"{text} {run}")
            file.with_suffix(".png").touch()
            ledger.append(layout.ledger, row(run, file, text))
    (layout.artifacts / "work" / ".encode").mkdir()
    (layout.submissions / "0.50000_net-0123abcd.csv").touch()
    return layout


GONE = ["artifacts/timing/gone", "artifacts/work/gone", "submissions/0.50000_gone.csv", "submissions/0.50000_gone.png"]


def test_it_lists_what_no_run_owns_and_removes_it_when_asked_to(layout, capsys):
    before = set(layout.root.rglob("*"))
    prune.main(layout)
    *listed, hint = capsys.readouterr().out.splitlines()
    assert listed == GONE  # what Kaggle has scored stays
    assert hint == "Nothing was removed. To remove it: python -m pipeline prune --remove"
    assert set(layout.root.rglob("*")) == before
    prune.main(layout, remove=True)
    assert capsys.readouterr().out.splitlines() == [*GONE, "Removed: 4."]
    gone = {path.relative_to(layout.root).as_posix() for path in before - set(layout.root.rglob("*"))}
    assert gone == {*GONE, "artifacts/timing/gone/train-0.json", "artifacts/work/gone/0"}
    prune.main(layout, remove=True)
    assert capsys.readouterr().out == "Nothing is left of runs that are listed no more.\n"
