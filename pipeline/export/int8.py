"""Weights and activations of 8 bits: onnxruntime's static quantisation, calibrated on clips that trained the net."""

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

# What holds nearly all weights. Recurrent cells stay float32: onnxruntime has no static int8 for them.
OPERATORS = ["Conv", "MatMul", "Gemm"]
CALIBRATION_CLIPS = 256


def quantised(graph: Graph, samples: NDArray[np.float32]) -> Any:
    """Return the graph with int8 weights, a scale for each channel, and uint8 activations (an `onnx.ModelProto`).

    The activations' scales are those of `samples` [clips, 16000], training clips in -1..1. The front end stays
    float32: power spectra span ten decades, which no 8 bits hold.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class Clips(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[NDArray[np.float32]] = iter(samples)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            clip = next(self.left, None)
            return None if clip is None else {INPUT: clip[None]}

    with tempfile.TemporaryDirectory() as temporary, _quiet():
        source, target = Path(temporary, "float32.onnx"), Path(temporary, "int8.onnx")
        onnx.save(graph.proto, source)
        quantize_static(
            source,
            target,
            Clips(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=graph.front_end,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(target)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """It warns that the graph was not pre-processed; there is nothing to fold that torch has not folded."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
