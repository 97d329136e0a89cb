from dataclasses import replace

import pytest

from pipeline.delivery import ledger
from pipeline.files import sha256_of, write_json
from pipeline.layout import Layout
from pipeline.locks import held
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
    (layout.unlisted / "train-gone").mkdir(parents=True)
    (layout.submissions / "0.50000_net-0123abcd.csv").touch()
    return layout


GONE = [
    *("artifacts/timing/gone", "artifacts/unlisted/train-gone", "artifacts/work/gone"),
    *("submissions/0.50000_gone.csv", "submissions/0.50000_gone.png"),
]


def test_it_lists_what_no_run_owns_and_removes_it_when_asked_to(layout, capsys):
    before = set(layout.root.rglob("*"))
    prune.main(layout)
    *listed, hint = capsys.readouterr().out.splitlines()
    assert listed == GONE  # what Kaggle has scored stays
    assert hint == "Nothing was removed. To remove it: python -m pipeline prune --remove"
    assert set(layout.root.rglob("*")) == before
    prune.main(layout, remove=True)
    assert capsys.readouterr().out.splitlines() == [*GONE, "Removed: 5."]
    gone = {path.relative_to(layout.root).as_posix() for path in before - set(layout.root.rglob("*"))}
    assert gone == {*GONE, "artifacts/timing/gone/train-0.json", "artifacts/work/gone/0"}
    prune.main(layout, remove=True)
    assert capsys.readouterr().out == "Nothing is left of runs that are listed no more.\n"


def test_a_training_that_goes_on_stays_and_a_fold_that_is_listed_no_more_goes(layout, capsys):
    (layout.artifacts / "work" / "net" / "3").mkdir()
    with held(layout.artifacts / "work" / "gone" / "0" / "lock", "It"):
        prune.main(layout, remove=True)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "artifacts/work/gone stays: its training goes on."
    assert "artifacts/work/net/3" in told
    assert (layout.artifacts / "work" / "gone").exists()
    assert [path.name for path in (layout.artifacts / "work" / "net").iterdir()] == ["0"]


def test_a_file_that_no_run_is_known_to_have_made_stays(layout, capsys):
    """Such as one that was downloaded."""
    for name in ("0.91060_winner.csv", "0.91060_winner.png"):
        (layout.submissions / name).write_text("somebody else's")
    prune.main(layout, remove=True)
    assert capsys.readouterr().out.splitlines() == [*GONE, "Removed: 5."]


def test_a_file_that_kaggle_names_by_its_id_alone_stays(layout, capsys):
    """The ledger was lost, or another clone wrote the row: Kaggle tells no checksum."""
    file = layout.submissions / "0.50000_gone.csv"
    at_kaggle = replace(row("gone", file, ledger.KAGGLE), sha256="", ref="7")
    ledger.append(layout.ledger, replace(at_kaggle, message=f"gone | [{sha256_of(file)[:10]}-01234567]"))
    prune.main(layout, remove=True)
    assert capsys.readouterr().out.splitlines() == [*GONE[:3], "Removed: 3."]
    assert file.exists()
