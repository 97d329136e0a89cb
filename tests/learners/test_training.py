"""The parameters of a training: what is refused, and what they mean."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from pipeline.errors import PipelineError
from pipeline.learners.training import OPTIMIZERS, Training, precision_of


@pytest.mark.parametrize(
    ("wanted", "device", "major", "expected"),
    [
        ("auto", "cpu", 8, "fp32"),
        ("auto", "mps", 8, "fp32"),
        ("auto", "cuda", 8, "bf16"),
        ("auto", "cuda", 7, "fp16"),
        ("fp32", "cuda", 8, "fp32"),
        ("fp16", "cuda", 8, "fp16"),
        ("bf16", "cpu", 7, "bf16"),
        ("fastest", "cuda", 8, "bf16"),
        ("fastest", "cuda", 7, "fp16"),
    ],
)
def test_precision_is_what_the_device_has(wanted, device, major, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(major=major))  # a T4 has 7
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda _: True)  # older ones emulate it
    assert precision_of(wanted, torch.device(device)) == expected


@pytest.mark.parametrize(
    ("has", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False}, "fp32"), ({}, "fp32")],
)
def test_the_fastest_on_a_processor_is_what_it_has_instructions_for(has, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert precision_of("fastest", torch.device("cpu")) == expected


def test_half_precision_without_a_device_for_it_is_refused():
    with pytest.raises(PipelineError, match=r"fp16 needs a CUDA device.*precision` to auto"):
        precision_of("fp16", torch.device("cpu"))


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"eval_batch_size": 0},
        {"learning_rate": 0},
        {"schedule": "step"},
        {"warmup_ratio": 1},
        {"weight_decay": -1},
        {"max_grad_norm": 0},
        {"label_smoothing": 1},
        {"mixup_alpha": -0.1},
        {"patience": 0},
        {"precision": "int8"},
        {"workers": -1},
        {"epoch": 3},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_bad_values_are_refused(bad):
    with pytest.raises(ValidationError, match=next(iter(bad))):
        Training(**bad)


OTHERS = sorted(OPTIMIZERS.keys() - {"adamw"})


def test_weights_decay_under_adamw_alone():
    assert Training().decay == 0.01
    assert Training(weight_decay=0.05).decay == 0.05
    assert Training(weight_decay=0).decay == 0
    assert [Training(optimizer=optimizer).decay for optimizer in OTHERS] == [0] * 5


@pytest.mark.parametrize("optimizer", OTHERS)
def test_a_decay_of_weights_that_another_optimiser_would_drop_is_refused(optimizer):
    assert Training(optimizer=optimizer, weight_decay=0.0).decay == 0
    with pytest.raises(ValidationError, match=rf"weight_decay 0.05 is of .* adamw alone; with {optimizer}.*: null"):
        Training(optimizer=optimizer, weight_decay=0.05)


def test_momentum_is_of_sgd_alone():
    assert Training(optimizer="sgd", momentum=0.9).momentum == 0.9
    with pytest.raises(ValidationError, match=r"momentum 0.9 is of the optimizer sgd alone; with adam, leave it out"):
        Training(optimizer="adam", momentum=0.9)


def test_an_optimiser_that_there_is_not_is_told_with_those_that_there_are():
    with pytest.raises(ValidationError, match="no 'lion'; take one of adamw, adam, adamax, sgd, rmsprop, adagrad"):
        Training(optimizer="lion")
