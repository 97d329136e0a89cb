"""A trained network as one ONNX graph: samples in, probabilities out; front end, net and link are all inside."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxscript.optimizer
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.errors import PipelineError
from pipeline.examples.training_data import as_float
from pipeline.export.description import INPUT, OUTPUT
from pipeline.features.extracted import Extracted
from pipeline.learners.classifier import Classifier
from pipeline.learners.losses import logits_of, probabilities_of
from pipeline.learners.neural_classifier import NeuralClassifier

OPSET = 20  # the first whose DFT takes its axis as an input, as torch writes it
LARGEST_VALUES = 2**30  # in an array: any that a graph of 2 GB, the most that ONNX allows in a file, may hold
SCOPES = "pkg.torch.onnx.name_scopes"  # where torch notes the module that a node comes from


@dataclass(frozen=True)
class Graph:
    """An ONNX model (`onnx.ModelProto`) and the names of its front end's nodes, which int8 leaves as they are."""

    proto: Any
    front_end: list[str]


class EndToEnd(nn.Module):
    """float32 waveforms in -1..1, [clips, samples] -> float32 probabilities [clips, labels]."""

    def __init__(self, classifier: NeuralClassifier) -> None:
        super().__init__()
        self.front_end = classifier.front_end
        self.model = classifier.model
        self.loss = classifier.loss
        self.multi_label = classifier.multi_label

    def forward(self, samples: Tensor) -> Tensor:
        logits = logits_of(self.model(self.front_end(samples)))
        return probabilities_of(self.loss, logits.float(), self.multi_label)


def network_of(classifier: Classifier, run: str, inputs: str) -> NeuralClassifier:
    """Return the classifier if it is one network that hears audio; `inputs` is what run.json says that it takes.

    Raises PipelineError for any other, with the reason.
    """
    reasons = {
        "hidden_states": "it reads the hidden states of a speech encoder (stage encode), not samples",
        "embeddings": "it reads embeddings, and export is for what hears audio",
    }
    reason = reasons.get(inputs)
    if reason is None and not isinstance(classifier, NeuralClassifier):
        reason = f"it is made of several parts or of no network ({type(classifier).__name__})"
    if reason is None and isinstance(classifier, NeuralClassifier) and isinstance(classifier.front_end, Extracted):
        reason = "transformers' feature extractor computes what it hears, outside of torch"
    if reason is not None:
        raise PipelineError(
            f"The run '{run}' cannot become one ONNX file: {reason}.\n"
            "Export a run whose model is one network over audio, such as convs2s, gru, ast, wav2vec2."
        )
    assert isinstance(classifier, NeuralClassifier)
    return classifier


def graph_of(classifier: NeuralClassifier) -> Graph:
    """Return the classifier as a graph of the input `samples` [clips, 16000], any number of clips at a time."""
    return traced(
        EndToEnd(classifier), (torch.zeros(2, CLIP_SAMPLES),), {INPUT: {0: torch.export.Dim("clips")}}, [OUTPUT]
    )


@torch.inference_mode()
def heard_exactly(classifier: NeuralClassifier, samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return float32 [clips, labels] of int16 `samples` [clips, 16000]: on the CPU, in single precision, as the graph.

    What `predict_proba` says is rounded where the run's precision is lower, and on a GPU, whose convolutions are.
    """
    module, size = EndToEnd(classifier).cpu().eval(), classifier.training.eval_batch_size
    batches = [as_float(torch.from_numpy(samples[start : start + size])) for start in range(0, len(samples), size)]
    return np.concatenate([module(batch).numpy() for batch in batches])


def step_graph_of(module: Any) -> Graph:
    """Return a streaming net (`models._streaming.StreamingStep`) as a graph: samples and state in, state out.

    The state's outputs follow the probabilities in the order of its inputs, called new_<input>.
    """
    state = module.state
    shapes: dict[str, Any] = dict.fromkeys((INPUT, *state))
    examples = (torch.zeros(1, module.step_samples), *state.values())
    return traced(module, examples, shapes, [OUTPUT, *(f"new_{name}" for name in state)])


def traced(module: nn.Module, examples: tuple[Tensor, ...], shapes: dict[str, Any], outputs: list[str]) -> Graph:
    """Return `module` as a graph; `shapes` names its inputs in order and says which of their dimensions are free.

    Raises PipelineError if ONNX has no word for something that it computes.
    """
    # Traced as for a prediction in single precision: on the CPU, without dropout.
    try:
        with _quiet():
            program = torch.onnx.export(
                module.cpu().eval(),
                examples,
                input_names=list(shapes),
                output_names=outputs,
                dynamic_shapes=tuple(shapes.values()) if any(shapes.values()) else None,
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise PipelineError(
            f"This net cannot become an ONNX file: {_cause_of(error)}\n"
            "Export a run of another model, such as resnet, gru, ast or wav2vec2."
        ) from error
    assert program is not None
    front_end = [node.name for node in program.model_proto.graph.node if _is_of(node, "front_end")]
    # What depends on no input is computed now: torch sorts a recurrent net's weights anew in each file.
    proto = onnxscript.optimizer.optimize(
        program.model_proto, input_size_limit=LARGEST_VALUES, output_size_limit=LARGEST_VALUES
    )
    for described in (*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        # Notes of the tracing: paths on this machine, and half of a small model's bytes.
        del described.metadata_props[:]
        described.doc_string = ""
    return Graph(proto, front_end)


def _is_of(node: Any, module: str) -> bool:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "")
    return f"'{module}'" in scopes or f"'{module}." in scopes


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch warns of torchvision, which is not needed, and of its own functions that it will rename."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _cause_of(error: BaseException) -> str:
    """Return the first line of what torch says of the operator, which it wraps in advice to its own developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
