"""How much longer than its arithmetic a network takes to be trained and heard, and how fast it is beside its peers."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.benchmarks.rounds import Rounds, alternate, seconds
from pipeline.benchmarks.table import Finding
from pipeline.clips.waveform import SAMPLE_RATE_HZ
from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples, TrainingData, as_float
from pipeline.export.description import INPUT
from pipeline.export.graph import graph_of, step_graph_of
from pipeline.export.runtime import OnnxClassifier, OnnxSteps, session_of
from pipeline.learners.losses import logits_of, loss_of
from pipeline.learners.neural_classifier import NeuralClassifier, TransformerClassifier

LARGE_WEIGHTS = 50_000_000  # from here on a net is of base size: its arithmetic should hide all else
STEPS = 40
CALLS = 100  # of an exported net, timed together


def of_run(
    name: str, make: Callable[[], NeuralClassifier], data: TrainingData, clips: NDArray[np.int16], rounds: int
) -> list[Finding]:
    """Return what is found of one run's network; `make` builds it unfitted, `clips` [clips, 16000] are heard."""
    data = _short(data, make().training.batch_size)
    findings = [training_step(name, make, data, rounds)]
    if isinstance(make(), TransformerClassifier):
        findings.append(against_the_script(name, make, data, rounds))
    return [*findings, hearing(name, make(), clips, rounds), exported(name, make(), clips[:100], rounds)]


def training_step(name: str, make: Callable[[], NeuralClassifier], data: TrainingData, rounds: int) -> Finding:
    """Compare a whole step (clips read, augmented, front end, arithmetic, optimiser) with the arithmetic alone."""
    weights = sum(each.numel() for each in make().model.parameters())
    limit = 1.05 if weights >= LARGE_WEIGHTS else 1.3
    pairs = [(step_seconds(make(), data), bare_step_seconds(make(), data)) for _ in range(rounds)]
    times = Rounds([ours for ours, _ in pairs], [bare for _, bare in pairs])
    longer = median(ours / bare for ours, bare in pairs)
    return Finding(
        f"training step, {name}, {weights:,} weights",
        f"{1000 * median(times.ours_s):.0f} ms",
        f"forward and backward pass on ready features: {1000 * median(times.other_s):.0f} ms",
        f"{longer:.2f} times as long",
        f"at most {limit:g}",
        longer <= limit,
    )


def against_the_script(name: str, make: Callable[[], NeuralClassifier], data: TrainingData, rounds: int) -> Finding:
    """Compare a step, augmentation and all, with the usual script's: Trainer, `datasets` table, extractor by clip."""
    pairs = [(step_seconds(make(), data), script_step_seconds(make(), data)) for _ in range(rounds)]
    times = Rounds([ours for ours, _ in pairs], [script for _, script in pairs])
    wanted = 3.0 if "spectrogram" in type(make().model).__name__.lower() or name.startswith("ast") else 1.0
    return Finding(
        f"training step, {name}, augmentation on",
        f"{1000 * median(times.ours_s):.0f} ms",
        f"Trainer over a datasets table with its extractor: {1000 * median(times.other_s):.0f} ms",
        f"{times.speed} times its speed",
        f"at least {wanted:g}",
        times.speed.middle >= wanted,
    )


def hearing(name: str, classifier: NeuralClassifier, clips: NDArray[np.int16], rounds: int) -> Finding:
    """Compare `predict_proba` of clips with the front end and the network alone on the same batches."""
    size = classifier.training.eval_batch_size
    batches = [as_float(torch.from_numpy(clips[start : start + size])) for start in range(0, len(clips), size)]
    classifier.model.eval()

    @torch.inference_mode()
    def bare() -> None:
        for batch in batches:
            logits_of(classifier.model(classifier.front_end(batch)))

    times = alternate(lambda: classifier.predict_proba(clips), bare, rounds)
    longer = 1 / times.speed.middle
    return Finding(
        f"predict, {name}",
        f"{len(clips) / median(times.ours_s):,.0f} clips/s",
        f"front end and net alone: {len(clips) / median(times.other_s):,.0f} clips/s",
        f"{longer:.2f} times as long",
        "at most 1.05",
        longer <= 1.05,
    )


