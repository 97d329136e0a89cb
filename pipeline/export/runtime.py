"""An exported file behind the classifier's shape: the same `predict_proba`, computed by onnxruntime."""

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.examples.training_data import TrainingData, as_float
from pipeline.export.description import INPUT, Description
from pipeline.learners.classifier import Classifier

BATCH_CLIPS = 32


def session_of(model: Path | bytes, threads: int | None = None) -> Any:
    """Return an onnxruntime session on the CPU; `threads` None leaves it their number.

    Raises PipelineError if there is no such file, or it is no ONNX model that onnxruntime runs.
    """
    import onnxruntime  # takes half a second, which predict with torch need not wait for

    if isinstance(model, Path) and not model.is_file():
        raise PipelineError(f"There is no file {model}. Run: python -m pipeline export RUN")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    # Threads that wait by spinning slow down whatever else the machine does.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        given = str(model) if isinstance(model, Path) else model
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class but this
        name = model if isinstance(model, Path) else "the model"
        raise PipelineError(f"{name} cannot be run by onnxruntime: {str(error).splitlines()[0]}") from None


class OnnxClassifier:
    """What `python -m pipeline export` wrote, with `labels`, `multi_label` and `predict_proba` as every classifier."""

    def __init__(self, model: Path | bytes, threads: int | None = None) -> None:
        """Raises PipelineError if it cannot be run, or was not made by this project."""
        self.session = session_of(model, threads)
        try:
            self.description = Description.of_metadata(self.session.get_modelmeta().custom_metadata_map)
        except (KeyError, ValueError, TypeError) as error:
            raise PipelineError(
                f"{model if isinstance(model, Path) else 'The model'} was not made by `python -m pipeline export`: its "
                f"metadata lack {error}."
            ) from None
        self.labels = self.description.labels
        self.multi_label = not self.description.exclusive

    @classmethod
    def of(cls, classifier: Classifier, about: dict[str, Any], threads: int | None = None) -> Self:
        """Return a trained network as onnxruntime computes it; `about` is its run.json. Raises as `network_of`."""
        from pipeline.export.graph import graph_of, network_of  # loads torch, which an exported file does without

        graph = graph_of(network_of(classifier, about["run"], about["inputs"]))
        Description.of_run(about, weights="").write_into(graph.proto)
        return cls(graph.proto.SerializeToString(), threads)

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Raises TypeError: what was exported learns no more."""
        raise TypeError("an exported network cannot be trained")

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for samples [clips, 16000], int16 or float32 in -1..1."""
        batches = [
            self.session.run(None, {INPUT: as_float(inputs[start : start + BATCH_CLIPS])})[0]
            for start in range(0, len(inputs), BATCH_CLIPS)
        ]
        return np.concatenate(batches) if batches else np.empty((0, len(self.labels)), np.float32)

    def save(self, folder: Path) -> None:
        """Raises TypeError: the file is there already."""
        raise TypeError("an exported network is a file already")


class OnnxSteps:
    """The steps of an exported streaming net: float32 samples [1, step] -> probabilities, float32 [labels].

    The session's first input is a step of samples, the others are its state, which it returns in the same order after
    the probabilities. The state of a step is where the next one reads it: handed over as arrays, it would take a
    seventh of a step of a small net.
    """

    def __init__(self, session: Any) -> None:
        from onnxruntime import OrtValue  # takes half a second

        def zeros(nodes: list[Any]) -> list[Any]:
            return [OrtValue.ortvalue_from_numpy(np.zeros(node.shape, np.float32)) for node in nodes]

        inputs, outputs = session.get_inputs(), session.get_outputs()
        (self._samples, *old), (self._values, *new) = zeros(inputs), zeros(outputs)
        self._session, self._turns = session, []
        for read, written in ((old, new), (new, old)):
            binding = session.io_binding()
            for node, value in zip(inputs, [self._samples, *read], strict=True):
                binding.bind_ortvalue_input(node.name, value)
            for node, value in zip(outputs, [self._values, *written], strict=True):
                binding.bind_ortvalue_output(node.name, value)
            self._turns.append(binding)

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._samples.update_inplace(samples)
        self._session.run_with_iobinding(self._turns[0])
        self._turns.reverse()
        values: NDArray[np.float32] = self._values.numpy()[0].copy()  # the next step's are written to the same place
        return values
