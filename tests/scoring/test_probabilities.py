import numpy as np
import pytest
from pyarrow import parquet

from pipeline.errors import PipelineError
from pipeline.scoring.probabilities import ROWS_PER_GROUP, Probabilities, writing

LABELS = ["yes", "cat", "dog", "silence"]
VALUES = np.array([[0.5, 0.25, 0.25, 0.0], [0.0, 0.125, 0.25, 0.625]], np.float32)


def test_round_trip_keeps_everything(tmp_path):
    path = tmp_path / "predict" / "validation.parquet"
    Probabilities(["b.wav", "a.wav"], LABELS, VALUES, "ast", "c0ffee").write(path)
    again = Probabilities.read(path)
    assert (again.clips, again.labels, again.run, again.corpus) == (["b.wav", "a.wav"], LABELS, "ast", "c0ffee")
    assert again.values.dtype == np.float32
    assert np.array_equal(again.values, VALUES)
    assert parquet.read_schema(path).names == ["clip", *LABELS]


def test_streamed_batches_become_few_row_groups(tmp_path):
    path = tmp_path / "test.parquet"
    with writing(path, LABELS, "ast", "c") as table:
        for start in range(0, ROWS_PER_GROUP + 10, 2):
            batch = VALUES.copy()
            table.append([f"{start}.wav", f"{start + 1}.wav"], batch)
            batch[:] = np.nan  # the caller may use its buffer again
    assert parquet.ParquetFile(path).num_row_groups == 2
    again = Probabilities.read(path)
    assert again.clips == [f"{number}.wav" for number in range(ROWS_PER_GROUP + 10)]
    assert np.array_equal(again.values[-2:], VALUES)


def test_a_broken_stream_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "test.parquet"
    Probabilities(["a.wav", "b.wav"], LABELS, VALUES).write(path)

    def broken():
        with writing(path, LABELS, "ast", "c") as table:
            table.append(["c.wav", "d.wav"], VALUES)
            raise RuntimeError("the device went away")

    with pytest.raises(RuntimeError):
        broken()
    assert [file.name for file in tmp_path.iterdir()] == ["test.parquet"]
    assert Probabilities.read(path).clips == ["a.wav", "b.wav"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.25, 0.6])
def test_rows_that_are_no_probabilities_are_refused_with_the_clip(bad):
    values = VALUES.copy()
    values[1, 0] = bad
    with pytest.raises(ValueError, match=r"b\.wav: no probabilities"):
        Probabilities(["a.wav", "b.wav"], LABELS, values)


def test_half_precision_sums_are_good_enough():
    Probabilities(["a.wav"], LABELS, np.array([[0.9995, 0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="no probabilities"):
        Probabilities(["a.wav"], LABELS, np.array([[0.998, 0.0, 0.0, 0.0]]))


def test_repeated_clips_and_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"twice: a\.wav"):
        Probabilities(["a.wav", "a.wav"], LABELS, VALUES)
    with pytest.raises(ValueError, match="unique"):
        Probabilities(["a.wav", "b.wav"], ["yes", "yes", "dog", "silence"], VALUES)
    with writing(tmp_path / "x.parquet", LABELS, "", "") as table:
        table.append(["a.wav", "b.wav"], VALUES)
        with pytest.raises(ValueError, match=r"twice: a\.wav"):
            table.append(["c.wav", "a.wav"], VALUES)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="expected values"):
        Probabilities(["a.wav"], LABELS, VALUES)


def test_a_missing_or_foreign_file_says_what_to_do(tmp_path):
    with pytest.raises(PipelineError, match="dvc repro"):
        Probabilities.read(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(PipelineError, match="no valid probabilities"):
        Probabilities.read(tmp_path / "text.parquet")


def test_rows_are_selected_by_index_or_by_mask():
    table = Probabilities(["a.wav", "b.wav"], LABELS, VALUES, "words", "c")
    assert table.select(np.array([1, 0])).clips == ["b.wav", "a.wav"]
    second = table.select(np.array([False, True]))
    assert (second.clips, second.values.tolist(), second.run, second.corpus) == (
        ["b.wav"],
        [VALUES[1].tolist()],
        "words",
        "c",
    )
    assert table.select(np.array([], int)).values.shape == (0, 4)


def test_words_are_summed_into_unknown():
    table = Probabilities(["a.wav", "b.wav"], LABELS, VALUES, "words", "c").to_submission_labels(["yes"])
    assert table.labels == ["yes", "unknown", "silence"]
    assert table.values.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.375, 0.625]]
    assert (table.run, table.corpus) == ("words", "c")


def test_columns_come_into_the_submissions_order_and_unknown_stays_unknown():
    table = Probabilities(["a.wav", "b.wav"], ["silence", "unknown", "no", "yes"], VALUES)
    assert table.to_submission_labels(["yes", "no"]).values.tolist() == [
        [0.0, 0.25, 0.25, 0.5],
        [0.625, 0.25, 0.125, 0.0],
    ]


def test_a_command_without_column_is_refused():
    with pytest.raises(PipelineError, match="no column for no"):
        Probabilities(["a.wav", "b.wav"], LABELS, VALUES).to_submission_labels(["yes", "no"])
