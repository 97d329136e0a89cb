"""Batch normalisation of one row of values a clip, in batches that may hold a single clip."""

from torch import Tensor, nn


class ReadNorm(nn.BatchNorm1d):
    """Batch normalisation of what a net pooled of each clip, [clips, width], before its head.

    In training, a single clip (an epoch's last batch may be one) has no variance, and is normalised by the running
    figures. Without this norm the head of a residual net learns nothing but the labels' shares for the first four to
    eight epochs (docs/score.md).
    """

    def forward(self, read: Tensor) -> Tensor:
        if self.training and len(read) == 1:
            return nn.functional.batch_norm(
                read, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(read)
