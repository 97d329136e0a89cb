"""Fitting with the Hugging Face Trainer: deterministic, resumable, the same in one process or several."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from dvclive import Live
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoModelForAudioClassification,
    EarlyStoppingCallback,
    FeatureExtractionMixin,
    PreTrainedModel,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.utils.logging import disable_progress_bar

from pipeline import metrics
from pipeline.errors import PipelineError
from pipeline.examples.training_data import TrainingData, as_float
from pipeline.files import read_json
from pipeline.learners.checkpoints import is_whole
from pipeline.learners.metrics import Accuracy
from pipeline.settings import Settings

# No bars for files that take milliseconds, on each loading and saving.
disable_progress_bar()

TRAINER_STATE = "trainer_state.json"
WEIGHTS = "model.safetensors"
MULTI_LABEL = "multi_label_classification"  # transformers' name for it
# The Trainer's names in its log, and ours.
CURVES = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
    "eval_map": "validation/map",
}
# Adam without the decay of weights that AdamW separates, and so on: torch's own, by their names in the papers.
OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}
Loss = Literal["cross_entropy", "mse", "huber", "binary_cross_entropy"]


class Training(Settings):
    """How a network is fitted. `batch_size` counts the clips of one step over all processes.

    `loss`: cross_entropy and mse are taken of the softmax, huber and binary_cross_entropy of each label's sigmoid;
    "auto" is binary_cross_entropy where a clip may have several labels, else cross_entropy. `weight_decay` is adamw's.
    """

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(32, ge=1)
    eval_batch_size: int = Field(128, ge=1)
    loss: Loss | Literal["auto"] = "auto"
    optimizer: Literal["adamw", "adam", "adamax", "sgd", "rmsprop", "adagrad"] = "adamw"
    learning_rate: float = Field(3e-5, gt=0)
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup_ratio: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    mixup_alpha: float = Field(0.0, ge=0)
    patience: int | None = Field(None, ge=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    workers: int = Field(0, ge=0)


def precision_of(wanted: str, device: torch.device) -> str:
    """Return what `wanted` means on `device`: "auto" is bf16 or fp16 on CUDA, fp32 elsewhere.

    Raises PipelineError for fp16 without CUDA, where the gradients cannot be scaled.
    """
    if wanted == "fp16" and device.type != "cuda":
        raise PipelineError("precision fp16 needs a CUDA device, and there is none. Set `training.precision` to auto.")
    if wanted != "auto":
        return wanted
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


class NeuralClassifier:
    """A torch network behind `fit` and `predict_proba`; how it is saved is the subclass's.

    `front_end` turns float32 inputs (`as_float`: waveforms [clips, samples] in -1..1, embeddings [clips, seconds, 128],
    hidden states [clips, layers, hidden]) into the network's input, on its device; `feature_augment(features, targets)`
    follows it while training (SpecAugment). The network returns logits [clips, labels], or an object that has them.
    With `multi_label`, a clip may have several labels: probabilities are independent, mean average precision judges.

    Raises PipelineError for a loss that does not fit.
    """

    def __init__(
        self,
        model: Any,
        labels: list[str],
        front_end: nn.Module,
        training: Training,
        feature_augment: nn.Module | None = None,
        multi_label: bool = False,
    ) -> None:
        self.model = model
        self.labels = labels
        self.front_end = front_end
        self.training = training
        self.feature_augment = feature_augment
        self.multi_label = multi_label
        if multi_label and training.loss in ("cross_entropy", "mse"):
            raise PipelineError(
                f"The loss {training.loss} needs exactly one label a clip, and these clips may have several.\n"
                "Set `training.loss` of the run in params.yaml to auto, binary_cross_entropy or huber."
            )

    @property
    def loss(self) -> Loss:
        if self.training.loss != "auto":
            return self.training.loss
        return "binary_cross_entropy" if self.multi_label else "cross_entropy"

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Train, and keep the weights of the epoch that does best on the validation clips.

        Killed at any moment, the next call with the same `work` goes on from the last finished epoch and ends with the
        same weights: every random draw is a function of seed, step and clip, not of what ran before.

        Raises PipelineError if `training` cannot be done on this device or with this many processes.
        """
        settings = self.training
        sampler = _EpochSampler(data)
        arguments = _arguments(settings, work, data.seed, "map" if self.multi_label else "accuracy")
        self.front_end.to(arguments.device)
        trainer = _Trainer(
            model=self.model,
            args=arguments,
            train_dataset=_Positions(len(data.train.rows)),
            eval_dataset=_Positions(len(data.validation.rows)),
            data_collator=_Collator(data),
            compute_metrics=_mean_average_precision if self.multi_label else _accuracy,
            callbacks=[_StepSeeds(data.seed, sampler), _Curves(live)],
            classifier=self,
            sampler=sampler,
        )
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(_Progress())
        if settings.patience is not None:
            trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=settings.patience))
        if arguments.process_index == 0:
            _drop_broken_checkpoints(work)
        trainer.accelerator.wait_for_everyone()
        last = next(reversed(_checkpoints(work)), None)
        if last is not None and (ended := _early_end(last)) is not None:
            arguments.num_train_epochs = ended
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
        self.model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        # The caller deletes `work`, from which a slower process may still be loading the best weights.
        trainer.accelerator.wait_for_everyone()

    @torch.inference_mode()
    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for [clips, *shape], in batches on the device that there is."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(device).eval()
        self.front_end.to(device).eval()
        precision = precision_of(self.training.precision, device)
        batches = []
        for start in range(0, len(inputs), self.training.eval_batch_size):
            batch = torch.from_numpy(inputs[start : start + self.training.eval_batch_size]).to(device)
            features = self.front_end(as_float(batch))
            with torch.autocast(
                device.type,
                dtype=torch.float16 if precision == "fp16" else torch.bfloat16,
                enabled=precision != "fp32",
            ):
                logits = _logits(self.model(features))
            batches.append(self._probabilities(logits.float()).cpu().numpy())
        return np.concatenate(batches) if batches else np.empty((0, len(self.labels)), np.float32)

    def _probabilities(self, logits: Tensor) -> Tensor:
        if self.loss in ("cross_entropy", "mse"):
            return logits.softmax(dim=-1)
        scores = logits.sigmoid()
        # One label a clip, but a sigmoid each: shares of their sum rank as they do.
        return scores if self.multi_label else (scores + 1e-9) / (scores + 1e-9).sum(dim=-1, keepdim=True)


