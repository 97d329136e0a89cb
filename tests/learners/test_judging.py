"""The figure that chooses an epoch, and that it chooses the epoch that is better at what will be judged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.examples.training_data import Examples
from pipeline.files import read_json
from pipeline.learners import epochs
from pipeline.learners.judging import balanced_accuracy, mean_average_precision, summed_into
from pipeline.learners.network import NetClassifier, NetworkSpec
from pipeline.learners.training import Training
from tests import vectors

WORDS, COMMANDS = 31, 10
JUDGED = np.minimum(np.arange(WORDS), COMMANDS)  # ten commands, and 21 words that are all judged as the same label


def test_it_is_the_mean_recall_of_the_labels_that_occur():
    values = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 2]]
    assert balanced_accuracy(values, np.array([0, 0, 0, 1, 1])) == 0.75
    assert balanced_accuracy(values, np.array([0, 0, 0, 0, 1])) == pytest.approx(0.375)


def test_probabilities_are_summed_into_judged_labels_before_the_likeliest_is_taken():
    judged = np.array([0, 1, 1])
    values = np.array([[0.4, 0.3, 0.3], [0.6, 0.3, 0.1]], np.float32)
    assert summed_into(values, judged) == pytest.approx(np.array([[0.4, 0.6], [0.6, 0.4]]))
    assert balanced_accuracy(values, np.array([2, 0]), judged) == 1
    assert balanced_accuracy(values, np.array([2, 0])) == 0.5


def test_average_precision_is_of_the_labels_that_occur():
    targets = np.array([[1, 0], [0, 0]], np.float32)
    assert mean_average_precision(np.array([[0.9, 0.5], [0.1, 0.5]], np.float32), targets) == 1
    assert mean_average_precision(targets, np.zeros((2, 2), np.float32)) == 0


class Scripted(nn.Module):
    """Says of each word what the script has for the epoch, of one step each; its state tells of which epoch it is."""

    epoch: torch.Tensor

    def __init__(self, script: torch.Tensor) -> None:
        super().__init__()
        self.script = script  # [epochs, words], the word that is heard
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("epoch", torch.tensor(0))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.epoch += 1
        heard = self.script[self.epoch - 1][words[:, 0].long()]
        return 5 * nn.functional.one_hot(heard, WORDS).float() + self.weight


def of_word(rows: np.ndarray) -> np.ndarray:
    return rows[:, None].astype(np.float32)


@pytest.mark.parametrize(("judged", "best", "figure"), [(JUDGED, 1, 1.0), (None, 2, 28 / 31)])
def test_an_epoch_that_is_better_only_on_words_that_are_no_command_does_not_win(judged, best, figure, tmp_path):
    words = torch.arange(WORDS)
    # The first epoch knows the commands and takes the other words for each other; the second has three commands wrong.
    first = torch.where(words < COMMANDS, words, COMMANDS + (words - COMMANDS + 1) % (WORDS - COMMANDS))
    second = torch.where(words < 3, (words + 1) % 3, words)
    examples = Examples(of_word, np.arange(WORDS), np.arange(WORDS))
    data = replace(vectors.data(), train=examples, validation=examples, judged=judged)
    data = replace(data, epoch_indices=lambda epoch: np.arange(WORDS))
    net = Scripted(torch.stack([first, second]))
    spec, settings = NetworkSpec([f"word {word}" for word in range(WORDS)], False, {}), Training(epochs=2)
    classifier = NetClassifier(net, spec, nn.Identity(), settings)
    classifier.fit(data, tmp_path / "work", tmp_path / "live")
    assert classifier.model.epoch == best
    assert read_json(tmp_path / "live" / "metrics.json")["best_balanced_accuracy"] == pytest.approx(figure)
    assert epochs.read(tmp_path / "work").argmax(axis=2).tolist() == [first.tolist(), second.tolist()]


def test_judged_labels_are_told_of_every_label(tmp_path):
    with pytest.raises(ValueError, match="judged tells of 2 labels, the classifier has 3"):
        vectors.classifier().fit(vectors.data(judged=np.array([0, 1])), tmp_path / "work", tmp_path / "live")


def test_average_precision_looks_at_the_order_alone():
    values, targets = np.array([[0.3], [0.2], [0.1]], np.float32), np.array([[1], [0], [1]], np.float32)
    assert mean_average_precision(values, targets) == pytest.approx((1 + 2 / 3) / 2)
