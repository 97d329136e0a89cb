"""What happens beside the steps of a training: seeds, curves, and a line an epoch."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dvclive import Live
from transformers import ProgressCallback, TrainerCallback

from pipeline.learners.batches import EpochSampler
from pipeline.learners.classifier import Watch
from pipeline.learners.curves import live_of
from pipeline.learners.judging import BALANCED_ACCURACY, MEAN_AVERAGE_PRECISION

JUDGES = (BALANCED_ACCURACY, MEAN_AVERAGE_PRECISION)
# The Trainer's names in its log, and ours.
CURVES = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
    "eval_loss": "validation/loss",
    **{f"eval_{judge}": f"validation/{judge}" for judge in JUDGES},
}


class StepSeeds(TrainerCallback):
    """Seeds dropout, mixup and masks at each step, so that a resumed training draws what the first one would have."""

    def __init__(self, seed: int, sampler: EpochSampler) -> None:
        self.seed = seed
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Accelerate does not pass the epoch on to a sampler that it has sharded over processes.
        self.sampler.epoch = round(state.epoch or 0)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seeds = np.random.SeedSequence([self.seed, state.global_step, args.process_index]).generate_state(2)
        # torch.manual_seed writes down the whole call stack each time, for a GPU that may be used later.
        torch.default_generator.manual_seed(int(seeds[0]))
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(int(seeds[0]))
        np.random.seed(int(seeds[1]))  # transformers' own SpecAugment draws from the global state


class Watched(TrainerCallback):
    """Tells `watch` the figure of each epoch, before the epoch's checkpoint is written."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        (figure,) = (metrics[f"eval_{judge}"] for judge in JUDGES if f"eval_{judge}" in metrics)
        self.watch(round(state.epoch or 0), figure)


class Curves(TrainerCallback):
    """DVCLive metrics and curves, without what differs from run to run (times), rebuilt from the log on resuming.

    DVCLive's own callback would append a killed epoch's points a second time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: Live | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.live = live_of(self.folder)
            for entry in state.log_history:
                self._write(entry)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self._write({**logs, "epoch": state.epoch})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.live is not None:
            for judge in JUDGES:
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


class Progress(ProgressCallback):
    """The Trainer's bar, with one readable line an epoch."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        judged = {judge: logs[f"eval_{judge}"] for judge in JUDGES if f"eval_{judge}" in logs} if logs else {}
        if self.training_bar is not None and logs and judged:
            losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
            self.training_bar.write(
                f"epoch {round(state.epoch):>3}  training loss {losses[-1]:.3f}  "
                f"validation loss {logs['eval_loss']:.3f}  "
                + "  ".join(f"{judge.replace('_', ' ')} {value:.4f}" for judge, value in judged.items())
            )
