"""Two clips as one, with a share of both labels: mixup (Zhang et al. 2018) and CutMix along time (Yun et al. 2019)."""

import numpy as np
import torch
from torch import Tensor


def mixed(
    inputs: Tensor, targets: Tensor, mixup_alpha: float, cutmix_alpha: float, time: int = 1
) -> tuple[Tensor, Tensor]:
    """Return a batch and its targets [clips, labels], each clip mixed with another of the batch.

    `inputs` [clips, ...] has time along its dimension `time`.

    Shares are drawn from Beta(alpha, alpha), one for the batch; where both alphas are above 0, each batch is mixed one
    way or the other. Draws from the global states of torch and NumPy, which the trainer seeds at each step.
    """
    if not mixup_alpha and not cutmix_alpha:
        return inputs, targets
    cut = cutmix_alpha > 0 and (not mixup_alpha or np.random.random() < 0.5)
    alpha = cutmix_alpha if cut else mixup_alpha
    share = float(np.random.beta(alpha, alpha))
    partner = torch.randperm(len(targets)).to(targets.device)
    if cut:
        length = inputs.shape[time]
        taken = round((1 - share) * length)
        start = int(np.random.randint(length - taken + 1))
        stretch = inputs.narrow(time, start, taken)[partner]
        inputs = inputs.clone()
        inputs.narrow(time, start, taken).copy_(stretch)
        share = 1 - taken / length
    else:
        inputs = share * inputs + (1 - share) * inputs[partner]
    return inputs, share * targets + (1 - share) * targets[partner]
