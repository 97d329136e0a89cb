import pytest
import torch

from pipeline.features.bag_of_codes import AT_ONCE, BagOfCodes, count_codes
from pipeline.features.spectrogram_vectors import FAMILIES, vectors_of

SIZE = 16


@pytest.fixture(scope="module")
def waveforms() -> torch.Tensor:
    return torch.randn(AT_ONCE + 3, 16_000, generator=torch.Generator().manual_seed(1)) / 10


@pytest.fixture(scope="module")
def bag(waveforms: torch.Tensor) -> BagOfCodes:
    """A bag whose centres are bottlenecks that occur, so that many codes are in use."""
    torch.manual_seed(2)
    bag = BagOfCodes(size=SIZE, shrink=20, width=12, dropout=0.5, mean=-14, std=3).eval()
    with torch.inference_mode():
        for name, vectors in vectors_of(bag.spectrogram(waveforms[:SIZE])).items():
            bag.centres(name).copy_(bag.bottlenecks(name, vectors[:, 0]))
    return bag


def test_counts_sum_to_the_vectors_of_each_family(bag: BagOfCodes, waveforms: torch.Tensor) -> None:
    counts = bag(waveforms)
    assert counts.shape == (AT_ONCE + 3, 4 * SIZE)
    for place, (name, (count, _)) in enumerate(FAMILIES.items()):
        own = counts[:, place * SIZE : (place + 1) * SIZE]
        assert torch.equal(own.sum(dim=1), torch.full((AT_ONCE + 3,), float(count))), name
        assert (own.sum(dim=0) > 0).sum() > 4, name


def test_a_code_is_the_nearest_centre(bag: BagOfCodes, waveforms: torch.Tensor) -> None:
    codes = bag.codes(waveforms[:2])
    start = 0
    for name, vectors in vectors_of(bag.spectrogram(waveforms[:2])).items():
        bottlenecks = bag.bottlenecks(name, vectors)
        assert bottlenecks.shape[-1] == FAMILIES[name][1] // 20
        distances = (bottlenecks[:, :, None] - bag.centres(name)).square().sum(dim=-1)
        nearest = distances.argmin(dim=-1)
        assert torch.equal(codes[:, start : start + nearest.shape[1]], nearest), name
        start += nearest.shape[1]
    # The centres were made of these clips' first vectors: they are found again.
    assert codes[:, 0].tolist() == [0, 1]


def test_the_size_of_a_batch_changes_nothing(bag: BagOfCodes, waveforms: torch.Tensor) -> None:
    assert torch.equal(bag.codes(waveforms)[:AT_ONCE], bag.codes(waveforms[:AT_ONCE]))


def test_counts_know_no_order_within_a_family() -> None:
    codes = torch.randint(0, SIZE, (5, 143), generator=torch.Generator().manual_seed(3))
    shuffled = codes.clone()
    shuffled[:, :120] = codes[:, torch.randperm(120)]
    assert torch.equal(count_codes(codes, SIZE), count_codes(shuffled, SIZE))
    swapped = codes.clone()
    swapped[:, 0], swapped[:, 142] = 1, 2
    assert not torch.equal(count_codes(codes, SIZE), count_codes(swapped, SIZE))
    clip = count_codes(codes, SIZE)[4]
    assert clip[3 * SIZE + codes[4, 142]] == 1
    assert clip[SIZE : 2 * SIZE].tolist() == torch.bincount(codes[4, 120:132], minlength=SIZE).tolist()
