"""What clips and targets go together."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, refuse_soft_labels, unaugmented

SOFT = np.array([[0.5, 0.5, 0], [0, 0.25, 0.75]], np.float32)
TAGS = np.array([[1, 1, 0], [0, 0, 0]], np.float32)


def examples(targets, exclusive=True):
    return Examples(read=lambda rows: rows, rows=np.arange(len(targets)), targets=targets, exclusive=exclusive)


def test_every_row_has_a_target():
    with pytest.raises(ValueError, match="3 rows, but 2 targets"):
        Examples(read=lambda rows: rows, rows=np.arange(3), targets=np.arange(2))


@pytest.mark.parametrize(
    ("targets", "exclusive", "soft"),
    [(np.array([0, 2]), True, False), (SOFT, True, True), (TAGS, False, False), (np.empty((0, 3), "f"), True, True)],
)
def test_the_task_is_told_and_not_guessed(targets, exclusive, soft):
    made = examples(targets, exclusive)
    assert (made.multi_label, made.soft) == (not exclusive, soft)


@pytest.mark.parametrize(
    ("targets", "exclusive", "message"),
    [
        (TAGS, True, "each row must be a distribution where labels are exclusive"),
        (SOFT - np.float32(1), True, "must be a distribution"),
        (SOFT, False, "each value must be 0 or 1 where labels are not exclusive"),
        (np.array([0, 2]), False, r"expected float32 \[clips, labels\] where labels are not exclusive"),
        (SOFT.astype(np.float64), True, r"float64 \[2, 3\]: expected int64 \[clips\] or float32 \[clips, labels\]"),
        (np.array([[0], [2]]), True, "one a clip"),
        (np.array(["a", "b"]), True, "expected int64"),
    ],
)
def test_targets_of_another_task_are_refused(targets, exclusive, message):
    with pytest.raises(ValueError, match=message):
        examples(targets, exclusive)


def data(train, validation, **options):
    return TrainingData(train, validation, lambda epoch: np.arange(2), unaugmented, 3, **options)


def test_clips_are_judged_by_one_label_each_of_the_same_task():
    hard, soft, tags = examples(np.array([0, 2])), examples(SOFT), examples(TAGS, exclusive=False)
    assert data(soft, hard, judged=np.array([0, 1, 1])).judged is not None
    with pytest.raises(ValueError, match="not by a distribution"):
        data(hard, soft)
    with pytest.raises(ValueError, match="both be exclusive, or neither"):
        data(hard, tags)
    with pytest.raises(ValueError, match="only exclusive labels"):
        data(tags, tags, judged=np.array([0, 1, 1]))


def test_soft_labels_are_refused_with_the_way_out():
    refuse_soft_labels(examples(TAGS, exclusive=False), "Trees")
    with pytest.raises(PipelineError, match=r"Trees learn one label a clip.*soft labels.*\nTake a network"):
        refuse_soft_labels(examples(SOFT), "Trees")


def test_clips_as_they_are_come_as_floats_also_in_another_process():
    clips = np.array([[-32768, 16384]], np.int16)
    plain = pickle.loads(pickle.dumps(unaugmented))
    assert plain(clips, []).tolist() == [[-1.0, 0.5]]
    assert plain(np.array([[255]], np.uint8), []).dtype == np.float32
    assert replace(examples(SOFT), exclusive=True).soft
