"""Building wav2vec 2.0: small from a config, or from a checkpoint as it is published."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn
from transformers import Wav2Vec2FeatureExtractor

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.mel_kernels import mel_kernels
from pipeline.features.normalise import UnitVariance
from pipeline.learners.training import Training
from pipeline.models import wav2vec2

LABELS = ["cat", "dog", "yes", "silence"]
NONE = Examples(read=lambda rows: rows, rows=np.arange(0), targets=np.arange(0))


@pytest.fixture
def config(tiny_params):
    return tiny_params["runs"]["wav2vec2"]["parameters"]["config"]


def build(tmp_path, **params):
    return wav2vec2.build(wav2vec2.Params(**params), Training(), LABELS, NONE, tmp_path)


def test_a_small_one_is_made_from_a_config(config, tmp_path):
    classifier = build(tmp_path, config=config)
    assert classifier.labels == LABELS
    assert classifier.model.classifier.weight.shape == (4, 16)
    assert isinstance(classifier.front_end, UnitVariance)
    assert all(parameter.requires_grad for parameter in classifier.model.parameters())


def test_a_published_checkpoint_gives_its_encoder(publish, tmp_path):
    folder = publish("wav2vec2", tmp_path / "published")
    wav2vec2.check(wav2vec2.Params(checkpoint=str(folder)), tmp_path)
    classifier = build(tmp_path, checkpoint=str(folder))
    assert classifier.labels == LABELS
    (tmp_path / "built").mkdir()
    classifier.save(tmp_path / "built")
    published, built = (load_file(tmp_path / name / "model.safetensors") for name in ("published", "built"))
    assert published.keys() == built.keys()
    changed = {name for name in built if not torch.equal(built[name], published[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert built["classifier.weight"].shape == (4, 16)


@pytest.mark.parametrize(("normalised", "front_end"), [(True, UnitVariance), (False, nn.Identity)])
def test_the_front_end_is_the_one_that_the_checkpoint_was_trained_with(normalised, front_end, publish, tmp_path):
    folder = publish("wav2vec2", tmp_path / "published")
    Wav2Vec2FeatureExtractor(do_normalize=normalised).save_pretrained(folder)
    classifier = build(tmp_path, checkpoint=str(folder))
    assert type(classifier.front_end) is front_end
    (tmp_path / "built").mkdir()
    classifier.save(tmp_path / "built")
    assert type(wav2vec2.restore(tmp_path / "built", Training()).front_end) is front_end


def test_a_frozen_feature_encoder_does_not_learn(config, tmp_path):
    model = build(tmp_path, config=config, freeze_feature_encoder=True).model
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".feature_extractor." in name}
    assert frozen


def test_a_mel_start_is_where_the_first_convolution_starts(config, tmp_path):
    first = build(tmp_path, config=config, mel_start=True).model.wav2vec2.feature_extractor.conv_layers[0].conv.weight
    assert np.array_equal(first.detach().numpy()[:, 0], mel_kernels(16, 40))


def test_one_that_is_missing_is_found_out_by_check(tmp_path):
    with pytest.raises(PipelineError, match=r"'\./nowhere' is not here"):
        wav2vec2.check(wav2vec2.Params(checkpoint="./nowhere"), tmp_path)


def test_a_checkpoint_of_another_sample_rate_is_refused(publish, tmp_path):
    folder = publish("wav2vec2", tmp_path / "published")
    Wav2Vec2FeatureExtractor(sampling_rate=8_000).save_pretrained(folder)
    with pytest.raises(PipelineError, match=r"hears 8000 Hz; clips have 16000 Hz\.\nChange the run's `checkpoint`"):
        wav2vec2.check(wav2vec2.Params(checkpoint=str(folder)), tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"conv_stride": [20]}, "cannot be built"),
        ({"conv_kernel": [40, 900]}, "cannot be built"),
        ({"num_attention_heads": 3}, "divisible by num_heads"),
        ({"hidden": 3}, "knows no hidden"),
    ],
)
def test_check_finds_out_what_cannot_be_built(values, message, config, tmp_path):
    wav2vec2.check(wav2vec2.Params(config=config), tmp_path)
    with pytest.raises(PipelineError, match=message):
        wav2vec2.check(wav2vec2.Params(config={**config, **values}), tmp_path)


def test_check_finds_out_what_cannot_start_as_mel(config, tmp_path):
    odd = {**config, "conv_dim": [30, *config["conv_dim"][1:]]}
    wav2vec2.check(wav2vec2.Params(config=odd), tmp_path)
    with pytest.raises(PipelineError, match=r"multiple of 4; found 30\.\nChange `config`"):
        wav2vec2.check(wav2vec2.Params(config=odd, mel_start=True), tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        {"revison": "main"},
        {"freeze_feature_encoder": "perhaps"},
        {"config": [1]},
        {"checkpoint": "facebook/wav2vec2-base", "mel_start": True},
        {"revision": "main"},
    ],
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        wav2vec2.Params(**bad)
