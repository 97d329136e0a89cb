"""Fitting: what is learned, from which clips, and that no interruption changes it. Clips are tones and noise."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from pipeline import metrics, models
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData
from pipeline.files import read_json
from pipeline.learners.trainer import ClassifierTrainer
from pipeline.learners.training import Training

LABELS = ["low", "high", "noise"]
MODELS = ["ast", "wav2vec2"]
TRICKS = {"mixup_alpha": 0.5, "label_smoothing": 0.1}


class InterruptionError(Exception):
    """Stands for a kill."""


def sounds(clips: int, seed: int) -> Examples:
    """A third each of low tones, high tones and noise, in a known order."""
    rng = np.random.default_rng(seed)
    targets = np.arange(clips) % 3
    seconds = np.arange(16_000) / 16_000
    hertz = np.where(targets == 0, rng.uniform(200, 400, clips), rng.uniform(2000, 3000, clips))
    waveforms = np.sin(2 * np.pi * hertz[:, None] * seconds)
    waveforms[targets == 2] = rng.uniform(-1, 1, (np.sum(targets == 2), 16_000))
    samples = (waveforms * rng.uniform(2000, 20_000, (clips, 1))).astype(np.int16)
    # The corpus holds other clips too, so row numbers are no positions.
    return Examples(read=lambda rows: samples[rows - 100], rows=np.arange(clips) + 100, targets=targets)


def louder(samples: np.ndarray, generators: list[np.random.Generator]) -> np.ndarray:
    return plain(samples) * np.array([[generator.uniform(0.5, 1)] for generator in generators], "f")


def plain(samples: np.ndarray, generators: object = None) -> np.ndarray:
    return samples.astype(np.float32) / 32768


TRAIN, VALIDATION = sounds(48, seed=1), sounds(30, seed=2)
DATA = TrainingData(TRAIN, VALIDATION, epoch_indices=lambda epoch: np.arange(48), augment=louder, seed=3)


def interrupted_at(batch: int, data: TrainingData = DATA) -> TrainingData:
    """Return the data, interrupted when its training clips are read for the `batch`-th time."""
    reads = iter(range(1, 10_000))

    def read(rows: np.ndarray) -> np.ndarray:
        if next(reads) == batch:
            raise InterruptionError
        return TRAIN.read(rows)

    return replace(data, train=replace(data.train, read=read))


@pytest.fixture
def build(tiny_params):
    """`build("ast", patience=2)`: an unfitted classifier, always with the same weights."""

    def build(name, **training):
        torch.manual_seed(5)
        model = models.find(name)
        settings = Training(**{"epochs": 4, "batch_size": 16, "learning_rate": 0.003, **training})
        parameters = model.Params(config=tiny_params["runs"][name]["parameters"]["config"])
        return model.build(parameters, settings, LABELS, TRAIN, store=None)

    return build


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """`uninterrupted(build, "ast")`: weights, folder of curves and record of epochs of an undisturbed training."""
    done = {}

    def train(build, name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            classifier = build(name, **TRICKS)
            classifier.fit(DATA, folder / "work", folder / "live")
            done[name] = weights(classifier), folder / "live", files(folder / "work" / "epochs")
        return done[name]

    return train


def weights(classifier):
    return {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}


def differing(one, other):
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def points(live, curve):
    rows = [line.split("\t") for line in (live / "plots" / "metrics" / f"{curve}.tsv").read_text().splitlines()[1:]]
    return [int(step) for step, _ in rows], [float(value) for _, value in rows]


def test_a_batch_that_does_not_fit_says_what_to_lower(build, tmp_path, monkeypatch):
    """There is no GPU here to fill; torch raises the same error from anywhere in a step."""
    classifier = build("ast", eval_batch_size=7)

    def forward(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 79 GiB")

    monkeypatch.setattr(classifier.front_end, "forward", forward)
    told = r"GPU: CUDA out of memory\. Tried.*GiB\.\n.*batch_size \(it is 16\).*eval_batch_size \(it is 7\)"
    with pytest.raises(PipelineError, match=told):
        classifier.fit(DATA, tmp_path / "work", tmp_path / "live")
    with pytest.raises(PipelineError, match=told):
        classifier.predict_proba(TRAIN.read(TRAIN.rows[:3]))


@pytest.mark.parametrize("name", MODELS)
def test_interrupted_anywhere_it_ends_with_the_same_weights_and_curves(
    name, build, uninterrupted, tmp_path, monkeypatch
):
    expected, live, recorded = uninterrupted(build, name)
    work, again = tmp_path / "work", tmp_path / "live"

    def attempt(data):
        classifier = build(name, **TRICKS)
        classifier.fit(data, work, again)
        return classifier

    with pytest.raises(InterruptionError):  # in the first epoch of three batches, before there is a checkpoint
        attempt(interrupted_at(2))
    assert not list(work.glob("checkpoint-*"))

    whole = ClassifierTrainer._save_rng_state

    def save(self, folder):
        if folder.endswith("-6"):
            raise InterruptionError
        whole(self, folder)

    with monkeypatch.context() as patch:  # while the second checkpoint is written
        patch.setattr(ClassifierTrainer, "_save_rng_state", save)
        with pytest.raises(InterruptionError):
            attempt(DATA)
    assert {path.name for path in work.glob("checkpoint-*")} == {"checkpoint-3", "checkpoint-6"}
    assert (work / "checkpoint-6" / "model.safetensors").exists()

    with pytest.raises(InterruptionError):  # in the last but one epoch, after the second was done again
        attempt(interrupted_at(5))
    assert (work / "checkpoint-6" / "trainer_state.json").exists()

    assert differing(weights(attempt(DATA)), expected) == []
    assert files(again) == files(live)
    assert files(work / "epochs") == recorded
    assert len(recorded) == 4
    assert points(live, "validation/balanced_accuracy")[0] == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", ["no state", "half a state", "half the weights", "no weights"])
def test_a_half_written_checkpoint_is_dropped(damage, build, uninterrupted, tmp_path):
    expected, *_ = uninterrupted(build, "ast")
    with pytest.raises(InterruptionError):
        build("ast", **TRICKS).fit(interrupted_at(5), tmp_path / "work", tmp_path / "live")
    checkpoint = tmp_path / "work" / "checkpoint-3"
    torn = checkpoint / ("trainer_state.json" if damage.endswith("state") else "model.safetensors")
    half = torn.read_bytes()[: torn.stat().st_size // 2]
    torn.unlink()
    if damage.startswith("half"):
        torn.write_bytes(half)
    # Were it used, its optimiser would know nothing, and the weights would come out different or not at all.
    (checkpoint / "optimizer.pt").unlink()
    classifier = build("ast", **TRICKS)
    classifier.fit(DATA, tmp_path / "work", tmp_path / "live")
    assert differing(weights(classifier), expected) == []


def test_the_seed_decides(build, uninterrupted, tmp_path):
    expected, *_ = uninterrupted(build, "ast")
    for seed, same in ((DATA.seed, True), (DATA.seed + 1, False)):
        classifier = build("ast", **TRICKS)
        classifier.fit(replace(DATA, seed=seed), tmp_path / f"work-{seed}", tmp_path / f"live-{seed}")
        changed = differing(weights(classifier), expected)
        assert (changed == []) is same
    assert len(changed) == len(expected)


def test_loader_processes_change_nothing(build, uninterrupted, tmp_path):
    expected, *_ = uninterrupted(build, "ast")
    classifier = build("ast", workers=2, **TRICKS)
    classifier.fit(DATA, tmp_path / "work", tmp_path / "live")
    assert multiprocessing.active_children() == []
    assert differing(weights(classifier), expected) == []


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_and_reports_the_accuracy_that_it_reaches(name, build, tmp_path):
    classifier = build(name, epochs=12, learning_rate=0.01, label_smoothing=0.1)
    unbalanced = replace(VALIDATION, rows=VALIDATION.rows[:20], targets=VALIDATION.targets[:20])
    classifier.fit(replace(DATA, validation=unbalanced), tmp_path / "work", tmp_path / "live")
    probabilities = classifier.predict_proba(VALIDATION.read(unbalanced.rows))
    recalls = metrics.recalls(metrics.confusion(unbalanced.targets, probabilities.argmax(axis=1), 3))
    assert recalls.mean() > 0.8
    figures = read_json(tmp_path / "live" / "metrics.json")
    assert figures["best_balanced_accuracy"] == pytest.approx(recalls.mean())
    assert figures["step"] == 12
    steps, accuracies = points(tmp_path / "live", "validation/balanced_accuracy")
    assert steps == list(range(1, 13))
    # The first epoch to reach the best accuracy is kept; its loss, unsmoothed, is that of the weights we have.
    best = int(np.argmax(accuracies))
    loss = -np.log(probabilities[np.arange(20), unbalanced.targets]).mean()
    assert points(tmp_path / "live", "validation/loss")[1][best] == pytest.approx(loss, rel=1e-3)


def souring(epochs_of_truth: int) -> TrainingData:
    """A data whose later epochs teach wrong labels, so that the accuracy falls."""
    targets = np.concatenate([TRAIN.targets, (TRAIN.targets + 1) % 3])
    both = replace(TRAIN, rows=np.tile(TRAIN.rows, 2), targets=targets)
    return replace(DATA, train=both, epoch_indices=lambda epoch: np.arange(48) + 48 * (epoch >= epochs_of_truth))


@pytest.mark.parametrize("name", MODELS)
def test_patience_ends_it_and_every_tensor_of_the_best_epoch_comes_back(name, build, tmp_path):
    settings = {"epochs": 12, "learning_rate": 0.01, "patience": 2, "schedule": "constant_with_warmup"}
    classifier = build(name, **settings)
    classifier.fit(souring(4), tmp_path / "work", tmp_path / "live")
    steps, accuracies = points(tmp_path / "live", "validation/balanced_accuracy")
    best = int(np.argmax(accuracies)) + 1
    assert accuracies[best - 1] > accuracies[-1]
    assert len(steps) == best + 2 < 12

    saved = {int(path.name.split("-")[1]) // 3: path for path in (tmp_path / "work").glob("checkpoint-*")}
    assert sorted(saved) == [best, best + 2]
    (tmp_path / "model").mkdir()
    classifier.save(tmp_path / "model")
    kept, last = (load_file(folder / "model.safetensors") for folder in (saved[best], saved[best + 2]))
    assert differing(load_file(tmp_path / "model" / "model.safetensors"), kept) == []
    assert len(differing(kept, last)) == len(kept)

    # Killed while patience was running out, it knows how much was left.
    with pytest.raises(InterruptionError):
        build(name, **settings).fit(interrupted_at(3 * best + 5, souring(4)), tmp_path / "torn", tmp_path / "again")
    for work, data in (
        ("torn", souring(4)),
        # Killed before the model was published, nothing is left to learn, and no clip is read.
        ("work", interrupted_at(1, souring(4))),
    ):
        resumed = build(name, **settings)
        resumed.fit(data, tmp_path / work, tmp_path / "again")
        assert differing(weights(resumed), weights(classifier)) == []
        assert files(tmp_path / "again") == files(tmp_path / "live")


def test_each_epoch_reads_its_own_draw_once_in_a_new_order(build, tmp_path):
    read = []

    def noting(rows):
        read.extend(rows.tolist())
        return TRAIN.read(rows)

    def draw(epoch):  # two thirds of the clips, others each time
        return np.sort((np.arange(32) + 16 * epoch) % 48)

    data = replace(DATA, train=replace(TRAIN, read=noting), epoch_indices=draw)
    build("ast", epochs=3).fit(data, tmp_path / "work", tmp_path / "live")
    epochs = np.reshape(read, (3, 32)) - 100
    for epoch, rows in enumerate(epochs):
        assert sorted(rows) == draw(epoch).tolist()
        assert rows.tolist() != sorted(rows)
    assert epochs[0].argsort().tolist() != epochs[1].argsort().tolist()


@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_is_a_checkpoint_that_transformers_reads_alone(name, build, tmp_path):
    classifier = build(name, eval_batch_size=7)
    classifier.save(tmp_path)
    samples = VALIDATION.read(VALIDATION.rows)
    probabilities = classifier.predict_proba(samples)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)

    model = AutoModelForAudioClassification.from_pretrained(tmp_path)
    extractor = AutoFeatureExtractor.from_pretrained(tmp_path)
    inputs = extractor(list(samples.astype(np.float32) / 32768), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        expected = model.eval()(inputs["input_values"]).logits.softmax(dim=-1).numpy()
    assert np.abs(probabilities - expected).max() < 1e-4
    assert [model.config.id2label[i] for i in range(3)] == LABELS
    assert not (tmp_path / "pytorch_model.bin").exists()

    restored = models.find(name).restore(tmp_path, Training())
    assert restored.labels == LABELS
    assert np.allclose(restored.predict_proba(samples), probabilities, atol=1e-6)
    assert restored.predict_proba(samples[:0]).shape == (0, 3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks the processor")
def test_bf16_trains_and_predicts_on_the_processor(build, tmp_path):
    classifier = build("ast", epochs=1, precision="bf16")
    classifier.fit(DATA, tmp_path / "work", tmp_path / "live")
    half = classifier.predict_proba(VALIDATION.read(VALIDATION.rows))
    classifier.training = Training(precision="fp32")
    full = classifier.predict_proba(VALIDATION.read(VALIDATION.rows))
    assert 0 < np.abs(half - full).max() < 0.05
