import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.examples.pseudo_labels import PseudoLabels, epoch_indices, learnt, read, swayed, trusted, write

# Seven clips; the likeliest labels are a, a, a, b, b, b, a.
VALUES = np.array(
    [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.45, 0.55], [0.1, 0.9], [0.3, 0.7], [0.7, 0.3]], dtype=np.float32
)


def test_all_are_trusted_unless_said_otherwise():
    assert trusted(VALUES, PseudoLabels()).tolist() == list(range(7))


def test_a_clip_is_trusted_from_the_minimum_on():
    assert trusted(VALUES, PseudoLabels(minimum=0.7)).tolist() == [0, 2, 4, 5, 6]
    assert trusted(VALUES, PseudoLabels(minimum=0.95)).tolist() == []


def test_at_most_so_many_of_each_label_are_trusted_the_surest_first():
    assert trusted(VALUES, PseudoLabels(most=2)).tolist() == [0, 2, 4, 5]
    assert trusted(VALUES, PseudoLabels(most=1, minimum=0.92)).tolist() == []
    assert trusted(VALUES, PseudoLabels(most=100)).tolist() == list(range(7))
    equal = np.full((4, 2), 0.5, np.float32)
    assert trusted(equal, PseudoLabels(most=2)).tolist() == [0, 1]


def test_soft_labels_are_learnt_as_they_are_and_hard_ones_as_certain():
    likeliest, each = VALUES.argmax(axis=1), np.arange(2)
    np.testing.assert_allclose(learnt(VALUES * 2, likeliest, each, PseudoLabels()), VALUES, rtol=1e-6)
    hard = learnt(VALUES[:4], likeliest[:4], each, PseudoLabels(hard=True))
    assert hard.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]


def test_a_hard_label_is_the_likeliest_word_of_the_likeliest_label():
    values = np.array([[0.4, 0.25, 0.3, 0.05], [0.6, 0.15, 0.2, 0.05]], np.float32)
    group = np.array([0, 1, 1, 2])  # a command, two other words, silence
    assert learnt(values, np.array([1, 0]), group, PseudoLabels(hard=True)).argmax(axis=1).tolist() == [2, 0]


def test_the_odds_of_unknown_are_multiplied_and_nothing_else():
    values = np.array([[0.5, 0.1, 0.2, 0.2], [0.9, 0.0, 0.0, 0.1]], np.float32)
    odds = PseudoLabels(unknown_odds=3)
    found = swayed(values, np.array([False, True, True, False]), odds)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    unknown, before = found[0, 1:3].sum(), values[0, 1:3].sum()
    assert unknown / (1 - unknown) == pytest.approx(3 * before / (1 - before))
    np.testing.assert_allclose(found[0, [0, 3]] / found[0, 0], [1, 0.4], rtol=1e-6)
    np.testing.assert_allclose(found[0, 1] / found[0, 2], 0.5, rtol=1e-6)
    np.testing.assert_allclose(found[1], values[1])
    assert swayed(values, np.array([False, True, True, False]), PseudoLabels()) is values


def test_an_epoch_holds_all_of_them_or_a_share_of_the_real_clips():
    assert epoch_indices(7, 100, PseudoLabels(), 3, seed=1).tolist() == list(range(7))
    part = epoch_indices(50, 20, PseudoLabels(share=0.5), 0, seed=1)
    assert len(part) == 10
    assert part.tolist() == sorted(set(part.tolist()))
    assert epoch_indices(7, 100, PseudoLabels(share=2.0), 3, seed=1).tolist() == list(range(7))
    assert epoch_indices(0, 100, PseudoLabels(share=0.5), 0, seed=1).tolist() == []
    assert epoch_indices(50, 20, PseudoLabels(share=0.0), 0, seed=1).tolist() == []


def test_none_comes_back_before_the_others_had_their_turn():
    settings = PseudoLabels(share=1.0)
    epochs = [epoch_indices(50, 10, settings, epoch, seed=1) for epoch in range(10)]
    assert sorted(np.concatenate(epochs[:5])) == list(range(50)) == sorted(np.concatenate(epochs[5:]))
    np.testing.assert_array_equal(epochs[3], epoch_indices(50, 10, settings, 3, seed=1))
    assert (epochs[0] != epoch_indices(50, 10, settings, 0, seed=2)).any()


def test_what_is_written_comes_back(tmp_path):
    path = tmp_path / "student" / "0.parquet"
    write(path, ["b.wav", "a.wav"], ["yes", "no"], VALUES[:2])
    clips, values = read(path, ["yes", "no"])
    assert clips == ["b.wav", "a.wav"]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, VALUES[:2])
    with pytest.raises(PipelineError, match="other labels than the student: yes, no"):
        read(path, ["no", "yes"])
    with pytest.raises(PipelineError, match="stage pseudo_label"):
        read(tmp_path / "1.parquet", ["yes", "no"])


@pytest.mark.parametrize(
    "bad",
    [
        *({"minimum": 1.1}, {"minimum": -0.1}, {"most": 0}, {"share": "some"}, {"share": -0.5}, {"soft": True}),
        {"unknown_odds": 0},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValidationError):
        PseudoLabels(**bad)
