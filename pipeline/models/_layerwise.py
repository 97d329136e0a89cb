"""One classifier for each layer of an encoder, and their vote."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.examples.rebalancing import oversample
from pipeline.examples.training_data import Examples, TrainingData, refuse_soft_labels, unaugmented
from pipeline.features.selection import Selecting, Selection
from pipeline.files import read_json, replacing_folder, write_json
from pipeline.learners.classifier import Classifier
from pipeline.learners.curves import live_of

ABOUT = "layers.json"
FIGURES, JUDGED = "figures.json", "validation.npy"
CHUNK_CLIPS = 2_048

Make = Callable[[int, int], Classifier]  # how many features, seed -> an unfitted classifier of [clips, features]
Restore = Callable[[Path], Classifier]


class LayerwiseClassifier:
    """Hidden states float32 [clips, layers, hidden] -> probabilities, by a vote of the layers.

    Each layer selects features and has a classifier of its own. The vote: per label, the sum over layers of the
    probability times that layer's accuracy on the validation clips, divided by the sum of these accuracies.

    `layers` are the numbers of the layers that vote, `places` where they lie in the inputs.
    """

    multi_label = False

    def __init__(
        self,
        labels: list[str],
        layers: list[int],
        places: list[int],
        selecting: Selecting,
        oversampling: bool,
        make: Make | None,
        restore: Restore,
    ) -> None:
        """`make` may be None where nothing is to be fitted; `restore` reads what the layers' `save` wrote."""
        self.labels = labels
        self.layers = layers
        self.places = places
        self.selecting = selecting
        self.oversampling = oversampling
        self._make = make
        self._restore = restore
        self.accuracies: list[float] = []  # of each layer, on the validation clips
        self._selections: list[Selection] = []
        self._voters: list[Classifier] = []

    @property
    def parts(self) -> list[str]:
        """The names of the layers, such as "layer-07"."""
        return [f"layer-{layer:02}" for layer in self.layers]

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Fit layer by layer; killed, the next call with the same `work` goes on with the layer that it was at.

        Raises PipelineError for soft labels.
        """
        refuse_soft_labels(data.train, "Probes")
        self.accuracies, self._selections, self._voters = [], [], []
        judged, curves = [], _Curves(live)
        for layer, place, name in zip(self.layers, self.places, self.parts, strict=True):
            finished = work / name
            if not (finished / FIGURES).exists():
                self._fit_layer(data, layer, place, finished, work / f"{name}-unfinished")
            figures = read_json(finished / FIGURES)
            self.accuracies.append(figures["accuracy"])
            self._selections.append(Selection.restore(finished))
            self._voters.append(self._restore(finished))
            judged.append(np.load(finished / JUDGED, allow_pickle=False))
            curves.add(layer, figures)
            print(f"{name}: {figures['features']} features, validation accuracy {figures['accuracy']:.4f}", flush=True)
        vote = _accuracy(self.combine(np.stack(judged)), data.validation.targets)
        curves.end({"accuracy_of_the_vote": vote, "accuracy_of_the_mean_layer": float(np.mean(self.accuracies))})
        print(f"vote of the layers: validation accuracy {vote:.4f}", flush=True)

    def predict_parts(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [layers, clips, labels], what each layer makes of [clips, layers, hidden]."""
        values = [
            voter.predict_proba(selection(inputs[:, place]))
            for place, selection, voter in zip(self.places, self._selections, self._voters, strict=True)
        ]
        return np.stack(values)

    def combine(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vote float32 [clips, labels] of [layers, clips, labels]."""
        weights = np.array(self.accuracies) if any(self.accuracies) else np.ones(len(self.layers))
        vote: NDArray[np.float32] = np.tensordot(weights / weights.sum(), values, axes=1).astype(np.float32)
        return vote

    def predict_proba(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for float32 [clips, layers, hidden]."""
        return self.combine(self.predict_parts(inputs))

    def save(self, folder: Path) -> None:
        """Write layers.json and a folder a layer."""
        for name, selection, voter in zip(self.parts, self._selections, self._voters, strict=True):
            (folder / name).mkdir()
            selection.save(folder / name)
            voter.save(folder / name)
        about = {"layers": self.layers, "places": self.places, "accuracies": self.accuracies, "labels": self.labels}
        write_json(folder / ABOUT, about)

    @classmethod
    def restore(cls, folder: Path, restore: Restore) -> "LayerwiseClassifier":
        """Return the fitted classifier that `save` wrote; `restore` reads a layer's own."""
        about = read_json(folder / ABOUT)
        restored = cls(about["labels"], about["layers"], about["places"], Selecting(), False, None, restore)
        restored.accuracies = about["accuracies"]
        restored._selections = [Selection.restore(folder / name) for name in restored.parts]
        restored._voters = [restore(folder / name) for name in restored.parts]
        return restored

    def _fit_layer(self, data: TrainingData, layer: int, place: int, finished: Path, work: Path) -> None:
        assert self._make is not None
        seed = int(np.random.SeedSequence([data.seed, layer]).generate_state(1)[0])
        train, validation = (_layer(examples, place) for examples in (data.train, data.validation))
        drawn = data.epoch_indices(0)
        selection = Selection.fit(train[drawn], data.train.targets[drawn], self.selecting)
        train, validation = selection(train), selection(validation)

        def draw(epoch: int) -> NDArray[np.int64]:
            drawn = data.epoch_indices(epoch)
            if not self.oversampling:
                return drawn
            generator = np.random.default_rng([seed, epoch])
            balanced: NDArray[np.int64] = drawn[oversample(data.train.targets[drawn], generator)]
            return balanced

        part = TrainingData(
            train=Examples(train.__getitem__, np.arange(len(train)), data.train.targets),
            validation=Examples(validation.__getitem__, np.arange(len(validation)), data.validation.targets),
            epoch_indices=draw,
            augment=unaugmented,
            seed=seed,
            judged=data.judged,
        )
        work.mkdir(exist_ok=True)
        voter = self._make(len(selection.kept), seed)
        voter.fit(part, work, work / "live")
        values = voter.predict_proba(validation)
        accuracy = _accuracy(values, data.validation.targets)
        with replacing_folder(finished) as folder:
            selection.save(folder)
            voter.save(folder)
            np.save(folder / JUDGED, values)
            write_json(folder / FIGURES, {"accuracy": accuracy, "features": len(selection.kept)})
        shutil.rmtree(work)


def _layer(examples: Examples, place: int) -> NDArray[np.float32]:
    """Return float32 [clips, hidden], one layer of all clips; the other layers are never held at once."""
    chunks = range(0, len(examples.rows), CHUNK_CLIPS)
    return np.concatenate([examples.read(examples.rows[start : start + CHUNK_CLIPS])[:, place] for start in chunks])


def _accuracy(values: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    return float(np.mean(values.argmax(axis=1) == targets))


class _Curves:
    """DVCLive's metrics, with the layer's number in place of the step; written anew each time, also after a kill."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._live = live_of(folder)

    def add(self, layer: int, figures: dict[str, float]) -> None:
        self._live.step = layer
        self._live.log_metric("validation/accuracy", figures["accuracy"])
        self._live.log_metric("features", figures["features"])
        self._live.make_summary()

    def end(self, figures: dict[str, float]) -> None:
        self._live.summary.update(figures)
        self._live.make_summary()
        self._live.end()