class TransformerClassifier(NeuralClassifier):
    """A Hugging Face audio classifier.

    `extractor` is what the checkpoint's own users would preprocess with: it is saved beside the weights, so that the
    folder is a complete checkpoint in the hub's format.
    """

    def __init__(
        self,
        model: Any,  # a PreTrainedModel with a classification head; transformers' own annotations lead nowhere
        front_end: nn.Module,
        extractor: FeatureExtractionMixin,
        training: Training,
        feature_augment: nn.Module | None = None,
        multi_label: bool | None = None,
    ) -> None:
        """`multi_label` None reads it from the model's configuration, where `save` leaves it."""
        if multi_label is not None:
            model.config.problem_type = MULTI_LABEL if multi_label else None
        labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
        super().__init__(model, labels, front_end, training, feature_augment, model.config.problem_type == MULTI_LABEL)
        self.extractor = extractor

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and preprocessor_config.json."""
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)


def loss_of(name: Loss, logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean loss of `logits` [clips, labels] for `targets` [clips, labels], each 0 to 1.

    Cross-entropy and mse of the softmax, the latter as the sum over labels is a mean (Keras's convention);
    binary cross-entropy and Huber (delta 1) of the sigmoids. Smoothing pulls the targets towards what says nothing: an
    equal share of each label, or one half where each label is a question of its own.
    """
    if name == "cross_entropy":
        return nn.functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    nothing = 1 / targets.shape[1] if name == "mse" else 0.5
    targets = (1 - label_smoothing) * targets + label_smoothing * nothing
    if name == "mse":
        return nn.functional.mse_loss(logits.softmax(dim=-1), targets)
    if name == "huber":
        return nn.functional.huber_loss(logits.sigmoid(), targets)
    return nn.functional.binary_cross_entropy_with_logits(logits, targets)


def _logits(outputs: Any) -> Tensor:
    """Return what a network gave, be it bare or in one of transformers' objects."""
    logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs.logits
    return logits


def _arguments(settings: Training, work: Path, seed: int, judge: str = "accuracy") -> TrainingArguments:
    cuda = torch.cuda.is_available()
    precision = precision_of(settings.precision, torch.device("cuda" if cuda else "cpu"))
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_ratio,
        # The Trainer hands it to any optimiser. Others than AdamW add it to the gradient, and Adam's steps blow it up.
        weight_decay=settings.weight_decay if settings.optimizer == "adamw" else 0.0,
        max_grad_norm=settings.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not cuda,
        ddp_backend="gloo" if not cuda and int(os.environ.get("WORLD_SIZE", "1")) > 1 else None,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,  # of 1, the Trainer keeps only the best at its end, and a kill then would cost epochs
        load_best_model_at_end=True,
        metric_for_best_model=judge,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,  # early stopping's count survives a kill
        dataloader_num_workers=settings.workers,
        dataloader_persistent_workers=settings.workers > 0,
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
        disable_tqdm=False,  # else a second training in one process prints its log as dictionaries
        seed=seed,
        log_level="error",
    )
    processes = arguments.world_size
    if settings.batch_size % processes:
        raise PipelineError(
            f"A batch of {settings.batch_size} clips cannot be shared evenly by {processes} processes.\n"
            f"Set `training.batch_size` in params.yaml to a multiple of {processes}, or start another number of them."
        )
    arguments.per_device_train_batch_size = settings.batch_size // processes
    arguments.per_device_eval_batch_size = settings.eval_batch_size
    return arguments


