"""encode: the hidden states of every clip in a speech encoder's layers, stored once for all probes that read them."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder, write_json
from pipeline.layout import Layout
from pipeline.settings import Settings

if TYPE_CHECKING:  # torch takes seconds, which nobody should wait for who asks for nothing
    from pipeline.stages.train import Run

NOTHING = "nothing"
NAME = "encode.fit"


class Params(Settings):
    """The section `encode` of params.yaml; empty, nothing is encoded.

    The encoder is a published `checkpoint` (or a folder in the hub's format, such as artifacts/train/<run>/model), or
    one that is trained here first: `fit` is an entry as under `runs`, of the model wav2vec2, that stands for itself
    (the shared section `train` is not under it). `layers` None means 1 to the last.
    """

    checkpoint: str | None = None
    revision: str | None = None
    fit: dict[str, Any] | None = None
    layers: tuple[int, ...] | None = Field(None, min_length=1)
    pooling: Literal["mean", "mean_std"] = "mean"
    batch_size: int = Field(32, ge=1)

    @model_validator(mode="after")
    def _one_encoder(self) -> Self:
        if self.checkpoint is not None and self.fit is not None:
            raise ValueError("take a checkpoint or fit an encoder, not both")
        if not self.is_asked and self.layers is not None:
            raise ValueError("layers need an encoder: set checkpoint or fit")
        if self.layers is not None and (min(self.layers) < 0 or len(set(self.layers)) < len(self.layers)):
            raise ValueError("layers are numbers from 0 up, each once")
        return self

    @property
    def is_asked(self) -> bool:
        return self.checkpoint is not None or self.fit is not None


def main(layout: Layout) -> None:
    """Write artifacts/encode: hidden_states.npy and .json, and the encoder if it was trained here.

    Where nothing is asked for, one small file that is always the same, so that nothing after it runs again. Killed, it
    goes on with the training, and then with the clips, where it was.
    Raises PipelineError for bad parameters, a missing corpus or checkpoint, or clips that are no audio.
    """
    tree = params.read(layout.params)
    settings = params.section(tree, "encode", Params)
    if settings.is_asked:
        _encode(layout, settings, params.seed(tree))
        return
    with replacing_folder(layout.encode) as folder:
        (folder / NOTHING).write_text("params.yaml asks for no hidden states (section encode)\n", encoding="utf-8")


def check(settings: Params, store: Path) -> tuple[int, ...] | None:
    """Return the layers that will be stored, None where nothing is asked for; fetches a checkpoint that is not here.

    Raises PipelineError if the encoder cannot be had or built, or has not all the layers.
    """
    if not settings.is_asked:
        return None
    from pipeline.learners import checkpoints, encoder

    if settings.checkpoint is not None:
        folder = checkpoints.resolve(settings.checkpoint, settings.revision, store)
        config = read_json(folder / checkpoints.CONFIG)
        return encoder.layers_of(config, settings.layers, settings.checkpoint)

    from transformers import Wav2Vec2Config

    from pipeline.stages.train import recipes_of

    (recipe,) = recipes_of(_run(settings), NAME)
    recipe.model.check(recipe.parameters, store)
    about = recipe.about["parameters"]
    config = Wav2Vec2Config().to_dict()
    if about["checkpoint"] is not None:
        config = read_json(checkpoints.resolve(about["checkpoint"], about["revision"], store) / checkpoints.CONFIG)
    return encoder.layers_of({**config, **about["config"]}, settings.layers, NAME)


def _run(settings: Params) -> "Run":
    from pipeline.stages.train import Run

    run = params.validate(settings.fit, Run, NAME)
    if run.model != "wav2vec2" or run.detector is not None:
        raise PipelineError(f"{NAME} trains an encoder: `model` must be wav2vec2, without a detector.")
    return run


def _encode(layout: Layout, settings: Params, seed: int) -> None:
    from pipeline.clips.corpus import Corpus
    from pipeline.features import hidden_states
    from pipeline.learners import checkpoints
    from pipeline.learners.encoder import Encoder, weights_of

    check(settings, layout.checkpoints)
    corpus = Corpus.open(layout.prepare)
    if corpus.dtype != "int16":
        raise PipelineError(
            f"The corpus in {corpus.folder} holds embeddings and no audio, so there is nothing to encode.\n"
            "Change download.source, or empty the section encode, in params.yaml."
        )
    if settings.checkpoint is not None:
        source = checkpoints.resolve(settings.checkpoint, settings.revision, layout.checkpoints)
    else:
        source = _fitted(layout, settings, seed, corpus.fingerprint)
    encoder = Encoder.open(source, settings.layers, settings.pooling, settings.batch_size)
    about = {
        "corpus": corpus.fingerprint,
        "layers": list(encoder.layers),
        "pooling": settings.pooling,
        "encoder": settings.checkpoint or NAME,
        "revision": settings.revision,
        "weights": weights_of(source),
    }
    work = layout.encoding / "states"
    work.mkdir(parents=True, exist_ok=True)
    hidden_states.write(work, lambda rows: encoder(corpus.samples(rows)), len(corpus), about)
    with replacing_folder(layout.encode) as folder:
        for path in work.iterdir():
            shutil.move(path, folder)
        if settings.fit is not None:
            shutil.copytree(source, folder / "encoder")
            shutil.copytree(source.with_name("live"), folder / "live")
    shutil.rmtree(work)


def _fitted(layout: Layout, settings: Params, seed: int, corpus: str) -> Path:
    """Return the folder of the encoder that is trained as `fit` says: kept, since other layers need no other one."""
    from pipeline.stages import train

    folder = layout.encoding / "fit"
    made_of = {"fit": settings.fit, "seed": seed, "corpus": corpus}
    note = folder / "made_of.json"
    if not note.exists() or read_json(note) != made_of:
        note.unlink(missing_ok=True)
        places = train.Places(NAME, folder / "work", folder / "model", folder / "live")
        train.fit(layout, _run(settings), NAME, seed, places)
        write_json(note, made_of)
    return folder / "model"
