"""What cannot become one graph says so; what comes out of one is in tests/stages/test_export.py."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import WhisperFeatureExtractor

from pipeline.errors import PipelineError
from pipeline.export.description import Description
from pipeline.export.graph import network_of
from pipeline.export.runtime import OnnxClassifier, session_of
from pipeline.features.extracted import Extracted
from pipeline.features.framing import framed
from pipeline.learners.estimator import EstimatorClassifier
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ("samples", r"made of several parts or of no network \(EstimatorClassifier\)"),
        ("hidden_states", "reads the hidden states of a speech encoder"),
        ("embeddings", "reads embeddings"),
    ],
)
def test_what_is_no_network_over_audio_is_refused(inputs, reason):
    with pytest.raises(PipelineError, match=rf"(?s)The run 'forest' cannot become one ONNX file: .*{reason}.*such as"):
        network_of(EstimatorClassifier(None, ["a", "b"]), "forest", inputs)


def test_a_net_that_hears_by_transformers_own_extractor_is_refused():
    net = NetClassifier(
        nn.Identity(),
        NetworkSpec(["a", "b"], False, {}),
        Extracted(WhisperFeatureExtractor(chunk_length=1)),
        Training(),
    )
    with pytest.raises(PipelineError, match="feature extractor computes what it hears"):
        network_of(net, "whisper", "samples")


def test_a_file_that_is_not_ours_is_refused(tmp_path):
    with pytest.raises(PipelineError, match=r"There is no file .*none\.onnx.*pipeline export"):
        session_of(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(PipelineError, match=r"text\.onnx cannot be run by onnxruntime"):
        session_of(tmp_path / "text.onnx")
    onnx = pytest.importorskip("onnx")
    value = onnx.helper.make_tensor_value_info("samples", onnx.TensorProto.FLOAT, [1])
    same = onnx.helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["samples"], ["same"])], "g", [value], [same])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PipelineError, match=r"other\.onnx was not made by .*lack 'exclusive, labels"):
        OnnxClassifier(tmp_path / "other.onnx")


@pytest.mark.parametrize(("commands", "expected"), [(["yes"], ["yes"]), ([], ["yes", "cat"])])
def test_a_listener_waits_for_the_commands_or_for_all_that_is_something(commands, expected):
    told = Description("run", ["yes", "cat", "unknown", "silence"], True, "", commands=commands)
    assert told.keywords == expected


@pytest.mark.parametrize(("frame", "hop", "samples"), [(400, 160, 16_000), (2_048, 512, 18_048), (480, 160, 1_000)])
def test_frames_put_together_from_slices_are_those_of_unfold(monkeypatch, frame, hop, samples):
    waveforms = torch.from_numpy(np.random.default_rng(1).normal(size=(3, samples)))
    expected = framed(waveforms, frame, hop)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert torch.equal(framed(waveforms, frame, hop), expected)
