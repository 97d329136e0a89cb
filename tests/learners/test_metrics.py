import socket

import numpy as np
import pytest


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_metrics_give_the_figures_of_rates_without_a_network(no_network):
    from pipeline.learners import metrics

    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    counts = metrics.confusion(truth, predicted, 4)
    pairs = {"references": truth, "predictions": predicted, "labels": 4}
    assert metrics.Accuracy().compute(**pairs) == {"accuracy": float((truth == predicted).mean())}
    assert metrics.Accuracy().compute(**pairs, shares=shares) == {"accuracy": metrics.accuracy(counts, shares)}
    assert metrics.MacroF1().compute(**pairs) == {"macro_f1": metrics.macro_f1(counts)}
    assert metrics.Recalls().compute(**pairs) == {"recalls": metrics.recalls(counts).tolist()}
