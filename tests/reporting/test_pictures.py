import io

import numpy as np
import pandas
import pytest
import torch
from torch import nn

from pipeline.reporting import pictures


def drawn(figure):
    """Render it, and return how many colours the picture has."""
    file = io.BytesIO()
    figure.savefig(file, format="rgba")
    pixels = np.frombuffer(file.getvalue(), np.uint32)
    return len(np.unique(pixels))


def test_a_tone_is_one_bright_band_of_its_spectrogram():
    seconds = np.arange(16_000) / 16_000
    tone = (8000 * np.sin(2 * np.pi * 1000 * seconds)).astype(np.int16)
    figure = pictures.spectrograms(np.stack([tone, np.zeros_like(tone), tone]), ["tone", "silence", "again"], columns=2)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title] == ["tone", "silence", "again"]
    image = next(axes.images[0].get_array() for axes in figure.axes if axes.images)
    brightest = image.argmax(axis=0)
    assert image.shape == (64, 98)
    assert np.ptp(brightest) == 0
    assert drawn(figure) > 100


def test_bars_stand_for_each_label_of_each_series():
    figure = pictures.bars(
        {"before": pandas.Series({"yes": 10, "unknown": 90}), "after": {"yes": 10, "silence": 5}}, "clips"
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["yes", "unknown", "silence"]
    assert [[bar.get_width() for bar in series] for series in axes.containers] == [[10, 90, 0], [10, 0, 5]]
    assert drawn(figure) > 10


def test_curves_have_a_name_each():
    figure = pictures.curves({"ast": ([0, 1], [0.5, 0.7]), "vote": ([0, 1], [0.6, 0.8])}, "threshold", "accuracy")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["ast", "vote"]


@pytest.fixture
def network():
    return nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 3))


def test_a_summary_counts_the_parameters_of_each_part_in_the_order_they_run(network):
    parts = pictures.summary(network, torch.zeros(2, 4))
    assert parts["part"].tolist() == ["0.0", "0", "1"]
    assert parts["kind"].tolist() == ["Linear", "Sequential", "Linear"]
    assert parts["output"].tolist() == ["8", "8", "3"]
    assert parts["parameters"].tolist() == [40, 40, 27]
    assert not network[0]._forward_hooks


def test_a_drawing_has_a_box_for_each_part(network):
    parts = pictures.summary(network, torch.zeros(2, 4))
    figure = pictures.drawing(parts, "small")
    assert len(figure.axes[0].patches) == 3
    assert "Linear   3   27" in figure.axes[0].texts[2].get_text()
