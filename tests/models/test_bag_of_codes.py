"""Building the bag of codes; it learns sounds, one label a clip or several, and survives the disk."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, as_float
from pipeline.files import read_json
from pipeline.models import bag_of_codes
from tests.tones import LABELS, sounds, training_data_of

NOISE = 0.1  # louder, it drowns the tones of a clip that holds both
SMALL = {"codes": 8, "hidden": 32, "learning": {"width": 24, "vectors": 200, "epochs": 2, "batch_size": 32}}


@pytest.fixture(scope="module", params=[False, True], ids=["one label", "several labels"])
def data(request) -> TrainingData:
    return training_data_of(sounds(96, 1, request.param, NOISE), sounds(60, 2, request.param, NOISE))


def build(examples: Examples, training=None, **params):
    torch.manual_seed(4)
    settings = bag_of_codes.Training(**{"epochs": 6, "batch_size": 8, "learning_rate": 0.01, **(training or {})})
    return bag_of_codes.build(bag_of_codes.Params(**{**SMALL, **params}), settings, LABELS, examples, store=None)


def test_it_learns_and_is_restored_to_the_same_probabilities(data, tmp_path):
    classifier, watched = build(data.train), []
    classifier.watch = lambda epoch, figure: watched.append(epoch)
    classifier.fit(data, tmp_path / "work", tmp_path / "live")
    assert watched == [1, 2, 3, 4, 5, 6]  # by which a search prunes
    heard, targets = data.validation.read(data.validation.rows), data.validation.targets
    values = classifier.predict_proba(heard)
    assert (values.dtype, values.shape) == (np.float32, (60, 3))
    if data.train.multi_label:
        assert np.mean((values > 0.5) == (targets > 0.5)) > 0.85
    else:
        assert values.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
        assert np.mean(values.argmax(axis=1) == targets) > 0.9

    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "codes.safetensors",
        "model.safetensors",
        "network.json",
    ]
    assert read_json(tmp_path / "model" / "network.json")["options"]["codes"] == 8
    restored = bag_of_codes.restore(tmp_path / "model", classifier.training)
    assert (restored.labels, restored.multi_label) == (LABELS, data.train.multi_label)
    np.testing.assert_array_equal(restored.predict_proba(heard), values)


def test_the_published_sizes_are_the_defaults():
    examples = sounds(300, 1, multi_label=True, noise=NOISE)
    classifier = bag_of_codes.build(bag_of_codes.Params(), bag_of_codes.Training(), LABELS, examples, store=None)
    assert classifier.loss == "huber"
    assert classifier.feature_augment.share == 0.35
    head = [layer for layer in classifier.model if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in head] == [(1024, 512), (512, 3)]
    for name, (length, bottleneck) in {"patches": (80, 8), "bands": (800, 80), "envelopes": (960, 96)}.items():
        encoder = classifier.front_end.autoencoders[name].encoder
        assert [layer.out_features for layer in encoder if isinstance(layer, nn.Linear)] == [2048, 2048, bottleneck]
        assert encoder[0].in_features == length
        assert classifier.front_end.centres(name).shape == (256, bottleneck)


def test_the_front_end_is_fitted_to_the_training_clips():
    examples = sounds(24, 1, noise=NOISE)
    spectrogram = build(examples).front_end.spectrogram
    features = spectrogram(torch.from_numpy(as_float(examples.read(examples.rows))))
    assert (float(features.mean()), float(features.std())) == pytest.approx((0, 1), abs=1e-3)


@pytest.mark.parametrize("few", [{"codes": 25}, {"codes": 9, "learning": {"vectors": 8}}], ids=["clips", "vectors"])
def test_more_codes_than_vectors_are_refused_before_the_work(few):
    with pytest.raises(PipelineError, match=r"codes cannot be learnt from (24|8) vectors.*\n.*params\.yaml"):
        build(sounds(24, 1, noise=NOISE), **few)


@pytest.mark.parametrize(
    "bad", [{"codes": 1}, {"codes": 70_000}, {"shrink": 15}, {"masked_share": 1}, {"takes": 0}, {"depth": 3}], ids=str
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        bag_of_codes.Params(**bad)


def test_counts_have_no_stretches_of_time_for_cutmix():
    assert bag_of_codes.Training(mixup_alpha=0.2, mix="features").cutmix_alpha == 0
    with pytest.raises(ValidationError, match="a bag of codes has none; set cutmix_alpha: 0"):
        bag_of_codes.Training(cutmix_alpha=1)
