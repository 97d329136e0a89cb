"""Encoders of the wav2vec 2.0 family (HuBERT, WavLM, data2vec-audio, ...): what each layer makes of a clip."""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoFeatureExtractor, AutoModel
from transformers.utils import logging as transformers_logging

from pipeline.errors import PipelineError
from pipeline.examples.training_data import as_float
from pipeline.features.normalise import UnitVariance
from pipeline.files import read_json
from pipeline.learners import checkpoints
from pipeline.learners.memory import enough

Pooling = Literal["mean", "mean_std"]


class Encoder:
    """int16 [clips, 16000] -> float32 [clips, layers, hidden]: each layer's output, pooled over time.

    Layer k is `hidden_states[k]` of transformers: the output of the k-th transformer layer; 0 is what enters the first.
    Pooling "mean" gives `hidden` values, "mean_std" twice as many (Snyder et al. 2018, statistics pooling).
    Raises PipelineError for a batch that does not fit into the device's memory.
    """

    def __init__(
        self, model: Any, front_end: nn.Module, layers: tuple[int, ...], pooling: Pooling, batch_size: int
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device).eval()
        self.front_end = front_end.to(self.device)
        self.layers = layers
        self.pooling = pooling
        self.batch_size = batch_size

    @classmethod
    def open(cls, folder: Path, layers: tuple[int, ...] | None, pooling: Pooling, batch_size: int) -> Self:
        """Load the encoder of a checkpoint in the hub's format, with or without a head.

        Raises PipelineError if it is of another family, lacks weights, or has not all `layers` (None: 1 to the last).
        """
        layers = layers_of(read_json(folder / checkpoints.CONFIG), layers, str(folder))
        verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()  # else it warns of the head, which is not wanted here
        model, report = AutoModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        transformers_logging.set_verbosity(verbosity)
        if lacking := sorted(name for name in report["missing_keys"] if not name.endswith(checkpoints.UNUSED)):
            raise PipelineError(
                f"The checkpoint in {folder} is no whole encoder: {len(lacking)} weights are missing, such as "
                f"{lacking[0]}.\nChange `encode.checkpoint` in params.yaml."
            )
        extractor = AutoFeatureExtractor.from_pretrained(folder)
        checkpoints.require_rate(extractor, "`encode.checkpoint`")
        front_end = UnitVariance() if extractor.do_normalize else nn.Identity()
        return cls(model, front_end, layers, pooling, batch_size)

    @torch.inference_mode()
    def __call__(self, clips: NDArray[np.int16]) -> NDArray[np.float32]:
        batches = []
        with enough(f"Lower `encode.batch_size` in params.yaml (it is {self.batch_size})."):
            for start in range(0, len(clips), self.batch_size):
                waveforms = self.front_end(
                    as_float(torch.from_numpy(clips[start : start + self.batch_size]).to(self.device))
                )
                states = self.model(waveforms, output_hidden_states=True).hidden_states  # [clips, frames, hidden] each
                batches.append(torch.stack([self._pool(states[layer]) for layer in self.layers], dim=1).cpu().numpy())
        return np.concatenate(batches)

    def _pool(self, frames: Tensor) -> Tensor:
        mean = frames.mean(dim=1)
        return mean if self.pooling == "mean" else torch.cat([mean, frames.std(dim=1, correction=0)], dim=-1)


def layers_of(config: dict[str, Any], layers: tuple[int, ...] | None, where: str) -> tuple[int, ...]:
    """Return `layers`, or 1 to the last of the encoder whose configuration (config.json) is given.

    Raises PipelineError if it is no encoder of this family, or has fewer layers.
    """
    if "conv_kernel" not in config or "num_hidden_layers" not in config:
        raise PipelineError(
            f"The checkpoint '{where}' is of the architecture '{config.get('model_type')}', which does not read the "
            "waveform through convolutions, as wav2vec2, hubert, wavlm and data2vec-audio do.\n"
            "Change `encode.checkpoint` in params.yaml."
        )
    depth = int(config["num_hidden_layers"])
    if layers is None:
        return tuple(range(1, depth + 1))
    if beyond := [layer for layer in layers if layer > depth]:
        raise PipelineError(
            f"The encoder '{where}' has the layers 1 to {depth} (0 is what enters the first); encode.layers asks for "
            f"{', '.join(map(str, beyond))}.\nChange `encode.layers` in params.yaml."
        )
    return layers