class _Positions(torch.utils.data.Dataset[tuple[int, int] | int]):
    """Hands the sampler's items to the collator, which reads, augments and stacks a whole batch at once."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: tuple[int, int] | int) -> tuple[int, int] | int:
        return item


class _EpochSampler(torch.utils.data.Sampler[tuple[int, int]]):
    """Yields (epoch, position) of an epoch's draw, shuffled by seed and epoch alone."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data
        self.epoch = 0
        self.length = len(data.epoch_indices(0))

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        drawn = self.data.epoch_indices(self.epoch)
        for position in np.random.default_rng([self.data.seed, self.epoch]).permutation(drawn):
            yield self.epoch, int(position)


class _Collator:
    """Items of the sampler -> a batch: inputs float32 [clips, *shape], labels int64 [clips] or float32 [clips, labels].

    (epoch, position) is a training clip, augmented by a draw of its own; a bare position is a validation clip.
    """

    def __init__(self, data: TrainingData) -> None:
        self.data = data

    def __call__(self, items: list[tuple[int, int] | int]) -> dict[str, Tensor]:
        if isinstance(items[0], tuple):
            pairs = [item for item in items if isinstance(item, tuple)]
            at = np.array([position for _, position in pairs])
            generators = [np.random.default_rng([self.data.seed, epoch, position]) for epoch, position in pairs]
            examples = self.data.train
            waveforms = self.data.augment(examples.read(examples.rows[at]), generators)
        else:
            at = np.array(items)
            examples = self.data.validation
            waveforms = as_float(examples.read(examples.rows[at]))
        return {"input_values": torch.from_numpy(waveforms), "labels": torch.from_numpy(examples.targets[at])}


