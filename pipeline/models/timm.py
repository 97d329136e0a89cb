"""Any backbone of the library timm (Wightman 2019), by name, over log-mel spectrograms of one channel or three."""

import difflib
from pathlib import Path
from typing import Any, Literal, Self

import torch
from huggingface_hub import snapshot_download
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.deltas import deltas
from pipeline.features.log_mel import LogMel, frames_of
from pipeline.features.spec_augment import SpecAugment, SpecAugmentParams
from pipeline.files import read_json
from pipeline.learners import checkpoints
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training
from pipeline.models._log_mel_net import spec_of
from pipeline.models._timm_library import timm_library
from pipeline.settings import Settings

__all__ = ["Params", "Training", "build", "check", "checkpoint_of", "restore"]


def _fetch(checkpoint: str, revision: str | None, folder: Path) -> None:
    snapshot_download(checkpoint, revision=revision, local_dir=folder, allow_patterns=list(FILES))


FILES = (checkpoints.CONFIG, "model.safetensors")
FORM = checkpoints.Form(FILES, _fetch, "set pretrained: false for a net from scratch")


class Params(Settings):
    """`backbone` is a name that `timm.list_models()` gives; with a tag (resnet18.a1_in1k), its weights are that one's.

    `pretrained` starts from published weights: those of `checkpoint`, a folder or a name on the hub, or the backbone's
    own on the hub. `stack` says what three channels are: thrice the same, or the spectrogram with its first and second
    differences over time. `image_size` [bins, frames] resizes it, as backbones for larger images may want.
    `options` are arguments of the backbone's own.
    """

    backbone: str = "resnet18"
    pretrained: bool = False
    checkpoint: str | None = None
    revision: str | None = None
    num_mel_bins: int = Field(64, ge=8, le=128)
    frames: int = Field(frames_of(CLIP_SAMPLES), ge=8)
    channels: Literal[1, 3] = 1
    stack: Literal["repeat", "deltas"] = "repeat"
    image_size: tuple[int, int] | None = None
    dropout: float = Field(0.0, ge=0, lt=1)
    drop_path: float = Field(0.0, ge=0, lt=1)
    options: dict[str, Any] = Field(default_factory=dict)
    spec_augment: SpecAugmentParams = SpecAugmentParams(frequency_width=8, time_width=18)

    @model_validator(mode="after")
    def _none_is_ignored(self) -> Self:
        if not self.pretrained and (self.checkpoint is not None or self.revision is not None):
            raise ValueError("checkpoint and revision are of published weights; with them, set pretrained: true")
        if self.stack == "deltas" and self.channels == 1:
            raise ValueError("stack: deltas fills three channels; with it, set channels: 3")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image: bins and frames."""
        return self.image_size or (self.num_mel_bins, self.frames)


class Spectrograms(nn.Module):
    """Log-mel [clips, frames, bins] -> the backbone's logits [clips, labels]."""

    def __init__(self, backbone: nn.Module, params: Params) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels, self.stack, self.image_size = params.channels, params.stack, params.image_size

    def forward(self, features: Tensor) -> Tensor:
        images = features.transpose(1, 2)[:, None]  # [clips, 1, bins, frames]
        if self.channels == 3 and self.stack == "deltas":
            first = deltas(images)
            images = torch.cat([images, first, deltas(first)], dim=1)
        elif self.channels == 3:
            images = images.expand(-1, 3, -1, -1)
        if self.image_size is not None:
            images = nn.functional.interpolate(images, self.image_size, mode="bilinear", align_corners=False)
        if not self.training or len(images) > 1:
            return self._logits(images)
        # An epoch's last batch may be one clip, of which a norm over the batch may have no variance: its running
        # figures serve.
        self.backbone.eval()
        logits = self._logits(images)
        self.backbone.train()
        return logits

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.backbone(images)
        return logits


def check(params: Params, store: Path) -> None:
    weights = checkpoint_of(params, store)
    try:
        # Without memory or arithmetic, where there is nothing to load.
        with torch.device("meta" if weights is None else "cpu"):
            net = _network(params, 2, weights).eval()
            net(torch.zeros(1, params.frames, params.num_mel_bins))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise PipelineError(
            f"'{params.backbone}' takes no image of {params.size[0]} x {params.size[1]} values: {error}\n"
            "Change num_mel_bins, frames or image_size in the run's parameters in params.yaml."
        ) from None


