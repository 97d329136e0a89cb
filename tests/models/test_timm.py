"""Backbones of timm over spectrograms: from scratch, from a checkpoint, and where the library or torchvision is not."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.deltas import deltas
from pipeline.files import read_json, write_json
from pipeline.learners.training import Training
from pipeline.models import timm

LABELS = ["yes", "no", "silence"]
needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None,
    reason="timm is not installed: pip install --no-deps -r requirements-timm.txt",
)


@pytest.fixture(scope="module")
def examples():
    samples = np.random.default_rng(0).integers(-3000, 3000, (6, 16_000)).astype(np.int16)
    return Examples(read=lambda rows: samples[rows], rows=np.arange(6), targets=np.arange(6) % 3)


def build(examples, tmp_path, **params):
    torch.manual_seed(2)
    return timm.build(timm.Params(**params), Training(), LABELS, examples, tmp_path)


@pytest.fixture
def published(tmp_path):
    """A checkpoint as timm's are on the hub: a small net for images, with a head of 1000."""
    folder = tmp_path / "published"
    folder.mkdir()
    torch.manual_seed(7)
    net = timm.timm_library().create_model("test_resnet")
    save_file(net.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architecture": "test_resnet", "num_classes": 1000, "pretrained_cfg": {"tag": "r160_in1k", **TOLD}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


TOLD = {"input_size": [3, 160, 160], "first_conv": "conv1.0", "classifier": "fc", "num_classes": 1000}


@needs_timm
@pytest.mark.parametrize(
    "params",
    [
        {"backbone": "test_resnet"},
        {"backbone": "test_efficientnet", "channels": 3, "dropout": 0.2, "drop_path": 0.1},
        {"backbone": "test_vit", "channels": 3, "stack": "deltas", "num_mel_bins": 32, "frames": 96},
        {"backbone": "test_convnext", "image_size": (64, 96), "num_mel_bins": 40},
    ],
)
def test_backbones_of_all_kinds_learn_and_are_restored(params, examples, tmp_path):
    timm.check(timm.Params(**params), tmp_path)
    classifier = build(examples, tmp_path, **params)
    features = classifier.front_end(torch.from_numpy(examples.read(examples.rows)).float() / 32768)
    if classifier.spec.options["params"]["frames"] == 98:
        assert (float(features.mean()), float(features.std())) == pytest.approx((0, 1), abs=1e-3)
    net = classifier.model.train()
    net(features).logsumexp(dim=1).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert net(features[:1]).shape == (1, 3)  # an epoch's last batch may be one clip
    assert all(module.training for module in net.modules())

    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.safetensors", "network.json"}
    inputs = examples.read(examples.rows)
    restored = timm.restore(tmp_path / "model", Training())
    np.testing.assert_array_equal(restored.predict_proba(inputs), classifier.predict_proba(inputs))


@needs_timm
@pytest.mark.parametrize("channels", [1, 3])
def test_a_local_checkpoint_gives_all_but_the_head(channels, published, examples, tmp_path):
    params = {"backbone": "test_resnet", "pretrained": True, "checkpoint": str(published), "channels": channels}
    timm.check(timm.Params(**params), tmp_path)
    assert timm.checkpoint_of(timm.Params(**params), tmp_path) == published
    assert timm.checkpoint_of(timm.Params(), tmp_path) is None
    built = build(examples, tmp_path, **params).model.backbone.state_dict()
    given = load_file(published / "model.safetensors")
    assert built["fc.weight"].shape[0] == 3
    changed = {name for name in given if not torch.equal(given[name], built[name])}
    assert changed == {"fc.weight", "fc.bias", *(["conv1.0.weight"] if channels == 1 else [])}
    if channels == 1:
        # Thrice the same image would give the same.
        assert torch.allclose(built["conv1.0.weight"], given["conv1.0.weight"].sum(dim=1, keepdim=True), atol=1e-6)


@needs_timm
def test_a_checkpoint_s_own_arguments_are_kept(published, examples, tmp_path):
    config = read_json(published / "config.json")
    write_json(published / "config.json", {**config, "model_args": {"act_layer": "silu", "in_chans": 3}})
    params = {"backbone": "test_resnet", "pretrained": True, "checkpoint": str(published)}
    classifier = build(examples, tmp_path, **params)
    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    inputs = examples.read(examples.rows)
    restored = timm.restore(tmp_path / "model", Training())
    np.testing.assert_array_equal(restored.predict_proba(inputs), classifier.predict_proba(inputs))
    assert "SiLU" in str(restored.model)


@needs_timm
def test_a_checkpoint_that_lacks_weights_is_pickled_or_of_another_net_is_refused(published, tmp_path):
    def check(**changed):
        params = {"backbone": "test_resnet", "pretrained": True, "checkpoint": str(published), **changed}
        timm.check(timm.Params(**params), tmp_path)

    with pytest.raises(PipelineError, match="is of the architecture 'test_resnet', not 'resnet18'"):
        check(backbone="resnet18")
    weights = load_file(published / "model.safetensors")
    del weights["layer1.0.conv1.weight"]
    save_file(weights, published / "model.safetensors")
    with pytest.raises(PipelineError, match=r'(?s)cannot build.*"layer1\.0\.conv1\.weight".*params\.yaml'):
        check()
    (published / "model.safetensors").rename(published / "pytorch_model.bin")
    with pytest.raises(PipelineError, match=r"lacks model\.safetensors.*\n.*pickle"):
        check()


@needs_timm
def test_without_a_network_it_says_how_to_get_the_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    told = r"'timm/resnet18\.a1_in1k' is not here.*\n(?s:.*)set pretrained: false for a net from scratch"
    with pytest.raises(PipelineError, match=told):
        timm.check(timm.Params(backbone="resnet18", pretrained=True), tmp_path)


@needs_timm
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "resnett18"}, "has no backbone 'resnett18'. Do you mean resnet18"),
        ({"backbone": "resnet18.a9_in1k"}, r"has no backbone 'resnet18\.a9_in1k'. Do you mean resnet18\.a"),
        ({"backbone": "resnet18", "options": {"deep": 1}}, "cannot build 'resnet18' with .*'deep'"),
        ({"backbone": "test_vit", "image_size": (33, 40)}, "takes no image of 33 x 40 values: .*divisible"),
        ({"backbone": "resnet200", "pretrained": True}, "knows no weights of 'resnet200' on the hub"),
    ],
)
def test_check_finds_out_what_cannot_be_built(params, message, tmp_path):
    with pytest.raises(PipelineError, match=message):
        timm.check(timm.Params(**params), tmp_path)


