"""What the notebooks show: clips to hear and see, counts, a network's layers. Figures are matplotlib's own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.examples.training_data import as_float
from pipeline.features.log_mel import HOP_SAMPLES, LogMel, frames_of

INK, BLUE, ORANGE = "#1b2733", "#2f77ad", "#e0702f"
MEL_BINS = 64


def spectrograms(samples: NDArray[np.int16], titles: Sequence[str], columns: int = 4) -> Figure:
    """Return waveforms over log-mel spectrograms, one clip a panel; `samples` is int16 [clips, 16000]."""
    front_end = LogMel(num_mel_bins=MEL_BINS, max_length=frames_of(CLIP_SAMPLES), mean=0.0, std=0.5)
    heard = torch.from_numpy(as_float(samples))
    bands = front_end(heard).numpy()  # [clips, frames, bins], natural logarithm of power
    rows = -(-len(samples) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows), dpi=110, layout="constrained")
    panels = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1, 2.2] * rows)
    seconds = np.arange(CLIP_SAMPLES) / SAMPLE_RATE_HZ
    ends = (0, frames_of(CLIP_SAMPLES) * HOP_SAMPLES / SAMPLE_RATE_HZ, 0, MEL_BINS)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        wave, picture = panels[2 * row][column], panels[2 * row + 1][column]
        if place >= len(samples):
            wave.axis("off")
            picture.axis("off")
            continue
        wave.plot(seconds, heard[place], color=BLUE, linewidth=0.5)
        wave.set(xlim=(0, 1), ylim=(-1, 1), xticks=[], yticks=[])
        wave.set_title(titles[place], fontsize=9, color=INK, loc="left")
        picture.imshow(bands[place].T, origin="lower", aspect="auto", extent=ends, cmap="magma")
        picture.set(xlim=(0, 1), xticks=[0, 0.5, 1], yticks=[])
        picture.tick_params(labelsize=7)
    return figure


def bars(counts: Mapping[str, Mapping[str, float]], unit: str) -> Figure:
    """Return horizontal bars: one group a label, one bar a series of `counts` ({series: {label: value}})."""
    counts = {name: dict(series) for name, series in counts.items()}  # a pandas.Series would iterate over its values
    labels = list(dict.fromkeys(label for series in counts.values() for label in series))
    figure = Figure(figsize=(7.5, 0.8 + 0.34 * len(labels)), dpi=110, layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(counts)
    for place, ((name, series), color) in enumerate(zip(counts.items(), [BLUE, ORANGE, "#7b8794"], strict=False)):
        at = np.arange(len(labels)) + (place - (len(counts) - 1) / 2) * height
        drawn = axes.barh(at, [series.get(label, 0) for label in labels], height=height, color=color, label=name)
        axes.bar_label(drawn, fmt="{:,.0f}", fontsize=7.5, padding=2)
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(unit, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str) -> Figure:
    """Return one line a name of `lines` ({name: (x values, y values)})."""
    figure = Figure(figsize=(7.5, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for name, (at, values) in lines.items():
        axes.plot(at, values, label=name, linewidth=1.6)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.grid(color="#e3e8ee", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def summary(network: nn.Module, features: torch.Tensor, depth: int = 2) -> pandas.DataFrame:
    """Return a row for each part of the network down to `depth`, in the order they ran: part, kind, output, parameters.

    `features` is a batch of what the network takes; it is run once. Parts without parameters are left out.
    """
    parts: list[dict[str, Any]] = []
    hooks = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output if isinstance(output, torch.Tensor) else next(iter(_tensors(output)), None)
            shape = "" if first is None else " x ".join(str(length) for length in first.shape[1:])
            size = sum(parameter.numel() for parameter in module.parameters())
            parts.append({"part": name, "kind": type(module).__name__, "output": shape, "parameters": size})

        return hook

    for name, module in network.named_modules():
        if name and name.count(".") < depth and any(True for _ in module.parameters()):
            hooks.append(module.register_forward_hook(note(name)))
    try:
        with torch.inference_mode():
            network.eval()(features)
    finally:
        for hook in hooks:
            hook.remove()
    return pandas.DataFrame(parts)


def drawing(parts: pandas.DataFrame, title: str) -> Figure:
    """Return the parts of `summary` as boxes from input to output; a box is as long as its share of the parameters."""
    height = 0.42 * len(parts) + 0.8
    figure = Figure(figsize=(8, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    largest = max(1, int(parts["parameters"].max()))
    for place, part in enumerate(parts.itertuples()):
        indent = 0.25 * str(part.part).count(".")
        length = 0.4 + 5 * int(part.parameters) / largest
        axes.barh(place, length, left=indent, height=0.66, color=BLUE if indent else ORANGE, alpha=0.85)
        text = f"{part.part}   {part.kind}   {part.output}   {part.parameters:,}"
        axes.text(indent + length + 0.08, place, text, va="center", fontsize=8, color=INK)
    axes.set_xlim(0, 11)
    axes.invert_yaxis()
    axes.axis("off")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    return figure


def _tensors(output: Any) -> list[torch.Tensor]:
    """Return the tensors in what a module of transformers gave: a tuple, or an object that acts like a mapping."""
    values = output.values() if hasattr(output, "values") else output if isinstance(output, (tuple, list)) else ()
    return [value for value in values if isinstance(value, torch.Tensor)]
