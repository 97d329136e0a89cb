"""The speech encoder whose hidden states probes read: a published one, or one that is trained here first."""

import shutil
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.features import hidden_states
from pipeline.files import read_json, replacing_folder, write_json
from pipeline.layout import Layout
from pipeline.settings import FromCheckpoint, Processes

NAME = "encode.fit"


class Encode(FromCheckpoint):
    """The section `encode` of params.yaml; empty, nothing is encoded.

    The encoder is a published `checkpoint` (or a folder in the hub's format, such as artifacts/train/<run>/0/model, for
    probes of that fold alone), or one that is trained here first: `fit` is an entry as under `runs`, of the model
    wav2vec2, that stands for itself (the shared section `train` is not under it). `layers` None means 1 to the last.
    `processes` share the clips: "auto" is one for each GPU; their number changes nothing that is written.
    """

    fit: dict[str, Any] | None = None
    layers: tuple[int, ...] | None = Field(None, min_length=1)
    pooling: Literal["mean", "mean_std"] = "mean"
    batch_size: int = Field(32, ge=1)
    processes: Processes = "auto"

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


def check(settings: Encode, store: Path) -> tuple[int, ...] | None:
    """Return the layers that will be stored, None where nothing is asked for; fetches a checkpoint that is not here.

    Raises PipelineError if the encoder cannot be had or built, or has not all the layers.
    """
    if not settings.is_asked:
        return None
    from transformers import Wav2Vec2Config

    from pipeline.jobs.recipes import recipes_of
    from pipeline.learners import checkpoints, encoder

    if settings.checkpoint is not None:
        folder = checkpoints.resolve(settings.checkpoint, settings.revision, store)
        return encoder.layers_of(read_json(folder / checkpoints.CONFIG), settings.layers, settings.checkpoint)
    (recipe,) = recipes_of(_run(settings), NAME)
    recipe.model.check(recipe.parameters, store)
    about = recipe.about["parameters"]
    config = Wav2Vec2Config().to_dict()
    if about["checkpoint"] is not None:
        config = read_json(checkpoints.resolve(about["checkpoint"], about["revision"], store) / checkpoints.CONFIG)
    return encoder.layers_of({**config, **about["config"]}, settings.layers, NAME)


def refuse_folds(settings: Encode, folds: int) -> None:
    """Raise PipelineError if one encoder would be trained for several folds: it would hear each fold's judges."""
    if settings.fit is not None and folds > 1:
        raise PipelineError(
            f"{NAME} trains one encoder, which would hear the speakers that judge the probes of other folds.\n"
            "Set prepare.folds: 1 and folds: [0], or encode.checkpoint, in params.yaml."
        )


def encode(layout: Layout, settings: Encode, seed: int) -> None:
    """Write hidden_states.npy and .json to artifacts/encode, and the encoder if it was trained here.

    Killed, it goes on with the training, and then with the clips, where it was. Raises PipelineError for a missing
    corpus or checkpoint, clips that are no audio, or an encoder that would have heard the speakers of its judges.
    """
    from pipeline.jobs import launching, sharing
    from pipeline.jobs.fitting import fold_learnt
    from pipeline.learners import checkpoints
    from pipeline.learners.encoder import Encoder

    layers = check(settings, layout.checkpoints)
    corpus = Corpus.open(layout.prepare)
    if not corpus.has_audio:
        raise PipelineError(
            f"The corpus in {corpus.folder} holds embeddings and no audio, so there is nothing to encode.\n"
            "Change download.source, or empty the section encode, in params.yaml."
        )
    if settings.checkpoint is not None:
        source = checkpoints.resolve(settings.checkpoint, settings.revision, layout.checkpoints)
    else:
        source = _fitted(layout, settings, seed, corpus)

    def fill(rank: int, processes: int) -> None:
        encoder = Encoder.open(source, settings.layers, settings.pooling, settings.batch_size)
        hidden_states.fill(work, lambda rows: encoder(corpus.samples(rows)), len(corpus), rank, processes)

    work = layout.encoding / "states"
    part = sharing.part_of_this_process()
    if part is not None and part.rank is not None:
        fill(part.rank, part.processes)
        return
    about: dict[str, Any] = {
        "corpus": corpus.fingerprint,
        "layers": list(layers or ()),
        "pooling": settings.pooling,
        "encoder": settings.checkpoint or NAME,
        "revision": settings.revision,
        "weights": checkpoints.weights_of(source),
    }
    if settings.checkpoint is not None and (learnt := fold_learnt(source, corpus)) is not None:
        about["fold_learnt"] = learnt
    work.mkdir(parents=True, exist_ok=True)
    hidden_states.begin(work, len(corpus), about)
    with sharing.together(layout.encoding / "share", launching.processes_of(settings.processes), "encode") as shared:
        if shared is None:
            fill(0, 1)
    hidden_states.finish(work, about)
    with replacing_folder(layout.encode) as folder:
        for path in work.iterdir():
            shutil.move(path, folder)
        if settings.fit is not None:
            shutil.copytree(source, folder / "encoder")
            shutil.copytree(source.with_name("live"), folder / "live")
    shutil.rmtree(work)


def _run(settings: Encode) -> Any:
    from pipeline.jobs.recipes import run_apart

    run = run_apart(settings.fit, NAME)
    if run.model != "wav2vec2" or run.detector is not None:
        raise PipelineError(f"{NAME} trains an encoder: `model` must be wav2vec2, without a detector.")
    return run


def _fitted(layout: Layout, settings: Encode, seed: int, corpus: Corpus) -> Path:
    """Return the folder of the encoder that is trained as `fit` says; other layers need no other one.

    It is kept as long as all that shapes its weights is the same, code and versions included.
    """
    from pipeline.jobs.fitting import Publication, work_of

    refuse_folds(settings, corpus.folds)
    folder = layout.encoding / "fit"
    to = Publication(folder / "work", folder / "model", folder / "live", layout.timing(NAME, "train"))
    work = work_of(layout, corpus, _run(settings), NAME, NAME, 0, seed, to)
    made_of, note = {"training": work.identity}, folder / "made_of.json"
    if not note.exists() or read_json(note) != made_of:
        note.unlink(missing_ok=True)
        work.learn()
        write_json(note, made_of)
    return to.model
