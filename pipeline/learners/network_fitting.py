"""One training of a network by the Trainer, from start or from its last finished epoch to its best weights."""

import math
from pathlib import Path
from typing import Any

from torch import nn
from transformers import EarlyStoppingCallback, ProgressCallback

from pipeline.examples.training_data import TrainingData
from pipeline.learners.batches import Collator, EpochSampler, Positions
from pipeline.learners.callbacks import Curves, Progress, StepSeeds, Watched
from pipeline.learners.classifier import Watch
from pipeline.learners.losses import Loss
from pipeline.learners.resuming import checkpoints_in, drop_broken_checkpoints, early_end
from pipeline.learners.trainer import ClassifierTrainer, arguments_of
from pipeline.learners.training import Training


def fitted(
    model: Any,
    data: TrainingData,
    work: Path,
    live: Path,
    *,
    settings: Training,
    loss: Loss,
    labels: int,
    multi_label: bool,
    front_end: nn.Module,
    feature_augment: nn.Module | None,
    watch: Watch | None = None,
) -> Any:
    """Return `model` with the weights that `NeuralClassifier.fit` promises, and raise what it raises."""
    sampler = EpochSampler(data)
    arguments = arguments_of(settings, work, data.seed, multi_label)
    front_end.to(arguments.device)
    trainer = ClassifierTrainer(
        model=model,
        args=arguments,
        train_dataset=Positions(len(data.train.rows)),
        eval_dataset=Positions(len(data.validation.rows)),
        data_collator=Collator(data),
        callbacks=[StepSeeds(data.seed, sampler), Curves(live)],
        work=work,
        settings=settings,
        loss=loss,
        labels=labels,
        multi_label=multi_label,
        judged=data.judged,
        front_end=front_end,
        feature_augment=feature_augment,
        sampler=sampler,
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Progress())
    if watch is not None:
        trainer.add_callback(Watched(watch))
    if settings.patience is not None:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=settings.patience))
    if arguments.process_index == 0:
        drop_broken_checkpoints(work)
    trainer.accelerator.wait_for_everyone()
    if arguments.process_index == 0 and (warning := _too_short(settings, len(sampler))):
        print(warning, flush=True)
    last = next(reversed(checkpoints_in(work)), None)
    if last is not None and (ended := early_end(last)) is not None:
        arguments.num_train_epochs = ended
    try:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    finally:
        trainer.end_loader_processes()
    trainer.keep_average()
    trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    # The caller deletes `work`, from which a slower process may still be loading the best weights.
    trainer.accelerator.wait_for_everyone()
    return trained


def _too_short(settings: Training, clips: int) -> str:
    """Return a warning of a training that ends before it has its learning rate, "" of others; `clips` has an epoch."""
    steps = settings.epochs * math.ceil(clips / settings.batch_size)
    if math.ceil(steps * settings.warmup_ratio) < steps:
        return ""
    return (
        f"The training has {steps} step{'s' if steps > 1 else ''} in all, and warms up in as many: it never has its "
        "learning rate, and learns next to nothing. In the run's `training`, lower `batch_size` or `warmup_ratio`, or "
        "raise `epochs`."
    )
