"""A streaming net's steps against the same net over the whole of a long sound at once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import models
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.log_mel import LogMel
from pipeline.learners.training import Training
from pipeline.models._streaming import StreamingStep, streaming

LABELS = ["a", "b", "c"]
RECURRENT = {"channels": [4, 6], "hidden": 8, "layers": 2, "num_mel_bins": 16}
RESIDUAL = {"stem_channels": 4, "num_mel_bins": 16}


def classifier(name: str, **params):
    clips = np.random.default_rng(0).normal(0, 3_000, (8, 16_000)).astype(np.int16)
    examples = Examples(lambda rows: clips[rows], np.arange(8), np.arange(8) % 3)
    torch.manual_seed(1)
    model = models.find(name)
    made = model.build(
        model.Params(**(RESIDUAL if name == "resnet" else RECURRENT), **params), Training(), LABELS, examples, Path()
    )
    for norm in made.model.modules():  # as after some training: a fresh one changes nothing
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
    made.model.eval()
    return made


def streamed(step: StreamingStep, sound: torch.Tensor) -> torch.Tensor:
    state, heard = list(step.state.values()), []
    for samples in sound.split(step.step_samples):
        values, *state = step(samples[None], *state)
        heard.append(values[0])
    return torch.stack(heard)


@pytest.mark.parametrize("name", ["gru", "lstm"])
@pytest.mark.parametrize("pooling", ["mean_max", "last", "attention"])
@torch.no_grad()
def test_steps_of_a_recurrent_net_are_the_whole_sound_at_once(name, pooling):
    made = classifier(name, streaming=True, bidirectional=False, pooling=pooling)
    sound = torch.from_numpy(np.random.default_rng(2).normal(0, 0.1, 40_000)).float()
    heard = streamed(streaming(made), sound)

    net, before = made.model, torch.zeros(320)
    frames = (len(sound) + 320 - 400) // 160 + 1
    front_end = LogMel(num_mel_bins=16, max_length=frames, mean=made.front_end.mean, std=made.front_end.std)
    maps = net.convolutions(front_end(torch.cat([before, sound])[None])[:, None])
    states, _ = net.recurrent(maps.transpose(1, 2).flatten(2))
    states = torch.cat([torch.zeros(1, 49, states.shape[2]), states], dim=1)
    assert len(heard) == 25
    for number, values in enumerate(heard, start=1):
        second = states[:, : 49 + number * 5][:, -49:]
        expected = net.read(second).softmax(dim=-1)[0]
        torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("channels", "strides"),
    [([4, 6, 6, 8, 8, 10], [1, 2, 1, 2, 1, 1]), ([4, 6], [2, 2]), ([4, 4, 4], [1, 1, 1]), ([4], [2])],
)
@torch.no_grad()
def test_a_residual_net_says_the_same_of_a_second_alone_and_amid_sound(channels, strides):
    made = classifier("resnet", streaming=True, channels=channels, strides=strides)
    sound = torch.from_numpy(np.random.default_rng(2).normal(0, 0.1, 60 * 640)).float()
    heard = streamed(streaming(made), sound)
    seconds = sound.unfold(0, 16_000, 640)
    expected = made.model(made.front_end(seconds)).softmax(dim=-1)
    assert len(expected) == 36
    torch.testing.assert_close(heard[24:], expected, atol=1e-5, rtol=0)
    assert (expected.amax(dim=0) - expected.amin(dim=0)).max() > 1e-3  # seconds differ


def test_only_a_net_that_was_trained_to_can_stream():
    with pytest.raises(PipelineError, match=r"was not trained to stream.*\n.*streaming: true"):
        streaming(classifier("gru", bidirectional=False))
    with pytest.raises(PipelineError, match="was not trained to stream"):
        streaming(classifier("resnet"))
    with pytest.raises(ValueError, match="streaming needs bidirectional: false"):
        models.find("gru").Params(streaming=True)
    with pytest.raises(ValueError, match="a streaming net sees 98 frames; with so many blocks it would need 105"):
        models.find("resnet").Params(streaming=True, channels=[8] * 25, strides=[1] * 25)


def test_a_streaming_net_looks_back_only_and_learns_from_the_middle_of_sound():
    made = classifier("gru", streaming=True, bidirectional=False, pooling="last")
    features = torch.randn(4, 98, 16)
    changed = features.clone()
    changed[:, 60:] += 1
    states = [
        made.model.recurrent(made.model.convolutions(each[:, None]).transpose(1, 2).flatten(2))[0]
        for each in (features, changed)
    ]
    torch.testing.assert_close(states[0][:, :30], states[1][:, :30])
    assert not torch.allclose(states[0][:, 31], states[1][:, 31])
    made.model.train()
    torch.manual_seed(3)
    assert all(made.model(features).shape == (4, 3) for _ in range(6))
