"""What stands between a net's pooling and its head."""

from torch import Tensor, nn


class ReadNorm(nn.BatchNorm1d):
    """Batch normalisation of what a net pooled of each clip, [clips, width], before its head.

    Without it the head of a residual net learns nothing but the labels' shares for the first four to eight epochs
    (docs/score.md). A single clip, such as an epoch's last, is normalised by the statistics so far.
    """

    def forward(self, read: Tensor) -> Tensor:
        if self.training and len(read) == 1:
            return nn.functional.batch_norm(
                read, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(read)
