"""Plain torch networks behind the classifier's shape: weights as safetensors, beside them what rebuilds the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.files import read_json, write_json
from pipeline.learners.neural_classifier import NeuralClassifier
from pipeline.learners.resuming import WEIGHTS
from pipeline.learners.training import Training

SPEC = "network.json"


@dataclass(frozen=True)
class NetworkSpec:
    """What `save` wrote beside the weights: `options` are the values that the model file built its network from."""

    labels: list[str]
    multi_label: bool
    options: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls(**read_json(folder / SPEC))


class NetClassifier(NeuralClassifier):
    """An nn.Module whose `forward` turns the front end's features into logits [clips, labels].

    `spec.options` must hold all that the model file's `restore` needs to build the same module and front end again.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: NetworkSpec,
        front_end: nn.Module,
        training: Training,
        feature_augment: nn.Module | None = None,
    ) -> None:
        super().__init__(model, spec.labels, front_end, training, feature_augment, spec.multi_label)
        self.spec = spec

    def load(self, folder: Path) -> Self:
        """Take over the weights that `save` wrote, and return the classifier."""
        self.model.load_state_dict(load_file(folder / WEIGHTS))
        return self

    def save(self, folder: Path) -> None:
        """Write model.safetensors and network.json."""
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
        write_json(folder / SPEC, vars(self.spec))