class _Trainer(Trainer):
    """Adds the front end on the training device, mixup, and a restoring of checkpoints that works for every model."""

    def __init__(
        self,
        *args: Any,
        classifier: NeuralClassifier,
        sampler: _EpochSampler,
        **kwargs: Any,
    ) -> None:
        # Before the Trainer's own, which asks for the optimiser.
        self.classifier = classifier
        self.settings = classifier.training
        self.sampler = sampler
        if self.settings.optimizer != "adamw":
            kwargs["optimizer_cls_and_kwargs"] = (
                OPTIMIZERS[self.settings.optimizer],
                {"lr": self.settings.learning_rate},
            )
        super().__init__(*args, **kwargs)
        self.model: Any
        # Our loss is a mean over the batch; the Trainer must not divide it once more.
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> _EpochSampler:
        return self.sampler

    def _prepare_inputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs = super()._prepare_inputs(inputs)
        heard, targets = inputs["input_values"], inputs["labels"]
        if not self.classifier.multi_label:
            targets = nn.functional.one_hot(targets, len(self.classifier.labels)).float()  # [clips, labels]
        if self.model.training and self.settings.mixup_alpha > 0:
            # Mixup (Zhang et al. 2018), on waveforms: two clips are heard at once, and both count.
            share = float(np.random.beta(self.settings.mixup_alpha, self.settings.mixup_alpha))
            partner = torch.randperm(len(targets)).to(targets.device)
            heard = share * heard + (1 - share) * heard[partner]
            targets = share * targets + (1 - share) * targets[partner]
        with torch.no_grad():
            features = self.classifier.front_end(heard)
            if self.classifier.feature_augment is not None and self.model.training:
                features = self.classifier.feature_augment(features, targets)
        return {"input_values": features, "labels": inputs["labels"], "targets": targets}

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, *_: Any, **__: Any) -> Any:
        logits = _logits(model(inputs["input_values"]))
        smoothing = self.settings.label_smoothing if model.training else 0.0
        loss = loss_of(self.classifier.loss, logits.float(), inputs["targets"], smoothing)
        # The Trainer takes all but the first of a tuple for predictions.
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self._restore(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        self._restore(str(self.state.best_model_checkpoint))

    def _restore(self, checkpoint: str) -> None:
        """Load weights through `from_pretrained`.

        The Trainer's own way (transformers 5.23) reads the file's names as they are; AST's differ from the module's,
        and it would go on with most of the encoder unrestored and a log line.
        """
        if isinstance(self.model, PreTrainedModel):
            saved = AutoModelForAudioClassification.from_pretrained(checkpoint, use_safetensors=True).state_dict()
        else:
            saved = load_file(Path(checkpoint) / WEIGHTS)
        self.model.load_state_dict(saved)


class _StepSeeds(TrainerCallback):
    """Seeds dropout, mixup and masks at each step, so that a resumed training draws what the first one would have."""

    def __init__(self, seed: int, sampler: _EpochSampler) -> None:
        self.seed = seed
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Accelerate does not pass the epoch on to a sampler that it has sharded over processes.
        self.sampler.epoch = round(state.epoch or 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seeds = np.random.SeedSequence([self.seed, state.global_step, args.process_index]).generate_state(2)
        torch.manual_seed(int(seeds[0]))
        np.random.seed(int(seeds[1]))  # transformers' own SpecAugment draws from the global state


class _Curves(TrainerCallback):
    """DVCLive metrics and curves, without what differs from run to run (times), rebuilt from the log on resuming.

    DVCLive's own callback would append a killed epoch's points a second time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: Live | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            # DVCLive's messages about Git do not concern a run that DVC drives.
            logging.getLogger("dvclive").setLevel(logging.ERROR)
            shutil.rmtree(self.folder, ignore_errors=True)
            self.live = Live(dir=str(self.folder), dvcyaml=False, save_dvc_exp=False)
            for entry in state.log_history:
                self._write(entry)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self._write({**logs, "epoch": state.epoch})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.live is not None:
            for judge in ("accuracy", "map"):
                if best := [entry[f"eval_{judge}"] for entry in state.log_history if f"eval_{judge}" in entry]:
                    self.live.summary[f"best_{judge}"] = max(best)
            self.live.make_summary()
            self.live.end()

    def _write(self, entry: dict[str, Any]) -> None:
        if self.live is None:
            return
        self.live.step = round(entry.get("epoch") or 0)
        # In an order of our own: a log read back from a checkpoint is sorted by name.
        for name, curve in CURVES.items():
            if name in entry:
                self.live.log_metric(curve, entry[name])
        self.live.make_summary()


class _Progress(ProgressCallback):
    """The Trainer's bar, with one readable line an epoch."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        judged = {name: value for name, value in (logs or {}).items() if name in ("eval_accuracy", "eval_map")}
        if self.training_bar is not None and logs and judged:
            losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
            self.training_bar.write(
                f"epoch {round(state.epoch):>3}  training loss {losses[-1]:.3f}  "
                f"validation loss {logs['eval_loss']:.3f}  "
                + "  ".join(f"{name.removeprefix('eval_')} {value:.4f}" for name, value in judged.items())
            )


def _accuracy(prediction: Any) -> dict[str, float]:
    """Return the accuracy as if each label were equally frequent, which the test set is made to be, nearly."""
    labels = prediction.predictions.shape[1]
    accuracy: dict[str, float] = Accuracy().compute(
        predictions=prediction.predictions.argmax(axis=-1),
        references=prediction.label_ids,
        labels=labels,
        shares=np.full(labels, 1 / labels),
    )
    return accuracy


def _mean_average_precision(prediction: Any) -> dict[str, float]:
    precisions = metrics.average_precisions(prediction.label_ids > 0.5, prediction.predictions)
    return {"map": float(np.nanmean(precisions)) if np.isfinite(precisions).any() else 0.0}


def _checkpoints(work: Path) -> list[Path]:
    """Return the checkpoints from old to new."""
    return sorted(work.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))


def _drop_broken_checkpoints(work: Path) -> None:
    """Delete checkpoints that a kill left half-written: the Trainer writes its state last."""
    for folder in _checkpoints(work):
        try:
            read_json(folder / TRAINER_STATE)
            whole = is_whole(folder / WEIGHTS)
        except (FileNotFoundError, ValueError):
            whole = False
        if not whole:
            shutil.rmtree(folder)


def _early_end(checkpoint: Path) -> int | None:
    """Return the epoch at which patience had run out when `checkpoint` was written, None if it had not.

    The Trainer (transformers 5.23) forgets on resuming that it was told to stop, and would train on.
    """
    state = read_json(checkpoint / TRAINER_STATE)
    stopped = state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]
    return round(state["epoch"]) if stopped else None
