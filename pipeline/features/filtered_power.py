"""The power spectrum of short frames through filters, as a few small matrix products: for exported nets.

In onnxruntime, its own DFT takes longer than all else of a small net. A transform of 512 = 32 x 16 points is 16
transforms of 32 points, a turn of each value, and 32 transforms of 16 points (Cooley & Tukey 1965). Of real frames,
half of the 32 tell all: the others are mirrored, and so are their filters.
"""

import numpy as np
import torch
from torch import Tensor, nn

POINTS, ROWS, COLUMNS = 512, 32, 16
KEPT = ROWS // 2 + 1


class FilteredPower(nn.Module):
    """float32 frames [clips, frames, samples], at most 512 of them -> [clips, frames, filters].

    The numbers of `rfft(frames, n=512).abs().square() @ filters`, for `filters` [257, filters].
    """

    inner: Tensor
    turn: Tensor
    outer: Tensor
    mirrored: Tensor

    def __init__(self, filters: Tensor, samples: int) -> None:
        super().__init__()
        self.rows = -(-samples // COLUMNS)  # the others are zeros
        kept, row, column = np.arange(KEPT), np.arange(self.rows), np.arange(COLUMNS)
        inner = np.exp(-2j * np.pi * np.outer(kept, row) / ROWS)
        outer = np.exp(-2j * np.pi * np.outer(column, column) / COLUMNS)
        turn = np.exp(-2j * np.pi * np.outer(kept, column) / POINTS)
        line = kept[:, None] + ROWS * column  # [kept, columns], of the spectrum
        weights = filters.numpy()[np.minimum(line, POINTS - line)]  # [kept, columns, filters]
        # The first and the last of the kept are their own mirror images: these lines are there twice.
        weights[[0, -1]] *= (line[[0, -1]] <= POINTS // 2)[..., None]
        for name, value in (
            ("inner", np.concatenate([inner.real, inner.imag])),
            ("turn", np.stack([turn.real, turn.imag])),
            ("outer", np.block([[outer.real, outer.imag], [-outer.imag, outer.real]])),
            ("mirrored", weights.reshape(KEPT * COLUMNS, -1)),
        ):
            self.register_buffer(name, torch.from_numpy(value).float(), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        if missing := self.rows * COLUMNS - frames.shape[-1]:  # none of the usual 400
            frames = nn.functional.pad(frames, (0, missing))
        parts = self.inner @ frames.unflatten(-1, (self.rows, COLUMNS))  # [clips, frames, 2 x kept, columns]
        real, imaginary = parts[..., :KEPT, :], parts[..., KEPT:, :]
        cosine, sine = self.turn[0], self.turn[1]
        turned = torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)
        spectrum = turned @ self.outer  # [clips, frames, kept, 2 x columns]
        power = spectrum[..., :COLUMNS].square() + spectrum[..., COLUMNS:].square()
        return power.flatten(2) @ self.mirrored
