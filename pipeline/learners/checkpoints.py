"""Published checkpoints: found on disk, or fetched once, always from safetensors."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder, restored, sha256_of
from pipeline.learners.resuming import is_whole
from pipeline.locks import held

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
WEIGHTS = "*.safetensors"
# What a new set of labels may replace; all else that is learnt must come from the checkpoint.
LAYER_WEIGHTS = "layer_weights"  # of `use_weighted_layer_sum`
HEADS = ("classifier.", "projector.", LAYER_WEIGHTS)
UNUSED = ("masked_spec_embed",)  # fills masked frames while training; some publishers leave it out


@dataclass(frozen=True)
class Form:
    """Which files a library's checkpoints are, how one is fetched, and what params.yaml says to do without one.

    `fetch(checkpoint, revision, folder)` fills an empty folder.
    """

    files: tuple[str, ...]
    fetch: Callable[[str, str | None, Path], None]
    instead: str


def _fetch_transformer(checkpoint: str, revision: str | None, folder: Path) -> None:
    """Bring a checkpoint from the hub into `folder`.

    Through `from_pretrained`, because it also finds the safetensors copy that the hub keeps beside older repositories
    (`facebook/wav2vec2-base` has only a pickle on its main branch).
    """
    model, report = AutoModelForAudioClassification.from_pretrained(
        checkpoint, revision=revision, use_safetensors=True, output_loading_info=True
    )
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint, revision=revision)
    # A head that the publisher did not give was made up just now; each run draws its own from its seed.
    given = {name: value for name, value in model.state_dict().items() if name not in report["missing_keys"]}
    model.save_pretrained(folder, state_dict=given)
    extractor.save_pretrained(folder)


TRANSFORMERS = Form(
    (CONFIG, PREPROCESSOR, WEIGHTS), _fetch_transformer, "set it to null for a small model from a config"
)


def resolve(checkpoint: str, revision: str | None, store: Path, form: Form = TRANSFORMERS) -> Path:
    """Return the folder that holds `checkpoint`: a folder as given, one in `store`, or one in the hub's cache.

    With the network on, a checkpoint that is nowhere is fetched into `store` first.

    Raises PipelineError that says how to get it.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        _require_files(folder, checkpoint, form)
        return folder
    stored = restored(place(checkpoint, revision, store))
    if stored.is_dir():
        _require_files(stored, checkpoint, form)
        return stored
    try:
        cached = Path(
            snapshot_download(checkpoint, revision=revision, local_files_only=True, allow_patterns=list(form.files))
        )
        if not _missing(cached, form):
            return cached
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    if constants.is_offline_mode() or checkpoint.startswith((".", "/", "~")):
        raise PipelineError(_absent(checkpoint, stored, "no such folder, and no copy in the hub's cache", form))
    store.mkdir(parents=True, exist_ok=True)
    with held(store / f".{stored.name}.fetching", f"Another download of {checkpoint}"):
        if not stored.is_dir():  # of several processes, such as torchrun's, the first has fetched it
            _fetch(checkpoint, revision, stored, form)
    return stored


def require_rate(extractor: Any, keys: str = "the run's `checkpoint`") -> None:
    """Raise PipelineError if a feature extractor hears clips of another sample rate; `keys` say what would mend it."""
    if extractor.sampling_rate != SAMPLE_RATE_HZ:
        raise PipelineError(
            f"The feature extractor hears {extractor.sampling_rate} Hz; clips have {SAMPLE_RATE_HZ} Hz.\n"
            f"Change {keys} in params.yaml."
        )


def named_in(params: Any, store: Path) -> Path | None:
    """Return the folder of the checkpoint that `params` name by `checkpoint` and `revision`, None if they name none.

    Raises PipelineError as `resolve`.
    """
    return None if params.checkpoint is None else resolve(params.checkpoint, params.revision, store)


def weights_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of a checkpoint's files of weights, by name; each is read once, unless it changes."""
    told = [(path, path.stat()) for path in sorted(folder.glob(WEIGHTS))]
    return {path.name: _sha256_of(path, stat.st_size, stat.st_mtime_ns) for path, stat in told}


