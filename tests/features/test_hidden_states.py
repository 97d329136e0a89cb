import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.features.hidden_states import HiddenStates, write

VALUES = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)
ABOUT = {"corpus": "abc", "layers": [1, 2, 5]}


def test_rows_come_back_in_the_order_asked(tmp_path):
    write(tmp_path, iter([VALUES[:4], VALUES[4:]]), 7, ABOUT)
    states = HiddenStates.open(tmp_path, "abc")
    assert states.layers == [1, 2, 5]
    read = states.read(np.array([6, 0, 3]))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, VALUES[[6, 0, 3]])


def test_too_few_clips_are_no_store(tmp_path):
    with pytest.raises(ValueError, match="expected 8 clips, got 7"):
        write(tmp_path, iter([VALUES]), 8, ABOUT)


def test_a_store_that_is_missing_or_of_another_corpus_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"no hidden states.*encode"):
        HiddenStates.open(tmp_path, "abc")
    write(tmp_path, iter([VALUES]), 7, ABOUT)
    with pytest.raises(PipelineError, match="another corpus"):
        HiddenStates.open(tmp_path, "abd")