def exported(name: str, classifier: NeuralClassifier, clips: NDArray[np.int16], rounds: int) -> Finding:
    """Compare one clip at a time on one thread: exported, by onnxruntime, and by torch."""
    about = {"run": name, "labels": classifier.labels, "exclusive": not classifier.multi_label, "inputs": "samples"}
    file = OnnxClassifier.of(classifier, about, threads=1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = alternate(
            lambda: [file.predict_proba(clip[None]) for clip in clips],
            lambda: [classifier.predict_proba(clip[None]) for clip in clips],
            rounds,
        )
    finally:
        torch.set_num_threads(threads)
    ours_ms, torchs_ms = (1000 * median(taken) / len(clips) for taken in (times.ours_s, times.other_s))
    return Finding(
        f"a clip on one thread, {name} exported",
        f"{ours_ms:.2f} ms",
        f"torch: {torchs_ms:.2f} ms",
        f"{times.speed} times its speed",
        "at most 2 ms",
        ours_ms <= 2,
    )


def streaming(name: str, classifier: NeuralClassifier, step: Any, rounds: int) -> Finding:
    """Compare a step of a streaming net (`models._streaming`) with hearing the second that it ends anew, both exported.

    On one thread; how long either takes does not depend on what was learnt.
    """
    steps = OnnxSteps(session_of(step_graph_of(step).proto.SerializeToString(), threads=1))
    second = session_of(graph_of(classifier).proto.SerializeToString(), threads=1)
    clip = np.random.default_rng(0).uniform(-0.1, 0.1, (1, SAMPLE_RATE_HZ)).astype(np.float32)
    sound = clip[:, : step.step_samples]
    times = alternate(
        lambda: [steps(sound) for _ in range(CALLS)],
        lambda: [second.run(None, {INPUT: clip}) for _ in range(CALLS)],
        rounds,
    )
    ours_ms, seconds_ms = (1000 * median(taken) / CALLS for taken in (times.ours_s, times.other_s))
    longer = 1 / times.speed.middle
    hears_ms = 1000 * step.step_samples // SAMPLE_RATE_HZ
    weights = sum(each.numel() for each in classifier.model.parameters())
    return Finding(
        f"a step of {hears_ms} ms on one thread, streaming {name}, {weights:,} weights",
        f"{ours_ms:.2f} ms",
        f"its whole second: {seconds_ms:.2f} ms",
        f"{longer:.3f} times as long",
        "at most 0.1",
        longer <= 0.1,
    )


def spotter(path: Path, rounds: int) -> Finding:
    """Time a published small keyword spotter, an ONNX file of one input, on one thread."""
    session = spotter_session(path)
    (given,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    sound = {given.name: np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)}
    taken = [seconds(lambda: [session.run(None, sound) for _ in range(CALLS)]) / CALLS for _ in range(rounds)]
    return Finding(f"a call on one thread, {path.name}", f"{1000 * median(taken):.2f} ms")


def spotter_session(path: Path) -> Any:
    """Return another's keyword spotter, ready to be timed on one thread.

    Raises PipelineError if there is none, or it takes anything but one array of float32.
    """
    if not path.is_file():
        raise PipelineError(f"There is no file {path} (--spotter).")
    session = session_of(path, threads=1)
    taken = [f"{each.name} {each.type}" for each in session.get_inputs()]
    if [each.type for each in session.get_inputs()] != ["tensor(float)"]:
        raise PipelineError(f"{path} cannot be timed (--spotter): it takes {', '.join(taken)}, not one tensor(float).")
    return session


def step_seconds(classifier: NeuralClassifier, data: TrainingData) -> float:
    """Return how long a step of `fit` takes, from the augmentation of one batch to that of the next."""
    begun: list[float] = []

    def augment(inputs: NDArray[Any], generators: list[np.random.Generator]) -> NDArray[np.float32]:
        begun.append(time.perf_counter())
        return data.augment(inputs, generators)

    classifier.training = classifier.training.model_copy(update={"epochs": 1, "workers": 0})
    with tempfile.TemporaryDirectory() as folder:
        classifier.fit(replace(data, augment=augment), Path(folder), Path(folder, "live"))
    return _step_of(begun)


def bare_step_seconds(classifier: NeuralClassifier, data: TrainingData) -> float:
    """Return how long the forward and backward pass of one batch takes, whose features are ready."""
    batch = data.epoch_indices(0)[: classifier.training.batch_size]
    with torch.no_grad():
        features = classifier.front_end(torch.from_numpy(as_float(data.train.read(data.train.rows[batch]))))
    targets = torch.nn.functional.one_hot(torch.from_numpy(data.train.targets[batch]), len(classifier.labels)).float()
    classifier.model.train()

    def step() -> None:
        classifier.model.zero_grad()
        loss_of(classifier.loss, logits_of(classifier.model(features)).float(), targets).backward()

    step()
    return median(seconds(step) for _ in range(STEPS))


def script_step_seconds(classifier: NeuralClassifier, data: TrainingData) -> float:
    """Return how long a step takes as the usual examples write it: no augmentation, the extractor clip by clip."""
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    assert isinstance(classifier, TransformerClassifier)
    begun: list[float] = []
    rows = data.train.rows[data.epoch_indices(0)]
    table = Dataset.from_dict(
        {"audio": list(as_float(data.train.read(rows))), "label": data.train.targets[data.epoch_indices(0)]}
    )
    extractor: Any = classifier.extractor

    def transform(batch: dict[str, Any]) -> dict[str, Any]:
        begun.append(time.perf_counter())
        heard = [
            extractor(np.asarray(clip, np.float32), sampling_rate=SAMPLE_RATE_HZ)["input_values"][0]
            for clip in batch["audio"]
        ]
        return {"input_values": heard, "labels": batch["label"]}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=classifier.training.batch_size,
            remove_unused_columns=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        )
        Trainer(classifier.model, arguments, train_dataset=table.with_transform(transform)).train()
    return _step_of(begun)


def _step_of(begun: list[float]) -> float:
    """Return the seconds from a step to the next, but for the first quarter: a training's first steps take longer."""
    return float(np.median(np.diff(begun)[len(begun) // 4 :]))


def _short(data: TrainingData, batch_size: int) -> TrainingData:
    """Return the same data with an epoch of STEPS batches, and few clips to judge it."""
    judged = data.validation
    some = Examples(judged.read, judged.rows[:32], judged.targets[:32], exclusive=judged.exclusive)
    return replace(data, validation=some, epoch_indices=lambda epoch: data.epoch_indices(epoch)[: STEPS * batch_size])
