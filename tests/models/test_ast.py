"""Building AST: small from a config, or from a checkpoint as it is published."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import ASTFeatureExtractor

from pipeline.errors import PipelineError
from pipeline.examples.training_data import Examples
from pipeline.features.log_mel import statistics
from pipeline.learners.training import Training
from pipeline.models import ast

LABELS = ["yes", "no", "unknown", "silence"]


@pytest.fixture(scope="module")
def examples():
    samples = np.random.default_rng(0).integers(-3000, 3000, (9, 16_000)).astype(np.int16)
    return Examples(read=lambda rows: samples[rows], rows=np.arange(1, 9), targets=np.zeros(8, int))


def test_without_a_checkpoint_the_front_end_is_fitted_to_the_training_clips(examples, tiny_params, tmp_path):
    config = tiny_params["runs"]["ast"]["parameters"]["config"]
    classifier = ast.build(ast.Params(config=config), Training(), LABELS, examples, tmp_path)
    assert classifier.labels == LABELS
    assert (classifier.model.config.hidden_size, classifier.model.config.num_labels) == (32, 4)
    mean, std = statistics(examples.read(examples.rows), num_mel_bins=32)
    assert (classifier.front_end.mean, classifier.front_end.std) == pytest.approx((mean, std), abs=1e-5)
    # Normalised by the authors' rule, the training clips have mean 0 and deviation one half.
    features = classifier.front_end(torch.from_numpy(examples.read(examples.rows) / 32768).float())
    assert features.shape == (8, 98, 32)
    assert (float(features.mean()), float(features.std())) == pytest.approx((0, 0.5), abs=1e-3)


def test_a_published_checkpoint_gives_its_encoder_and_its_front_end(publish, examples, tmp_path):
    folder = publish("ast", tmp_path / "published")
    params = ast.Params(checkpoint=str(folder))
    ast.check(params, tmp_path)
    classifier = ast.build(params, Training(), LABELS, examples, tmp_path)
    assert classifier.labels == LABELS
    assert (classifier.front_end.mean, classifier.front_end.std) == (-6.75, 5.5)

    # What the Hub's users would compute with the checkpoint's own extractor.
    waveforms = examples.read(examples.rows).astype(np.float32) / 32768
    extractor = ASTFeatureExtractor.from_pretrained(folder)
    expected = extractor(list(waveforms), sampling_rate=16_000, return_tensors="np")["input_values"]
    assert np.abs(classifier.front_end(torch.from_numpy(waveforms)).numpy() - expected).max() < 1e-3

    (tmp_path / "built").mkdir()
    classifier.save(tmp_path / "built")
    published, built = (load_file(tmp_path / name / "model.safetensors") for name in ("published", "built"))
    assert published.keys() == built.keys()
    changed = {name for name in built if not torch.equal(built[name], published[name])}
    assert changed == {"classifier.dense.weight", "classifier.dense.bias"}
    assert built["classifier.dense.weight"].shape == (4, 32)
    restored = ast.restore(tmp_path / "built", Training())
    assert (restored.front_end.mean, restored.front_end.std) == (-6.75, 5.5)


def test_a_checkpoint_that_was_trained_on_values_as_they_are_is_given_them(publish, examples, tmp_path):
    folder = publish("ast", tmp_path / "published")
    extractor = ASTFeatureExtractor(num_mel_bins=32, max_length=98, do_normalize=False)
    extractor.save_pretrained(folder)
    classifier = ast.build(ast.Params(checkpoint=str(folder)), Training(), LABELS, examples, tmp_path)
    waveforms = examples.read(examples.rows).astype(np.float32) / 32768
    expected = extractor(list(waveforms), sampling_rate=16_000, return_tensors="np")["input_values"]
    assert np.abs(classifier.front_end(torch.from_numpy(waveforms)).numpy() - expected).max() < 1e-2


def test_a_checkpoint_of_another_sample_rate_is_refused(publish, tmp_path):
    folder = publish("ast", tmp_path / "published")
    ASTFeatureExtractor(num_mel_bins=32, max_length=98, sampling_rate=32_000).save_pretrained(folder)
    with pytest.raises(PipelineError, match=r"hears 32000 Hz; clips have 16000 Hz\.\nChange the run's `checkpoint`"):
        ast.check(ast.Params(checkpoint=str(folder)), tmp_path)


def test_one_that_is_missing_is_found_out_by_check(tmp_path):
    with pytest.raises(PipelineError, match=r"'\./nowhere' is not here"):
        ast.check(ast.Params(checkpoint="./nowhere"), tmp_path)


def test_check_builds_what_build_would(tiny_params, tmp_path):
    config = tiny_params["runs"]["ast"]["parameters"]["config"]
    ast.check(ast.Params(config=config), tmp_path)
    ast.check(ast.Params(), tmp_path)
    with pytest.raises(PipelineError, match="cannot be built"):
        ast.check(ast.Params(config={**config, "patch_size": 64}), tmp_path)


@pytest.mark.parametrize(
    "bad", [{"chekpoint": "x"}, {"revision": "main"}, {"spec_augment": {"time_masks": -1}}, {"config": 3}]
)
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ValidationError):
        ast.Params(**bad)