@needs_timm
def test_three_channels_are_thrice_the_same_or_its_differences(examples, tmp_path):
    spectrograms = torch.randn(2, 98, 64)
    seen = {}
    for stack in ("repeat", "deltas"):
        net = build(examples, tmp_path, backbone="test_resnet", channels=3, stack=stack).model.eval()
        net.backbone.register_forward_pre_hook(lambda _, inputs, stack=stack: seen.update({stack: inputs[0]}))
        net(spectrograms)
    image = spectrograms.transpose(1, 2)
    assert all(torch.equal(seen["repeat"][:, channel], image) for channel in range(3))
    assert torch.equal(seen["deltas"][:, 0], image)
    assert torch.equal(seen["deltas"][:, 2], deltas(deltas(image[:, None]))[:, 0])


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"pip install --no-deps -r requirements-timm\.txt"):
        timm.check(timm.Params(), tmp_path)


@needs_timm
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_without_torchvision_nothing_is_left_of_what_stood_in_for_it():
    library = timm.timm_library()
    pinned = re.search(r"^timm==(.+)$", (Path(__file__).parents[2] / "requirements-timm.txt").read_text(), re.M)[1]
    assert library.__version__ == pinned
    assert "torchvision" not in sys.modules
    assert timm.timm_library() is library


def test_a_torchvision_of_another_torch_is_told(tmp_path, monkeypatch):
    told = "operator torchvision::nms does not exist"  # as torchvision 0.28 of PyPI says beside a torch without CUDA
    (tmp_path / "timm.py").write_text(f"raise RuntimeError({told!r})")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(PipelineError, match=rf"{told}\nIf that is torchvision's, remove it"):
        timm.timm_library()


@pytest.mark.parametrize(
    "bad",
    [
        *({"channels": 2}, {"stack": "delta"}, {"frames": 3}, {"backbon": "resnet18"}),
        *({"checkpoint": "a/b"}, {"revision": "main"}, {"stack": "deltas"}),  # which would change nothing
    ],
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        timm.Params(**bad)


def test_a_backbone_s_own_published_weights_may_be_of_a_revision():
    assert timm.Params(pretrained=True, revision="main").checkpoint is None
