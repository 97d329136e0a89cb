"""Building any audio classifier of transformers: small from a config, or from a checkpoint as it is published."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn
from transformers import (
    HubertConfig,
    HubertModel,
    SeamlessM4TFeatureExtractor,
    Wav2Vec2BertConfig,
    Wav2Vec2BertModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, unaugmented
from pipeline.features.extracted import Extracted
from pipeline.features.mel_kernels import mel_kernels
from pipeline.features.normalise import UnitVariance
from pipeline.learners.training import Training
from pipeline.models import speech_encoder

LABELS = ["cat", "dog", "silence"]
CONVOLUTIONS = {
    **{"conv_dim": [16, 16], "conv_kernel": [40, 16], "conv_stride": [20, 16]},
    **{"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "mask_time_length": 4},
}
LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SMALL = {**CONVOLUTIONS, **LAYERS, "classifier_proj_size": 16}
WHISPER = {
    **{"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32},
    **{"max_source_positions": 50, "classifier_proj_size": 16},
}
FAMILIES: dict[str, dict[str, Any]] = {
    "hubert": SMALL,
    "wavlm": SMALL,
    "data2vec-audio": {**SMALL, "conv_pos_kernel_size": 3},
    "unispeech-sat": SMALL,
    "sew-d": {**SMALL, "squeeze_factor": 1, "max_position_embeddings": 64, "position_buckets": 16},
    "wav2vec2-bert": {**LAYERS, "classifier_proj_size": 16, "conv_depthwise_kernel_size": 5},
    "whisper": WHISPER,
}
ONE_SECOND = {"chunk_length": 1}


def clips(count: int, seed: int) -> Examples:
    samples = np.random.default_rng(seed).integers(-3000, 3000, (count, 16_000)).astype(np.int16)
    return Examples(read=lambda rows: samples[rows], rows=np.arange(count), targets=np.arange(count) % 3)


NONE = clips(0, 0)


def build(tmp_path, training=None, **params):
    torch.manual_seed(5)
    return speech_encoder.build(speech_encoder.Params(**params), training or Training(), LABELS, NONE, tmp_path)


def saved(classifier, folder):
    folder.mkdir()
    classifier.save(folder)
    return folder


@pytest.mark.parametrize("architecture", FAMILIES)
def test_each_family_is_built_trained_and_restored(architecture, tmp_path):
    params = {"architecture": architecture, "config": FAMILIES[architecture], "layer_weighting": True}
    if architecture == "whisper":
        params["extractor"] = ONE_SECOND
    speech_encoder.check(speech_encoder.Params(**params), tmp_path)
    training = Training(epochs=1, batch_size=6, learning_rate=0.01, warmup_ratio=0.0, layer_decay=0.5)
    classifier = build(tmp_path, training, **params)
    assert classifier.labels == LABELS
    assert type(classifier.front_end) is (Extracted if architecture in ("whisper", "wav2vec2-bert") else UnitVariance)
    before = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    data = TrainingData(clips(6, 1), clips(3, 2), lambda epoch: np.arange(6), unaugmented, seed=3)
    (tmp_path / "work").mkdir()
    classifier.fit(data, tmp_path / "work", tmp_path / "live")
    after = classifier.model.state_dict()
    assert {"layer_weights", "classifier.weight"} <= {k for k in after if not torch.equal(after[k], before[k])}

    folder = saved(classifier, tmp_path / "model")
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "model.safetensors", "preprocessor_config.json")
    }
    inputs = data.validation.read(data.validation.rows)
    restored = speech_encoder.restore(folder, training)
    np.testing.assert_array_equal(restored.predict_proba(inputs), classifier.predict_proba(inputs))
    assert restored.labels == LABELS


def test_a_published_encoder_gives_all_but_the_head(tmp_path):
    published = tmp_path / "published"
    HubertModel(HubertConfig(**SMALL)).save_pretrained(published)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(published)
    speech_encoder.check(speech_encoder.Params(checkpoint=str(published)), tmp_path)
    classifier = build(tmp_path, checkpoint=str(published), layer_weighting=True)
    assert type(classifier.front_end) is nn.Identity
    given, built = load_file(published / "model.safetensors"), classifier.model.state_dict()
    assert all(torch.equal(built[f"hubert.{name}"], value) for name, value in given.items())
    assert {name for name in built if not name.startswith("hubert.")} == {
        *("layer_weights", "projector.weight", "projector.bias", "classifier.weight", "classifier.bias")
    }


def test_a_mixture_of_a_published_encoder_s_layers_starts_even(tmp_path):
    """Of WavLM, transformers leaves the weights as it found the memory."""
    published = tmp_path / "published"
    WavLMModel(WavLMConfig(**SMALL)).save_pretrained(published)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(published)
    for _ in range(3):
        weights = build(tmp_path, checkpoint=str(published), layer_weighting=True).model.layer_weights
        assert weights.softmax(0).tolist() == pytest.approx([1 / len(weights)] * len(weights))


def test_whisper_s_encoder_is_taken_and_may_be_cut_to_a_second(tmp_path):
    published, config = (
        tmp_path / "published",
        WhisperConfig(
            **{**WHISPER, "max_source_positions": 1500}, decoder_layers=1, decoder_attention_heads=2, vocab_size=51_865
        ),
    )
    torch.manual_seed(1)
    WhisperForConditionalGeneration(config).save_pretrained(published)
    WhisperFeatureExtractor().save_pretrained(published)
    whole = build(tmp_path, checkpoint=str(published))
    assert whole.front_end(torch.zeros(1, 16_000)).shape == (1, 80, 3000)
    cut = {"checkpoint": str(published), "config": {"max_source_positions": 50}, "extractor": ONE_SECOND}
    speech_encoder.check(speech_encoder.Params(**cut), tmp_path)
    classifier = build(tmp_path, **cut)
    assert classifier.front_end(torch.zeros(1, 16_000)).shape == (1, 80, 100)
    given, built = load_file(published / "model.safetensors"), classifier.model.state_dict()
    for name, value in built.items():
        if name.startswith("encoder."):
            assert torch.equal(value, given[f"model.{name}"][: len(value)]), name
    assert not classifier.model.encoder.embed_positions.weight.requires_grad
    restored = speech_encoder.restore(saved(classifier, tmp_path / "model"), Training())
    assert restored.front_end.extractor.chunk_length == 1
    with pytest.raises(PipelineError, match=r"(?s)expects the mel input features.*Mend `config`"):
        speech_encoder.check(speech_encoder.Params(**{**cut, "extractor": {}}), tmp_path)


def test_a_checkpoint_s_own_extractor_is_asked(tmp_path):
    published = tmp_path / "published"
    Wav2Vec2BertModel(Wav2Vec2BertConfig(**FAMILIES["wav2vec2-bert"])).save_pretrained(published)
    extractor = SeamlessM4TFeatureExtractor()
    extractor.save_pretrained(published)
    front_end = build(tmp_path, checkpoint=str(published)).front_end
    heard = np.random.default_rng(4).uniform(-0.5, 0.5, (2, 16_000)).astype(np.float32)
    expected = extractor(list(heard), sampling_rate=16_000, return_tensors="pt")["input_features"]
    assert expected.shape == (2, 49, 160)
    assert torch.equal(front_end(torch.from_numpy(heard)), expected)


def test_frozen_convolutions_do_not_learn(tmp_path):
    model = build(tmp_path, architecture="wavlm", config=SMALL, freeze_feature_encoder=True).model
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if ".feature_extractor." in name}
    assert frozen


@pytest.mark.parametrize("architecture", ["hubert", "wavlm", "data2vec-audio", "unispeech-sat", "sew-d"])
def test_a_mel_start_is_where_the_first_convolution_starts(architecture, tmp_path):
    params = {"architecture": architecture, "config": FAMILIES[architecture], "mel_start": True}
    speech_encoder.check(speech_encoder.Params(**params), tmp_path)
    first = dict(build(tmp_path, **params).model.base_model.named_parameters())[
        "feature_extractor.conv_layers.0.conv.weight"
    ]
    assert np.array_equal(first.detach().numpy()[:, 0], mel_kernels(16, 40))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"checkpoint": "./nowhere"}, r"'\./nowhere' is not here"),
        ({"architecture": "hubrt"}, r"no audio classifier of the architecture 'hubrt'. Do you mean hubert\?\nIt has: "),
        ({"architecture": "hubert", "config": {"hidden": 3}}, "HubertConfig of transformers knows no hidden"),
        ({"architecture": "hubert", "config": {**SMALL, "num_attention_heads": 3}}, "cannot be built"),
        ({"architecture": "hubert", "extractor": {"chunk": 1}}, "Wav2Vec2FeatureExtractor of transformers knows no ch"),
        ({"architecture": "hubert", "extractor": {"sampling_rate": 8000}}, "hears 8000 Hz; clips have 16000 Hz"),
        (
            {"architecture": "wav2vec2-bert", "config": FAMILIES["wav2vec2-bert"], "freeze_feature_encoder": True},
            "has no convolutions over the waveform",
        ),
    ],
)
def test_check_finds_out_what_cannot_be_built(params, message, tmp_path):
    with pytest.raises(PipelineError, match=message):
        speech_encoder.check(speech_encoder.Params(**params), tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        *({}, {"checkpoint": "a", "architecture": "hubert"}, {"checkpont": "a"}),
        {"checkpoint": "a", "mel_start": True},
        {"architecture": "hubert", "revision": "main"},
        {"architecture": "hubert", "layer_weighting": True, "config": {"layerdrop": 0.1}},
    ],
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        speech_encoder.Params(**bad)


def test_a_net_of_clips_with_several_labels_knows_that_they_do_not_exclude_each_other():
    several = Examples(NONE.read, NONE.rows, np.zeros((0, 3), np.float32), exclusive=False)
    params = speech_encoder.Params(architecture="hubert", config=SMALL)
    built = [speech_encoder.build(params, Training(), LABELS, each, None) for each in (NONE, several)]
    assert [each.multi_label for each in built] == [False, True]
