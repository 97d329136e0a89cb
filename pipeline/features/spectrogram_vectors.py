"""A second of spectrogram as 143 vectors of four families (Verma 2021): small patches to the whole at a glance."""

from torch import Tensor, nn

BANDS, FRAMES = 96, 100
PATCH_BANDS, PATCH_FRAMES = 8, 10
# How many vectors a second, and how long each is.
FAMILIES: dict[str, tuple[int, int]] = {
    "patches": (120, 80),  # 8 bands x 10 frames
    "bands": (12, 800),  # 8 bands, the whole second
    "envelopes": (10, 960),  # all bands, 10 frames
    "whole": (1, 80),  # everything, shrunk to 8 x 10
}
VECTORS = sum(count for count, _ in FAMILIES.values())


def vectors_of(spectrograms: Tensor) -> dict[str, Tensor]:
    """Cut spectrograms [clips, 96, 100] into vectors: family -> [clips, count, length], in the order of FAMILIES.

    Raises ValueError for another shape.
    """
    if spectrograms.shape[1:] != (BANDS, FRAMES):
        raise ValueError(f"expected [clips, {BANDS}, {FRAMES}], got {list(spectrograms.shape)}")
    rows, columns = BANDS // PATCH_BANDS, FRAMES // PATCH_FRAMES
    grid = spectrograms.unflatten(2, (columns, PATCH_FRAMES)).unflatten(1, (rows, PATCH_BANDS))
    # grid: [clips, row, band, column, frame]
    return {
        "patches": grid.transpose(2, 3).flatten(3).flatten(1, 2),
        "bands": grid.flatten(2),
        "envelopes": grid.permute(0, 3, 1, 2, 4).flatten(2),
        # Antialiased, as image libraries shrink: without, 4 x 4 of every 12 x 10 values would count.
        "whole": nn.functional.interpolate(
            spectrograms[:, None], (PATCH_BANDS, PATCH_FRAMES), mode="bicubic", antialias=True
        ).flatten(2),
    }
