"""Encoders: every layer's numbers are transformers' own, from a checkpoint with or without a head."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoFeatureExtractor,
    AutoModel,
    HubertConfig,
    HubertModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMModel,
)

from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.learners.encoder import Encoder, layers_of

SMALL = {
    "conv_dim": [16, 16],
    "conv_kernel": [40, 16],
    "conv_stride": [20, 16],
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
CLIPS = np.random.default_rng(1).integers(-9000, 9000, (5, 16_000)).astype(np.int16)


@pytest.fixture
def headed(publish, tmp_path):
    return publish("wav2vec2", tmp_path / "headed")  # one layer, a head of 35 labels


def bare(model, config, folder, **extractor):
    torch.manual_seed(3)
    model(config(**SMALL)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(**{"do_normalize": True, **extractor}).save_pretrained(folder)
    return folder


def test_a_batch_that_does_not_fit_says_what_to_lower(tmp_path, monkeypatch):
    """There is no GPU here to fill; torch raises the same error from anywhere in a pass."""
    encoder = Encoder.open(bare(HubertModel, HubertConfig, tmp_path), None, "mean", batch_size=3)

    def forward(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 79 GiB")

    monkeypatch.setattr(encoder.model, "forward", forward)
    with pytest.raises(PipelineError, match=r"GPU: CUDA out of memory\. .*\n.*`encode\.batch_size`.*\(it is 3\)"):
        encoder(CLIPS)


def expected(folder):
    """The mean over time of each of transformers' hidden states, [clips, layers from 0, hidden]."""
    model, extractor = AutoModel.from_pretrained(folder).eval(), AutoFeatureExtractor.from_pretrained(folder)
    waveforms = list(CLIPS.astype(np.float32) / 32768)
    with torch.no_grad():
        inputs = extractor(waveforms, sampling_rate=16_000, return_tensors="pt")["input_values"]
        states = model(inputs, output_hidden_states=True).hidden_states
    return torch.stack([state.mean(dim=1) for state in states], dim=1).numpy()


@pytest.mark.parametrize(
    ("model", "config", "extractor"),
    [
        (HubertModel, HubertConfig, {}),
        (WavLMModel, WavLMConfig, {}),
        (HubertModel, HubertConfig, {"do_normalize": False}),
    ],
    ids=["hubert", "wavlm", "not-normalised"],
)
def test_layers_are_those_of_transformers_pooled_over_time(model, config, extractor, tmp_path):
    folder = bare(model, config, tmp_path / "bare", **extractor)
    states = Encoder.open(folder, (3, 0, 1), "mean", batch_size=2)(CLIPS)
    assert states.dtype == np.float32
    assert states.shape == (5, 3, 32)
    np.testing.assert_allclose(states, expected(folder)[:, [3, 0, 1]], atol=2e-5)
    assert np.abs(states[:, 0] - states[:, 2]).max() > 0.01  # layers differ, or the order would not be tested


def test_a_head_is_left_out_without_a_word(headed, capfd):
    encoder = Encoder.open(headed, None, "mean", batch_size=8)
    assert encoder.layers == (1,)
    np.testing.assert_allclose(encoder(CLIPS), expected(headed)[:, 1:], atol=2e-5)
    assert "classifier" not in "".join(capfd.readouterr()).split("UNEXPECTED")[0]


def test_an_encoder_of_half_precision_computes_at_full_precision(headed):
    whole = Encoder.open(headed, None, "mean", batch_size=8)(CLIPS)
    AutoModel.from_pretrained(headed).half().save_pretrained(headed)
    states = Encoder.open(headed, None, "mean", batch_size=8)(CLIPS)
    assert states.dtype == np.float32
    np.testing.assert_allclose(states, whole, atol=0.02)


def test_deviations_follow_the_means_where_asked(headed):
    means = Encoder.open(headed, (0, 1), "mean", batch_size=8)(CLIPS)
    both = Encoder.open(headed, (0, 1), "mean_std", batch_size=8)(CLIPS)
    assert both.shape == (5, 2, 64)
    np.testing.assert_array_equal(both[..., :32], means)
    steady = np.zeros((1, 16_000), np.int16)
    deviation = Encoder.open(headed, (0,), "mean_std", batch_size=8)(steady)[..., 32:]
    assert both[..., 32:].min() > 0
    assert deviation.mean() < both[..., 32:].mean()


@pytest.mark.parametrize(("layers", "beyond"), [((1, 4), "4"), ((7, 12), "7, 12")])
def test_layers_that_it_does_not_have_are_refused(layers, beyond):
    config = {"model_type": "hubert", **SMALL}
    assert layers_of(config, (0, 3), "it") == (0, 3)
    assert layers_of(config, None, "it") == (1, 2, 3)
    with pytest.raises(PipelineError, match=rf"layers 1 to 3 .*asks for {beyond}\."):
        layers_of(config, layers, "it")


def test_other_families_are_refused(publish, tmp_path):
    config = read_json(publish("ast", tmp_path / "ast") / "config.json")
    with pytest.raises(PipelineError, match="'audio-spectrogram-transformer', which does not read the waveform"):
        layers_of(config, None, "it")


def test_half_an_encoder_is_refused(tmp_path):
    folder = bare(HubertModel, HubertConfig, tmp_path / "bare")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "num_hidden_layers": 5})
    with pytest.raises(PipelineError, match=r"no whole encoder: \d+ weights are missing, such as .*layers\.3"):
        Encoder.open(folder, None, "mean", 8)


def test_an_encoder_for_another_rate_is_refused(tmp_path):
    folder = bare(HubertModel, HubertConfig, tmp_path / "bare", sampling_rate=8_000)
    with pytest.raises(PipelineError, match="hears 8000 Hz"):
        Encoder.open(folder, None, "mean", 8)
