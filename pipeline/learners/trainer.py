"""The Hugging Face Trainer, made deterministic, resumable, and the same in one process or several."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForAudioClassification, PreTrainedModel, Trainer, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from pipeline.errors import DivergedError, PipelineError
from pipeline.learners import epochs
from pipeline.learners.averaging import average_of
from pipeline.learners.batches import EpochSampler
from pipeline.learners.evaluation import BalancedAccuracy
from pipeline.learners.judging import (
    BALANCED_ACCURACY,
    MEAN_AVERAGE_PRECISION,
    mean_average_precision,
    summed_into,
)
from pipeline.learners.losses import Loss, logits_of, loss_of, probabilities_of
from pipeline.learners.mixing import cutmix, cuts, mixup
from pipeline.learners.parameter_groups import parameter_groups
from pipeline.learners.resuming import WEIGHTS
from pipeline.learners.training import OPTIMIZERS, Training, precision_of

# No bars for files that take milliseconds, on each loading and saving.
disable_progress_bar()


def arguments_of(settings: Training, work: Path, seed: int, multi_label: bool = False) -> TrainingArguments:
    """Return the Trainer's arguments. Raises PipelineError if the processes cannot share a batch evenly."""
    cuda = torch.cuda.is_available()
    precision = precision_of(settings.precision, torch.device("cuda" if cuda else "cpu"))
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_ratio,
        weight_decay=settings.decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not cuda,
        ddp_backend="gloo" if not cuda and int(os.environ.get("WORLD_SIZE", "1")) > 1 else None,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,  # of 1, the Trainer keeps only the best at its end, and a kill then would cost epochs
        load_best_model_at_end=settings.keep == "best",
        metric_for_best_model=MEAN_AVERAGE_PRECISION if multi_label else BALANCED_ACCURACY,
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
    # Of several GPUs, a process uses one; else the Trainer takes all (nn.DataParallel), with a batch for each.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    processes = arguments.world_size
    if settings.batch_size % processes:
        raise PipelineError(
            f"A batch of {settings.batch_size} clips cannot be shared evenly by {processes} processes.\n"
            f"Set `training.batch_size` in params.yaml to a multiple of {processes}, or start another number of them."
        )
    arguments.per_device_train_batch_size = settings.batch_size // processes
    arguments.per_device_eval_batch_size = settings.eval_batch_size
    return arguments


