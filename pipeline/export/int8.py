"""Weights and activations of 8 bits, by onnxruntime's quantisation, calibrated on clips that trained the net."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.export.description import INPUT
from pipeline.export.graph import Graph
from pipeline.export.runtime import session_of

OPERATORS = ["Conv", "MatMul", "Gemm"]  # whose activations are of 8 bits too, with scales that are found beforehand
CALIBRATION_CLIPS = 256

Given = Iterator[dict[str, NDArray[np.float32]]]  # a graph's inputs by name, for one call after the other


def quantised(graph: Graph, given: Given) -> Any:
    """Return the graph with int8 weights, a scale for each channel, and uint8 activations (an `onnx.ModelProto`).

    The activations' scales are those of what is `given`: `clips_of` or `steps_of` training clips. The front end stays
    float32: power spectra span ten decades, which no 8 bits hold. An LSTM finds its activations' scales in each call;
    a GRU, for which onnxruntime has no such operator, has its weights stored in 8 bits and computes in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class Calls(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(given, None)

    with tempfile.TemporaryDirectory() as temporary, _quiet():
        source, target = Path(temporary, "float32.onnx"), Path(temporary, "int8.onnx")
        onnx.save(graph.proto, source)
        quantize_static(
            source,
            target,
            Calls(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=graph.front_end,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        if any(node.op_type == "LSTM" for node in graph.proto.graph.node):
            quantize_dynamic(target, target, op_types_to_quantize=["LSTM"], weight_type=QuantType.QInt8)
        proto = onnx.load(target)
    _store_in_8_bits(proto, "GRU")
    return proto


def clips_of(samples: NDArray[np.float32]) -> Given:
    """Yield what a graph that hears whole clips is given of `samples` [clips, 16000], in -1..1."""
    for clip in samples:
        yield {INPUT: clip[None]}


def steps_of(graph: Graph, samples: NDArray[np.float32]) -> Given:
    """Yield what a streaming graph is given of `samples` [clips, 16000], in -1..1: the clips, one after the other."""
    session = session_of(graph.proto.SerializeToString())
    first, *others = session.get_inputs()
    state = [np.zeros(each.shape, np.float32) for each in others]
    size = first.shape[1]
    stream = samples.reshape(-1)
    for start in range(0, len(stream) - size + 1, size):
        call = dict(
            zip((INPUT, *(each.name for each in others)), (stream[None, start : start + size], *state), strict=True)
        )
        yield call
        _, *state = session.run(None, call)


def _store_in_8_bits(proto: Any, operator: str) -> None:
    """Store the weights of `operator` as int8, a scale for each row; whoever loads the file computes them anew.

    By Cast and Mul, which onnxruntime computes once, when it loads a file; DequantizeLinear it computes in each call.
    """
    import onnx

    stored = {each.name: each for each in proto.graph.initializer}
    for node in [each for each in proto.graph.node if each.op_type == operator]:
        for name in node.input[1:3]:  # [directions, rows, columns]
            values = onnx.numpy_helper.to_array(stored[name])
            scales = np.maximum(np.abs(values).max(axis=2, keepdims=True) / 127, np.finfo(np.float32).tiny)
            rounded = np.round(values / scales).astype(np.int8)
            proto.graph.initializer.remove(stored[name])
            for suffix, array in (("int8", rounded), ("scales", scales)):
                proto.graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}_{suffix}"))
            cast = onnx.helper.make_node(
                "Cast", [f"{name}_int8"], [f"{name}_cast"], f"{name}_cast", to=onnx.TensorProto.FLOAT
            )
            scaled = onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_scales"], [name], f"{name}_scaled")
            proto.graph.node.insert(0, scaled)
            proto.graph.node.insert(0, cast)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """It warns that the graph was not pre-processed; there is nothing to fold that `graph.traced` has not folded."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
