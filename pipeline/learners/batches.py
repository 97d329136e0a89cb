"""From clips to batches: which clips an epoch draws, and what the network is given of them."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pipeline.examples.training_data import TrainingData, as_float

# (epoch, index of a training clip, how often the epoch had it before), or the index of a validation clip.
Item = tuple[int, int, int] | int


class Positions(torch.utils.data.Dataset[Item]):
    """Hands the sampler's items to the collator, which reads, augments and stacks a whole batch at once."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: Item) -> Item:
        return item


class EpochSampler(torch.utils.data.Sampler[tuple[int, int, int]]):
    """Yields the items of an epoch's draw, shuffled by seed and epoch alone."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data
        self.epoch = 0
        self.length = len(data.epoch_indices(0))

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        drawn = self.data.epoch_indices(self.epoch)
        before: Counter[int] = Counter()
        for index in np.random.default_rng([self.data.seed, self.epoch]).permutation(drawn).tolist():
            yield self.epoch, index, before[index]
            before[index] += 1


class Collator:
    """Items -> a batch: inputs float32 [clips, *shape] and labels, the targets of the clips as `Examples` has them.

    A training clip is augmented by a draw of its own. Loader processes that are spawned get a pickled copy, so it holds
    what it needs and nothing else.
    """

    def __init__(self, data: TrainingData) -> None:
        self.train = data.train
        self.validation = data.validation
        self.augment = data.augment
        self.seed = data.seed

    def __call__(self, items: list[Item]) -> dict[str, Tensor]:
        if isinstance(items[0], tuple):
            drawn = [item for item in items if isinstance(item, tuple)]
            at = np.array([index for _, index, _ in drawn])
            # numpy fills up a seed of fewer than four numbers with zeros: a first draw has the seed of (epoch, index).
            generators = [np.random.default_rng([self.seed, *item]) for item in drawn]
            examples = self.train
            inputs = self.augment(examples.read(examples.rows[at]), generators)
        else:
            at = np.array(items)
            examples = self.validation
            inputs = as_float(examples.read(examples.rows[at]))
        return {"input_values": torch.from_numpy(inputs), "labels": torch.from_numpy(examples.targets[at])}
