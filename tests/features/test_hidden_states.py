"""The store of hidden states: what is written comes back, and a kill costs one stretch."""

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.features import hidden_states
from pipeline.features.hidden_states import HiddenStates, begin, fill, finish

VALUES = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)
ABOUT = {"corpus": "abc", "layers": [1, 2, 5]}


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr(hidden_states, "STRETCH_CLIPS", 3)


def write(folder, encode, rows, about):
    begin(folder, rows, about)
    fill(folder, encode, rows)
    finish(folder, about)


def test_rows_come_back_in_the_order_asked(tmp_path):
    write(tmp_path, VALUES.__getitem__, 7, ABOUT)
    states = HiddenStates.open(tmp_path, "abc")
    assert states.layers == (1, 2, 5)
    read = states(np.array([6, 0, 3]))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, VALUES[[6, 0, 3]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hidden_states.json", "hidden_states.npy"]


class Killed(BaseException):
    pass


def killed_at(clip):
    def encode(rows):
        if clip in rows:
            raise Killed
        return VALUES[rows]

    return encode


def test_killed_it_goes_on_after_the_last_whole_stretch(tmp_path):
    with pytest.raises(Killed):
        write(tmp_path, killed_at(6), 7, ABOUT)
    with pytest.raises(PipelineError, match="no hidden states"):
        HiddenStates.open(tmp_path, "abc")
    asked = []
    write(tmp_path, lambda rows: asked.append(rows.tolist()) or VALUES[rows], 7, ABOUT)
    assert asked == [[6]]
    np.testing.assert_array_equal(HiddenStates.open(tmp_path, "abc")(np.arange(7)), VALUES)


def test_what_was_begun_for_other_layers_is_not_gone_on_with(tmp_path):
    with pytest.raises(Killed):
        write(tmp_path, killed_at(6), 7, ABOUT)
    other = {**ABOUT, "layers": [1, 2]}
    write(tmp_path, lambda rows: VALUES[rows, :2], 7, other)
    np.testing.assert_array_equal(HiddenStates.open(tmp_path, "abc")(np.arange(7)), VALUES[:, :2])


def test_a_store_that_is_missing_or_of_another_corpus_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"no hidden states.*encode"):
        HiddenStates.open(tmp_path, "abc")
    write(tmp_path, VALUES.__getitem__, 7, ABOUT)
    with pytest.raises(PipelineError, match="another corpus"):
        HiddenStates.open(tmp_path, "abd")


def test_processes_share_the_stretches_and_write_the_same_bytes(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    write(one, VALUES.__getitem__, 7, ABOUT)
    begin(two, 7, ABOUT)
    asked = []
    fill(two, lambda rows: asked.append(rows.tolist()) or VALUES[rows], 7, rank=1, processes=2)
    assert asked == [[3, 4, 5]]
    with pytest.raises(ValueError, match="not encoded yet"):
        finish(two, ABOUT)
    begin(two, 7, ABOUT)  # killed; the next time one process does the rest
    fill(two, lambda rows: asked.append(rows.tolist()) or VALUES[rows], 7)
    assert asked[1:] == [[0, 1, 2], [6]]
    finish(two, ABOUT)
    for path in one.iterdir():
        assert (two / path.name).read_bytes() == path.read_bytes()
    assert len(list(two.iterdir())) == len(list(one.iterdir()))
