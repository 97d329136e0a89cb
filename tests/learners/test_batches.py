"""Draws of clips, and loader processes that are spawned."""

import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.learners.batches import Collator, EpochSampler
from tests import vectors


def test_each_epoch_reads_its_own_draw_once_in_a_new_order():
    def draw(epoch):  # two thirds of the clips, others each time
        return np.sort((np.arange(32) + 16 * epoch) % 48)

    data = vectors.data()
    sampler = EpochSampler(type(data)(data.train, data.validation, draw, data.augment, seed=3))
    epochs = []
    for epoch in range(3):
        sampler.epoch = epoch
        items = list(sampler)
        assert {(of, before) for of, _, before in items} == {(epoch, 0)}
        epochs.append([index for _, index, _ in items])
        assert sorted(epochs[-1]) == draw(epoch).tolist()
        assert epochs[-1] != sorted(epochs[-1])
    assert np.argsort(epochs[0]).tolist() != np.argsort(epochs[1]).tolist()


def test_a_training_clip_is_augmented_by_its_own_draw_and_a_validation_clip_is_not():
    def louder(inputs, generators):
        return inputs * np.array([[generator.uniform(2, 3)] for generator in generators], "f")

    collate = Collator(vectors.data(augment=louder))
    one, again = collate([(0, 4, 0), (1, 4, 0)]), collate([(1, 4, 0)])
    assert one["labels"].tolist() == [1, 1]
    assert not np.array_equal(one["input_values"][0], one["input_values"][1])
    assert np.array_equal(one["input_values"][1], again["input_values"][0])
    assert np.array_equal(collate([4])["input_values"], vectors.FEATURES[[4]])


def test_a_clip_that_an_epoch_holds_twice_is_augmented_by_two_draws():
    data = vectors.data(augment=lambda inputs, generators: np.array([[each.random()] for each in generators], "f"))
    sampler = EpochSampler(replace(data, epoch_indices=lambda epoch: np.array([4, 4, 4, 7])))
    assert sorted(sampler) == [(0, 4, 0), (0, 4, 1), (0, 4, 2), (0, 7, 0)]
    draws = Collator(data)(list(sampler))["input_values"].ravel().tolist()
    assert len(set(draws)) == 4
    first = np.float32(np.random.default_rng([data.seed, 0, 4]).random())  # as before any clip came twice
    assert first in draws


SCRIPT = """
    import multiprocessing
    import sys
    from pathlib import Path

    if __name__ == "__main__":
        import torch
        from tests import vectors

        multiprocessing.set_start_method("spawn")
        weights = []
        for workers in (0, 2):
            classifier = vectors.classifier(epochs=1, workers=workers)
            classifier.fit(vectors.data(), Path(sys.argv[1]) / str(workers), Path(sys.argv[1]) / "live")
            weights.append(classifier.model.weight)
        assert torch.equal(*weights)
"""


def test_loader_processes_may_be_spawned_and_change_nothing(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, tmp_path / "script.py", tmp_path]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
