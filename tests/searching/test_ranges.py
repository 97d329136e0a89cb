"""Ranges of a search, and values from them in the places of a run's entry."""

import pytest
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.searching.ranges import Choices, Range, value_at, with_values

SHARED = [{"Gain": {"p": 0.5, "max_gain_db": 6}}, {"AddNoise": {"p": 0.5}}]
OWN = {"model": "gru", "training": {"epochs": 3}}
MERGED = {**OWN, "augmentation": SHARED, "training": {"epochs": 3, "batch_size": 16}, "rebalancing": {"unknown": 2.0}}


def test_numbers_are_whole_where_both_ends_are():
    assert Range(low=1, high=4).whole
    assert not Range(low=1, high=4.0).whole
    assert Range(low=0.001, high=0.1, log=True).ends == [0.001, 0.1]
    assert Choices(choices=["adamw", None, True, 3]).ends == ["adamw", None, True, 3]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Range, {"low": 1, "high": 1}, "low must be below high"),
        (Range, {"low": 0, "high": 1, "log": True}, "log needs a low above 0"),
        (Range, {"low": 1, "high": 9, "log": True, "step": 2}, "log needs a low above 0, and no step"),
        (Range, {"low": 1, "high": 9, "step": 0.5}, "whole numbers have a whole step"),
        (Range, {"low": 64, "high": 250, "step": 32}, "steps of 32 do not come to high 250"),
        (Range, {"low": 1}, "high"),
        (Range, {"low": True, "high": 3}, "truth value"),
        (Range, {"low": 1, "high": 3, "lg": True}, "lg"),
        (Choices, {"choices": [1]}, "at least 2"),
        (Choices, {"choices": [[1], [2]]}, "a choice is a number, a word, true, false or null"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(kind, values, message):
    with pytest.raises(ValidationError, match=message):
        kind(**values)


def test_values_go_where_their_keys_say_and_nothing_else_changes():
    values = {"training.learning_rate": 0.01, "parameters.spec_augment.time_masks": 2, "rebalancing.unknown": "all"}
    assert with_values(OWN, MERGED, values) == {
        "model": "gru",
        "training": {"epochs": 3, "learning_rate": 0.01},
        "parameters": {"spec_augment": {"time_masks": 2}},
        "rebalancing": {"unknown": "all"},
    }
    assert OWN == {"model": "gru", "training": {"epochs": 3}}


def test_a_list_of_named_parts_is_gone_through_by_name_and_taken_as_a_whole():
    changed = with_values(OWN, MERGED, {"augmentation.AddNoise.p": 0.9, "augmentation.Gain.max_gain_db": 3})
    assert changed["augmentation"] == [{"Gain": {"p": 0.5, "max_gain_db": 3}}, {"AddNoise": {"p": 0.9}}]
    assert SHARED[1] == {"AddNoise": {"p": 0.5}}
    assert value_at(changed, "augmentation.AddNoise.p") == 0.9
    with pytest.raises(KeyError):
        value_at(changed, "augmentation.Shift.p")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("model", "is no place to search. It begins with one of: training, parameters"),
        ("vocabulary.kind", "is no place to search"),
        ("training", "is no place to search"),
        ("augmentation.Shift.p", "leads nowhere, for there is no Shift"),
        ("training.epochs.x", "leads nowhere, for x would be in 3"),
    ],
)
def test_a_key_that_leads_nowhere_is_told(key, message):
    with pytest.raises(PipelineError, match=f"{key}.*{message}"):
        with_values(OWN, MERGED, {key: 1})
