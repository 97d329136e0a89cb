"""Loudness taken away: each clip is brought to one level, where a net is surest of it."""

from torch import Tensor, nn

MOST_RAISED = 10.0  # 20 dB: what is softer yet is hardly speech, and a silent second stays one


def levelled(waveforms: Tensor, level_db: float) -> Tensor:
    """Return [clips, samples] whose root mean square is `level_db` decibels of full scale (below 0: softer).

    No clip is raised by more than 20 dB.
    """
    now = waveforms.square().mean(dim=-1, keepdim=True).sqrt()
    wanted = 10 ** (level_db / 20)
    return waveforms * (wanted / now.clamp(min=wanted / MOST_RAISED))


class Levelled(nn.Module):
    """A front end that hears each of waveforms [clips, samples] at one level."""

    def __init__(self, front_end: nn.Module, level_db: float) -> None:
        super().__init__()
        self.front_end = front_end
        self.level_db = level_db

    def forward(self, waveforms: Tensor) -> Tensor:
        features: Tensor = self.front_end(levelled(waveforms, self.level_db))
        return features