@cache
def _sha256_of(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_of(path)


def place(checkpoint: str, revision: str | None, store: Path) -> Path:
    """Return the folder in `store` for a checkpoint of the hub."""
    return store / "--".join([*checkpoint.split("/"), *([revision.replace("/", "-")] if revision else [])])


def configure(
    model: type[Any],  # a PreTrainedModel, whose module takes three seconds to load
    values: dict[str, Any],
    folder: Path | None,
    labels: list[str],
    shape: Callable[[Any], tuple[int, ...]],
) -> Any:
    """Return the configuration of `model`: of the checkpoint in `folder` or else the class's own, `values` over it.

    `shape` gives the shape of one input clip. Raises PipelineError for an unknown key, a checkpoint of another
    architecture, and values of which no working model can be built: one is tried, without memory or arithmetic.
    """
    kind: Any = model.config_class
    if unknown := sorted(set(values) - set(kind().to_dict())):
        raise PipelineError(
            f"{kind.__name__} of transformers knows no {', '.join(unknown)}.\n"
            "Look the key up in its documentation, and mend `config` in the run's parameters in params.yaml."
        )
    if folder is not None and (found := read_json(folder / CONFIG).get("model_type")) != kind.model_type:
        raise PipelineError(
            f"The checkpoint in {folder} is of the architecture '{found}', not '{kind.model_type}'.\n"
            "Change `checkpoint` or `model` of the run in params.yaml."
        )
    names = {"label2id": {label: i for i, label in enumerate(labels)}, "id2label": dict(enumerate(labels))}
    try:
        config = kind(**values, **names) if folder is None else kind.from_pretrained(folder, **values, **names)
        with torch.device("meta"):
            model(config).eval()(torch.empty(1, *shape(config)))
    except Exception as error:  # transformers and torch raise whatever the first layer met that did not fit
        raise PipelineError(
            f"{model.__name__} cannot be built from its configuration: {type(error).__name__}: {error}\n"
            "Mend `config` in the run's parameters in params.yaml."
        ) from None
    return config


def load(model: Any, folder: Path, config: Any) -> tuple[Any, Any]:
    """Return the model (its class is `model`) in `folder` with the head that `config` asks for, and its extractor.

    A head of another size is replaced by a fresh one, and so is a table that is computed, not learnt (Whisper's
    positions, which may be cut). Half precision becomes float32, which learning needs. Raises PipelineError if any
    other weights are not there.
    """
    _require_files(folder, str(folder), TRANSFORMERS)
    loaded, report = model.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    with torch.device("meta"):
        fixed = {name for name, weight in model(config).named_parameters() if not weight.requires_grad}
    for name in fixed:
        loaded.get_parameter(name).requires_grad_(False)  # forgotten where the size differs (transformers 5.23)
    absent = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
    if lacking := sorted(name for name in absent - fixed if not name.startswith(HEADS) and not name.endswith(UNUSED)):
        raise PipelineError(
            f"The checkpoint in {folder} does not fit {model.__name__}: {len(lacking)} weights are missing or not "
            f"of its size, such as {lacking[0]}.\nChange `checkpoint` or `config` of the run in params.yaml."
        )
    if LAYER_WEIGHTS in absent:
        # Of several architectures (WavLM, wav2vec2, ...) transformers 5.23 leaves them as it found the memory.
        weights = loaded.get_parameter(LAYER_WEIGHTS)
        torch.nn.init.constant_(weights, 1 / len(weights))
    return loaded, AutoFeatureExtractor.from_pretrained(folder)


def _fetch(checkpoint: str, revision: str | None, stored: Path, form: Form) -> None:
    try:
        with replacing_folder(stored) as temporary:
            form.fetch(checkpoint, revision, temporary)
            if missing := _missing(temporary, form):
                raise ValueError(f"the hub has no {', '.join(missing)} of it")
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise PipelineError(_absent(checkpoint, stored, f"fetching it failed: {reason}", form)) from None


def _missing(folder: Path, form: Form) -> list[str]:
    return [name for name in form.files if not any(folder.glob(name))]


def _require_files(folder: Path, checkpoint: str, form: Form) -> None:
    if missing := _missing(folder, form):
        raise PipelineError(
            f"The checkpoint '{checkpoint}' in {os.path.abspath(folder)} lacks {', '.join(missing)}.\n"
            f"A checkpoint is a folder in the hub's format: {', '.join(form.files)}. Weights in pickle form "
            "(pytorch_model.bin) are not loaded, since they can run code."
        )
    if cut := [path.name for path in sorted(folder.glob(WEIGHTS)) if not is_whole(path)]:
        raise PipelineError(
            f"The checkpoint '{checkpoint}' in {os.path.abspath(folder)} is damaged: {', '.join(cut)} is cut short.\n"
            "Delete the folder and get the checkpoint again."
        )


def _absent(checkpoint: str, stored: Path, reason: str, form: Form) -> str:
    return (
        f"The checkpoint '{checkpoint}' is not here: {reason}.\n"
        "Do one of these, then start again:\n"
        f"  - with a network: unset HF_HUB_OFFLINE; python -m pipeline check   (fetches it into {stored})\n"
        "  - on a machine with a network: the same in a clone of this project; copy that folder to its place here\n"
        f"  - set `checkpoint` in params.yaml to a folder that holds it, or {form.instead}"
    )
