"""Two clips as one, with a share of both labels: mixup (Zhang et al. 2018) and CutMix along time (Yun et al. 2019).

All draw from the global states of torch and NumPy, which the trainer seeds at each step: one share for the whole batch,
from Beta(alpha, alpha), and for each clip a partner.
"""

import numpy as np
import torch
from torch import Tensor


def cuts(mixup_alpha: float, cutmix_alpha: float) -> bool:
    """Return whether a batch is mixed by CutMix; where both alphas are above 0, each second one on average."""
    return cutmix_alpha > 0 and (not mixup_alpha or np.random.random() < 0.5)


def mixup(inputs: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return inputs [clips, ...] and targets [clips, labels], each clip added to another of the batch."""
    share, partner = _drawn(targets, alpha)
    return share * inputs + (1 - share) * inputs[partner], share * targets + (1 - share) * targets[partner]


def cutmix(
    inputs: Tensor, targets: Tensor, alpha: float, time: int = 1, sounding: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return inputs [clips, ...] and targets [clips, labels], each clip with a stretch of another of the batch.

    `time` is the dimension of time, `sounding` how much of its beginning holds sound (None: all): what follows is
    padding, of which a stretch would change the targets and not the sound.
    """
    share, partner = _drawn(targets, alpha)
    length = inputs.shape[time] if sounding is None else min(sounding, inputs.shape[time])
    taken = round((1 - share) * length)
    start = int(np.random.randint(length - taken + 1))
    stretch = inputs.narrow(time, start, taken)[partner]
    inputs = inputs.clone()
    inputs.narrow(time, start, taken).copy_(stretch)
    share = 1 - taken / length
    return inputs, share * targets + (1 - share) * targets[partner]


def _drawn(targets: Tensor, alpha: float) -> tuple[float, Tensor]:
    return float(np.random.beta(alpha, alpha)), torch.randperm(len(targets)).to(targets.device)
