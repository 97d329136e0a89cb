"""Networks behind the classifier's shape: `fit` with the Trainer, `predict_proba` in batches."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.examples.training_data import TrainingData, as_float
from pipeline.learners.classifier import Watch
from pipeline.learners.losses import logits_of, loss_named, probabilities_of
from pipeline.learners.memory import enough
from pipeline.learners.training import Training, precision_of

MULTI_LABEL = "multi_label_classification"  # transformers' name for it


class NeuralClassifier:
    """A torch network behind `fit` and `predict_proba`; how it is saved is the subclass's.

    `front_end` turns float32 inputs (`as_float`: waveforms [clips, samples] in -1..1, embeddings [clips, seconds, 128],
    hidden states [clips, layers, hidden]) into the network's input, on its device; `feature_augment(features, targets)`
    follows it while training (SpecAugment). The network returns logits [clips, labels], or an object that has them.
    With `multi_label`, a clip may have several labels: probabilities are independent, mean average precision judges.
    `watch` may be set before `fit`, to see the epochs' figures and to end the training by raising.

    Raises PipelineError for a loss that does not fit.
    """

    def __init__(
        self,
        model: Any,
        labels: list[str],
        front_end: nn.Module,
        training: Training,
        feature_augment: nn.Module | None = None,
        multi_label: bool = False,
    ) -> None:
        self.model = model
        self.labels = labels
        self.front_end = front_end
        self.training = training
        self.feature_augment = feature_augment
        self.multi_label = multi_label
        self.loss = loss_named(training.loss, multi_label)
        self.watch: Watch | None = None

    def fit(self, data: TrainingData, work: Path, live: Path) -> None:
        """Train, and keep the weights of the epoch that does best on the validation clips, as `data.judged` has them.

        Killed at any moment, the next call with the same `work` goes on from the last finished epoch and ends with the
        same weights: every random draw is a function of seed, step and clip, not of what ran before. Each epoch's
        probabilities of the validation clips stay in `work` (pipeline.learners.epochs).

        Raises PipelineError if `training` cannot be done on this device, in its memory or with this many processes, or
        if it diverges; then the checkpoint of the best epoch so far is in `work`.
        """
        self._require_fitting(data)
        # Here, since the Trainer takes seconds to load, for which nothing that only predicts should wait.
        from pipeline.learners.network_fitting import fitted

        with enough(self._cure):
            self.model = fitted(
                self.model,
                data,
                work,
                live,
                settings=self.training,
                loss=self.loss,
                labels=len(self.labels),
                multi_label=self.multi_label,
                front_end=self.front_end,
                feature_augment=self.feature_augment,
                watch=self.watch,
            )

    @torch.inference_mode()
    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [clips, labels] for [clips, *shape], in batches on the device that there is.

        Raises PipelineError for a batch that does not fit into its memory.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(device).eval()
        self.front_end.to(device).eval()
        wanted = self.training.precision
        # A forward pass on a processor is quick enough without rounding its probabilities to three digits, and what a
        # GPU has learnt in half precision is heard there too.
        on_cpu = device.type == "cpu" and wanted in ("fastest", "fp16")
        precision = "fp32" if on_cpu else precision_of(wanted, device)
        batches = []
        dtype, size = torch.float16 if precision == "fp16" else torch.bfloat16, self.training.eval_batch_size
        with enough(self._cure):
            for start in range(0, len(inputs), size):
                features = self.front_end(as_float(torch.from_numpy(inputs[start : start + size]).to(device)))
                with torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32"):
                    logits = logits_of(self.model(features))
                batches.append(probabilities_of(self.loss, logits.float(), self.multi_label).cpu().numpy())
        return np.concatenate(batches) if batches else np.empty((0, len(self.labels)), np.float32)

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and all that `restore` needs into an existing folder."""
        raise NotImplementedError

    @property
    def _cure(self) -> str:
        return (
            f"In the run's `training`, lower batch_size (it is {self.training.batch_size}), "
            f"or, where the net only hears, eval_batch_size (it is {self.training.eval_batch_size})."
        )

    def _require_fitting(self, data: TrainingData) -> None:
        """Raise ValueError for data of another task: exclusive or not, and as many labels."""
        if data.train.multi_label is not self.multi_label:
            raise ValueError(f"the classifier has multi_label {self.multi_label}, its clips {data.train.multi_label}")
        if data.judged is not None and len(data.judged) != len(self.labels):
            raise ValueError(f"judged tells of {len(data.judged)} labels, the classifier has {len(self.labels)}")


class TransformerClassifier(NeuralClassifier):
    """A Hugging Face audio classifier.

    `extractor` is what the checkpoint's own users would preprocess with: it is saved beside the weights, so that the
    folder is a complete checkpoint in the hub's format.
    """

    def __init__(
        self,
        model: Any,  # a PreTrainedModel with a classification head; transformers' own annotations lead nowhere
        front_end: nn.Module,
        extractor: Any,  # a FeatureExtractionMixin
        training: Training,
        feature_augment: nn.Module | None = None,
        multi_label: bool | None = None,
    ) -> None:
        """`multi_label` None reads it from the model's configuration, where `save` leaves it."""
        if multi_label is not None:
            model.config.problem_type = MULTI_LABEL if multi_label else None
        labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
        super().__init__(model, labels, front_end, training, feature_augment, model.config.problem_type == MULTI_LABEL)
        self.extractor = extractor

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and preprocessor_config.json."""
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)