def build(params: Params, training: Training, labels: list[str], examples: Examples, store: Path) -> NetClassifier:
    weights = checkpoint_of(params, store)
    if weights is not None:  # what its publisher built it with belongs to what `restore` builds it from
        told = read_json(weights / checkpoints.CONFIG).get("model_args") or {}
        told = {name: value for name, value in told.items() if name not in ("in_chans", "num_classes")}
        params = params.model_copy(update={"options": {**told, **params.options}})
    return _classifier(spec_of(params, labels, examples), training, _network(params, len(labels), weights))


def checkpoint_of(params: Params, store: Path) -> Path | None:
    """Return the folder of the published weights, None for a network from scratch; fetches it if it can.

    Raises PipelineError if they are not here, or are another architecture's.
    """
    published = _published(params)
    if not params.pretrained:
        return None
    named = params.checkpoint or getattr(published, "hf_hub_id", None)
    if named is None:
        raise PipelineError(
            f"timm knows no weights of '{params.backbone}' on the hub.\n"
            "Set `checkpoint`, or pretrained: false, in the run's parameters in params.yaml."
        )
    folder = checkpoints.resolve(named, params.revision, store, FORM)
    found, wanted = read_json(folder / checkpoints.CONFIG).get("architecture"), params.backbone.split(".")[0]
    if found != wanted:
        raise PipelineError(
            f"The checkpoint in {folder} is of the architecture '{found}', not '{wanted}'.\n"
            "Change `checkpoint` or `backbone` of the run in params.yaml."
        )
    return folder


def restore(folder: Path, training: Training) -> NetClassifier:
    spec = NetworkSpec.read(folder)
    return _classifier(spec, training, _network(Params(**spec.options["params"]), len(spec.labels))).load(folder)


def _classifier(spec: NetworkSpec, training: Training, net: nn.Module) -> NetClassifier:
    params = Params(**spec.options["params"])
    front_end = LogMel(
        num_mel_bins=params.num_mel_bins,
        max_length=params.frames,
        mean=spec.options["mean"],
        std=spec.options["std"] / 2,  # LogMel divides by twice of it, and images have a deviation of 1
    )
    feature_augment = SpecAugment(params.spec_augment, front_end.sounding)
    return NetClassifier(net, spec, front_end, training, feature_augment)


def _network(params: Params, labels: int, weights: Path | None = None) -> Spectrograms:
    """Return the backbone with a head for so many labels, with the weights in the folder `weights` if it is given.

    Raises PipelineError if there is no such backbone, or it cannot be built so.
    """
    library = timm_library()
    rates = {"drop_rate": params.dropout, "drop_path_rate": params.drop_path}
    options = {"in_chans": params.channels, **{name: rate for name, rate in rates.items() if rate}, **params.options}
    if getattr(_published(params), "fixed_input_size", False):
        options = {"img_size": params.size, **options}
    try:
        if weights is None:
            backbone = library.create_model(params.backbone, num_classes=labels, **options)
        else:
            # With the head that it was published with, for timm then asks for every weight.
            backbone = library.create_model(f"local-dir:{weights}", pretrained=True, **options)
            backbone.reset_classifier(labels)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise PipelineError(
            f"timm cannot build '{params.backbone}' with {options}: {type(error).__name__}: {error}\n"
            "Change the run's parameters in params.yaml."
        ) from None
    return Spectrograms(backbone, params)


def _published(params: Params) -> Any:
    """Return what timm knows of the backbone's published weights, None if nothing.

    Raises PipelineError if there is no such backbone, or no weights of its tag.
    """
    library = timm_library()
    if not library.is_model(params.backbone):
        known = library.list_models()
    else:
        try:
            return library.get_pretrained_cfg(params.backbone)
        except RuntimeError:
            known = library.list_pretrained(f"{params.backbone.split('.')[0]}.*")
    near = difflib.get_close_matches(params.backbone, known, n=3, cutoff=0.5)
    raise PipelineError(
        f"timm {library.__version__} has no backbone '{params.backbone}'."
        + (f" Do you mean {', '.join(near)}?" if near else "")
        + "\nChange `backbone` in the run's parameters in params.yaml."
    )
