"""Batch normalisation of one row of values a clip, in batches that may hold a single clip."""

from torch import Tensor, nn


class ReadNorm(nn.BatchNorm1d):
    """Batch normalisation of what a net pooled of each clip, [clips, width], before its head; a clip alone as below.

    Without it the head of a residual net learns nothing but the labels' shares for the first four to eight epochs
    (docs/score.md).
    """

    def forward(self, read: Tensor) -> Tensor:
        return normalised(self, read)


def normalised(norm: nn.BatchNorm1d, values: Tensor) -> Tensor:
    """Return the values [clips, width], normalised; in training a single clip by the running figures.

    An epoch's last batch may be one clip, which has no variance.
    """
    if norm.training and len(values) == 1:
        return nn.functional.batch_norm(
            values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
    return nn.BatchNorm1d.forward(norm, values)
