"""Estimators of scikit-learn behind the classifier's shape, for clips that are vectors of features."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from skops import io as skops

from pipeline.errors import PipelineError
from pipeline.examples.training_data import TrainingData, refuse_soft_labels
from pipeline.files import read_json, write_json

FILE, ABOUT = "estimator.skops", "estimator.json"
# A pickle runs whatever code is in it. skops rebuilds arrays and scikit-learn's own types, and of others these alone.
TRUSTED = ["sklearn.tree._tree.Tree", "xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"]
LOG_TEMPERATURES = (-3.0, 3.0)


class EstimatorClassifier:
    """`estimator` learns float32 [clips, features]; labels that no training clip has get the probability 0.

    Where it gives scores and no probabilities (support vector machines), they are the softmax of the scores over a
    temperature that suits the validation clips best (Guo et al. 2017, section 4.2); the largest stays the largest.
    """

    multi_label = False

    def __init__(
        self,
        estimator: Any,
        labels: list[str],
        classes: NDArray[np.int64] | None = None,
        temperature: float | None = None,
    ) -> None:
        self.estimator = estimator
        self.labels = labels
        self.classes = classes  # int64 [learnt labels], their places in `labels`
        self.temperature = temperature

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Learn the clips of epoch 0. Raises PipelineError if all of them have the same label, or for soft labels."""
        refuse_soft_labels(data.train, "Estimators of scikit-learn")
        drawn = data.epoch_indices(0)
        self.classes, codes = np.unique(data.train.targets[drawn], return_inverse=True)
        if len(self.classes) < 2:
            raise PipelineError(
                f"All training clips have the label '{self.labels[self.classes[0]]}': there is nothing to tell apart."
            )
        self.estimator.fit(data.train.read(data.train.rows[drawn]), codes)
        if not hasattr(self.estimator, "predict_proba"):
            judged = np.isin(data.validation.targets, self.classes)
            scores = self._scores(data.validation.read(data.validation.rows[judged]))
            truth = np.searchsorted(self.classes, data.validation.targets[judged])
            self.temperature = temperature_of(scores, truth)

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for float32 [clips, features]."""
        values = np.zeros((len(inputs), len(self.labels)), np.float32)
        if len(inputs):
            if self.temperature is None:
                values[:, self.classes] = self.estimator.predict_proba(inputs)
            else:
                values[:, self.classes] = softmax(self._scores(inputs) / self.temperature, axis=1)
        return values

    def _scores(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return float64 [clips, learnt labels]."""
        scores = self.estimator.decision_function(inputs)
        return scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1)

    def save(self, folder: Path) -> None:
        """Write estimator.skops (no pickle) and estimator.json."""
        assert self.classes is not None
        (folder / FILE).write_bytes(_same_bytes(skops.dumps(self.estimator, compression=zipfile.ZIP_DEFLATED)))
        about = {"labels": self.labels, "classes": self.classes.tolist(), "temperature": self.temperature}
        write_json(folder / ABOUT, about)

    @classmethod
    def restore(cls, folder: Path) -> Self:
        """Return what `save` wrote; a file with types that it does not write is refused."""
        estimator = skops.load(folder / FILE, trusted=TRUSTED)
        about = read_json(folder / ABOUT)
        return cls(estimator, about["labels"], np.array(about["classes"], np.int64), about["temperature"])


def temperature_of(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the temperature, e^-3 to e^3, by which the softmax of `scores` [clips, labels] makes `truth` likeliest."""

    def surprise(log_temperature: float) -> float:
        logs = log_softmax(scores / np.exp(log_temperature), axis=1)
        return -float(logs[np.arange(len(truth)), truth].mean())

    if len(truth) == 0:
        return 1.0
    return float(np.exp(minimize_scalar(surprise, bounds=LOG_TEMPERATURES, method="bounded").x))


def _same_bytes(dumped: bytes) -> bytes:
    """Return a skops file in which the same estimator has the same bytes.

    skops (0.16) calls objects and files by their addresses in memory or at random, and notes the time: DVC would run
    all that comes after a training again.
    """
    source = zipfile.ZipFile(io.BytesIO(dumped))
    schema = source.read("schema.json").decode()
    files = {name: f"{place}{Path(name).suffix}" for place, name in enumerate(_mentioned(r'"file": "([^"]+)"', schema))}
    places = {name: str(place) for place, name in enumerate(_mentioned(r'"__id__": (\d+)', schema))}
    schema = re.sub(r'"file": "([^"]+)"', lambda found: f'"file": "{files[found[1]]}"', schema)
    schema = re.sub(r'"__id__": (\d+)', lambda found: f'"__id__": {places[found[1]]}', schema)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for old, new in files.items():
            archive.writestr(_undated(new), source.read(old))
        archive.writestr(_undated("schema.json"), schema)
    return target.getvalue()


def _mentioned(pattern: str, text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(pattern, text)))


def _undated(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
