"""What is heard of several labels at once."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from pipeline.listening.hearing import heard


@pytest.mark.parametrize(("multi_label", "expected"), [(False, 0.7), (True, 0.4)])
def test_probabilities_of_labels_that_exclude_each_other_add_up(multi_label, expected, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    ear = SimpleNamespace(
        hear=lambda block: np.array([[0.3, 0.3, 0.4]], np.float32), hop_samples=8_000, multi_label=multi_label
    )
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert np.concatenate(list(heard(file, ear, [0, 2]))) == pytest.approx(expected)
