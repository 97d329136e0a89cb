from dataclasses import replace

from pipeline.delivery import ledger
from pipeline.delivery.competition import Submission
from pipeline.delivery.duplicates import Fingerprint, certain, described, possible

SHA256 = "0123456789" + "ab" * 27
FILE = Fingerprint(SHA256, 1_000, "mine.csv", 1_500_000_000.0)  # written in July 2017
PLAIN = Submission("7", "2018-01-01T00:00:00+00:00", "by hand", "mine.csv", "complete", "0.8", "", "", 1_000)
OURS = replace(PLAIN, ref="8", description="ast | [0123456789-01234567]")
ROW = ledger.Row("t", "ast", ledger.KAGGLE, "", "", SHA256, "", "", "9", "complete")


def test_certain_is_what_the_ledger_or_the_id_tells():
    assert certain(FILE, [ROW], [PLAIN, OURS]) == [ROW, OURS]
    assert certain(FILE, [replace(ROW, scoreboard="local"), replace(ROW, sha256="x")], [PLAIN]) == []
    assert certain(replace(FILE, sha256="f" * 64), [ROW], [OURS]) == []


def test_possible_is_what_has_the_size_and_is_not_known():
    assert possible(FILE, [], [PLAIN, OURS]) == [PLAIN]
    assert possible(replace(FILE, bytes=999), [], [PLAIN]) == []
    assert possible(FILE, [replace(ROW, ref="7", sha256="of another file")], [PLAIN]) == []
    assert possible(FILE, [replace(ROW, ref="7", sha256="")], [PLAIN]) == [PLAIN]


def test_without_a_size_name_and_time_decide():
    untold = replace(PLAIN, bytes=0)
    assert possible(FILE, [], [untold]) == [untold]
    assert possible(FILE, [], [replace(untold, file_name="other.csv")]) == []
    assert possible(replace(FILE, written=1_600_000_000.0), [], [untold, replace(untold, time="")]) == []


def test_they_are_told_apart():
    assert described(PLAIN) == 'ref 7, 2018-01-01T00:00:00+00:00, complete, mine.csv, 1,000 bytes, "by hand"'
    assert described(ROW) == "ref 9, t, complete"
