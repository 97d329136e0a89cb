import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.scoring.judged import Decisions, judged_by
from pipeline.scoring.probabilities import Probabilities

TABLE = Probabilities(["b.wav", "a.wav"], ["yes", "cat"], np.array([[0.75, 0.25], [0.5, 0.5]]), "gru", "c0ffee")


def test_round_trip_keeps_the_table_and_the_decisions(tmp_path):
    judged_by(TABLE, np.array([0, 2]), ["yes", "no", "unknown"]).write(tmp_path / "judged.parquet")
    again = Decisions.read(tmp_path / "judged.parquet")
    assert again.decided.tolist() == ["yes", "unknown"]
    assert (again.table.clips, again.table.labels, again.table.run) == (TABLE.clips, TABLE.labels, "gru")
    assert np.array_equal(again.table.values, TABLE.values)


def test_where_labels_do_not_exclude_each_other_nothing_is_decided(tmp_path):
    table = Probabilities(["a"], ["Bass", "Hiss"], np.array([[0.9, 0.8]]), exclusive=False)
    judged_by(table, None, table.labels).write(tmp_path / "judged.parquet")
    again = Decisions.read(tmp_path / "judged.parquet")
    assert again.decided.tolist() == [""]
    assert not again.table.exclusive


def test_a_missing_or_strange_file_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"There is no .*dvc repro"):
        Decisions.read(tmp_path / "judged.parquet")
    TABLE.write(tmp_path / "judged.parquet")
    with pytest.raises(PipelineError, match="no judged clips"):
        Decisions.read(tmp_path / "judged.parquet")
