"""What cannot become one graph says so; what comes out of one is in tests/stages/test_export.py."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import WhisperFeatureExtractor

from pipeline.errors import PipelineError
from pipeline.examples.looks import Look
from pipeline.export.description import Description
from pipeline.export.graph import network_of
from pipeline.export.runtime import OnnxClassifier, session_of
from pipeline.features.extracted import Extracted
from pipeline.features.framing import framed
from pipeline.features.level import Levelled
from pipeline.features.log_mel import LogMel
from pipeline.learners.estimator import EstimatorClassifier
from pipeline.learners.network import About, NetClassifier
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
        nn.Identity(), About(["a", "b"], False, {}), Extracted(WhisperFeatureExtractor(chunk_length=1)), Training()
    )
    with pytest.raises(PipelineError, match="feature extractor computes what it hears"):
        network_of(net, "whisper", "samples")


def test_the_level_of_a_clip_is_in_the_graph():
    front_end = Levelled(LogMel(num_mel_bins=8, max_length=98, mean=-8, std=3), -30)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(98 * 8, 2))
    made = NetClassifier(net, About(["a", "b"], False, {}), front_end, Training())
    clips = np.random.default_rng(1).normal(0, 1_000, (3, 16_000)) * np.array([[5], [1], [0]])
    about = {"run": "net", "labels": made.labels, "exclusive": True, "inputs": "samples"}
    values = OnnxClassifier.of(made, about).predict_proba(clips.astype(np.int16))
    np.testing.assert_allclose(values, made.predict_proba(clips.astype(np.int16)), atol=1e-5)
    assert np.isfinite(values).all()
    made.front_end = front_end.front_end
    np.testing.assert_allclose(values, made.predict_proba(Look(level_db=-30).at(clips.astype(np.int16))), atol=1e-3)


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
