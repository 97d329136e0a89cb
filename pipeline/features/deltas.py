"""Differences over time, as speech recognisers have them beside a spectrogram."""

from torch import Tensor, nn

REACH = 2  # frames on either side


def deltas(spectrograms: Tensor) -> Tensor:
    """Return the slope of each value of [clips, channels, bins, frames] over the five frames around it.

    The regression of the HTK Book (Young et al. 2006, section 5.9); at the ends, the first and last frame are repeated.
    """
    frames = spectrograms.shape[-1]
    padded = nn.functional.pad(spectrograms, (REACH, REACH, 0, 0), mode="replicate")

    def shifted(by: int) -> Tensor:
        return padded[..., REACH + by : REACH + by + frames]

    reach = range(1, REACH + 1)
    slope = sum((by * (shifted(by) - shifted(-by)) for by in reach), start=spectrograms.new_zeros(()))
    return slope / (2 * sum(by**2 for by in reach))