class ClassifierTrainer(Trainer):
    """Adds the front end on the training device, mixup, soft labels, a record of each epoch, and a restoring of
    checkpoints that works for every model.
    """

    def __init__(
        self,
        *,
        work: Path,
        settings: Training,
        loss: Loss,
        labels: int,
        multi_label: bool,
        judged: NDArray[np.int64] | None,
        front_end: nn.Module,
        feature_augment: nn.Module | None,
        sampler: EpochSampler,
        **kwargs: Any,
    ) -> None:
        # Before the Trainer's own, which asks for the optimiser.
        self.work = work
        self.settings = settings
        self.loss = loss
        self.labels = labels
        self.multi_label = multi_label
        self.judged = judged
        self.front_end = front_end
        self.feature_augment = feature_augment
        self.sampler = sampler
        if settings.optimizer != "adamw":
            options = {"lr": settings.learning_rate}
            if settings.momentum:
                options["momentum"] = settings.momentum
            kwargs["optimizer_cls_and_kwargs"] = (OPTIMIZERS[settings.optimizer], options)
        super().__init__(compute_metrics=self._judge, **kwargs)
        self.model: Any
        # Our loss is a mean over the batch; the Trainer must not divide it once more.
        self.model_accepts_loss_kwargs = False
        self.average = average_of(self.model, settings)
        if self.average is not None:
            self.add_callback(self.average)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.settings.layer_decay < 1:
            net, settings = self.model if model is None else model, self.settings
            kind, options = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(self.args, net)
            decayed = set(self.get_decay_parameter_names(net))
            groups = parameter_groups(net, decayed, options["lr"], self.args.weight_decay, settings.layer_decay)
            self.optimizer = kind(groups, **options)
        return super().create_optimizer(model)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, *_: Any, **__: Any) -> Any:
        logits = logits_of(model(inputs["input_values"]))
        smoothing = self.settings.label_smoothing if model.training else 0.0
        loss = loss_of(self.loss, logits.float(), inputs["targets"], smoothing)
        # The Trainer takes all but the first of a tuple for predictions.
        return (loss, {"loss": loss, "logits": logits}) if return_outputs else loss

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the Trainer's own count walks over all modules at each step, for a figure that nobody reads."""
        return 0

    def keep_average(self) -> None:
        """Give the model what was kept of the averaged weights, where there are any."""
        if self.average is not None:
            self.average.publish()

    def end_loader_processes(self) -> None:
        """End the processes of `training.workers`, if there are any.

        Left to the garbage collector, which breaks their queues first, each of them would be waited for for 5 seconds.
        """
        for loader in self.accelerator._dataloaders:
            loader.base_dataloader._iterator = None

    def _get_learning_rate(self) -> float:
        """Return the highest group's rate, for the log: the first group's is that of the lowest layer."""
        assert self.lr_scheduler is not None  # made by the time of a step
        return float(max(self.lr_scheduler.get_last_lr()))

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.sampler

    def _prepare_inputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        inputs = super()._prepare_inputs(inputs)
        heard, targets = inputs["input_values"], inputs["labels"]
        if not targets.is_floating_point():
            targets = nn.functional.one_hot(targets, self.labels).float()  # [clips, labels]
        settings, is_training = self.settings, self.model.training
        is_cut = is_training and cuts(settings.mixup_alpha, settings.cutmix_alpha)
        is_added = is_training and not is_cut and settings.mixup_alpha > 0
        with torch.no_grad():
            if is_added and settings.mix == "samples":
                heard, targets = mixup(heard, targets, settings.mixup_alpha)
            features = self.front_end(heard)
            if is_added and settings.mix == "features":
                features, targets = mixup(features, targets, settings.mixup_alpha)
            if is_cut:
                time, sounding = getattr(self.front_end, "time", 1), getattr(self.front_end, "sounding", None)
                features, targets = cutmix(features, targets, settings.cutmix_alpha, time, sounding)
            if self.feature_augment is not None and is_training:
                features = self.feature_augment(features, targets)
        return {"input_values": features, "labels": inputs["labels"], "targets": targets}

    def _judge(self, prediction: Any) -> dict[str, float]:
        """Record the probabilities of the validation clips after this epoch, and return the figure that judges it."""
        logits = prediction.predictions
        if not np.isfinite(logits).all():
            raise DivergedError(self._diverged())
        values = probabilities_of(self.loss, torch.from_numpy(logits).float(), self.multi_label).numpy()
        if self.is_world_process_zero() and self.settings.keep == "best":
            epochs.record(self.work, round(self.state.epoch or 0), values)
        if self.multi_label:
            return {MEAN_AVERAGE_PRECISION: mean_average_precision(values, prediction.label_ids)}
        judged = np.arange(self.labels) if self.judged is None else self.judged
        summed = summed_into(values, judged)
        figures: dict[str, float] = BalancedAccuracy().compute(
            predictions=summed.argmax(axis=1), references=judged[prediction.label_ids], labels=summed.shape[1]
        )
        return figures

    def _diverged(self) -> str:
        best = self.state.best_model_checkpoint
        return (
            f"The training diverged in epoch {round(self.state.epoch or 0)}, at a learning rate of "
            f"{self.settings.learning_rate:g}: the network gives values that are no numbers.\n"
            + (f"The best weights so far are in {best}.\n" if best else "There is no earlier epoch to go back to.\n")
            + "Lower `training.learning_rate` of the run in params.yaml."
        )

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Judge the averaged weights, where there are any; each process the same net, the one that is kept."""
        with self.average.in_place() if self.average is not None else nullcontext():
            if torch.distributed.is_initialized():  # the statistics of normalisations are each process's own till now
                for buffer in self.model.buffers():
                    torch.distributed.broadcast(buffer, 0)
            return super().evaluate(*args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.average is not None and self.args.should_save:
            self.average.save(Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        self._restore(resume_from_checkpoint)
        if self.average is not None:
            self.average.load(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        if self.average is None:
            self._restore(str(self.state.best_model_checkpoint))
        else:
            self.average.load(Path(str(self.state.best_model_checkpoint)))

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
