from pipeline.delivery.ledger import Row
from pipeline.reporting.page import changes as page_changes


def changes(rows, present=None):
    return page_changes.changes(rows, present or {row.run: "" for row in rows})


def row(time, run="ast", private="", public="", sha256="a", scoreboard="local"):
    return Row(time, run, scoreboard, public, private, sha256, "commit", "params")


def test_the_newest_file_is_compared_with_the_one_before():
    found = changes(
        [
            row("2026-01-01T10:00:00+00:00", private="0.80000", public="0.70000"),
            row("2026-01-02T10:00:00+00:00", private="0.85000", sha256="b"),
            row("2026-01-03T10:00:00+00:00", run="gru", private="0.5"),
        ]
    )
    assert [(each["run"], each["private"], each["private_change"]) for each in found] == [
        ("gru", "0.5", None),
        ("ast", "0.85000", 0.05),
    ]
    assert found[1]["since"] == "2026-01-01 10:00"
    assert found[1]["public_change"] is None  # its public score is not known


def test_the_same_file_scored_again_is_no_change_and_a_row_without_score_says_nothing():
    found = changes(
        [
            row("2026-01-01T10:00:00+00:00", private="0.80000"),
            row("2026-01-02T10:00:00+00:00", private="0.80000"),
            row("2026-01-03T10:00:00+00:00", sha256="b"),
        ]
    )
    (only,) = found
    assert (only["time"], only["private_change"], only["files"]) == ("2026-01-02 10:00", None, 1)


def test_each_scoreboard_has_its_own():
    found = changes([row("1", private="0.8"), row("2", private="0.7", scoreboard="kaggle", sha256="b")])
    assert [(each["where"], each["since"]) for each in found] == [("Kaggle", None), ("local", None)]


def test_a_file_that_was_tried_and_taken_back_is_the_one_before():
    rows = [
        row("2026-01-01T10:00:00+00:00", private="0.80000"),
        row("2026-01-02T10:00:00+00:00", private="0.70000", sha256="b"),
        row("2026-01-03T10:00:00+00:00", run="gone", private="0.9"),
        row("2026-01-04T10:00:00+00:00", run="gone", private="0.6", scoreboard="kaggle"),
    ]
    found = changes(rows, {"ast": "a"})
    assert [(each["run"], each["private"], each["private_change"]) for each in found] == [
        ("gone", "0.6", None),  # what Kaggle has stays
        ("ast", "0.80000", 0.1),
    ]
