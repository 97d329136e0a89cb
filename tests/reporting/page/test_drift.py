import numpy as np
import pytest

from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.reporting.page import drift

RNG = np.random.default_rng(0)


def clip(level=1000.0, seconds=1.0, peak=None):
    samples = RNG.normal(0, level, 16_000)
    samples[round(16_000 * seconds) :] = 0
    if peak:
        samples[:peak] = 32_767
    return np.clip(samples, -32_768, 32_767).astype(np.int16)


def test_loudness_noise_clipping_and_duration_are_measured():
    loud, short, silent = clip(3277), clip(3277, seconds=0.5, peak=16), np.zeros(16_000, np.int16)
    found = drift.measure(np.stack([loud, short, silent]))
    assert found["loudness"] == pytest.approx([-20, -22.2, drift.SILENT_DB], abs=0.3)
    assert found["noise"][:2] == pytest.approx([-20, -20], abs=1)  # padding is no noise floor
    assert found["noise"][2] == drift.SILENT_DB
    assert found["clipping"] == pytest.approx([0, 1, 0])
    assert found["duration"] == pytest.approx([1, 0.5, 0], abs=0.001)


def corpus_of(folder, test_level):
    with CorpusWriter(folder) as writer:
        for number in range(60):
            writer.add(clip(1000), clip=f"yes/{number}", part="train", word="yes", speaker=str(number))
            writer.add(clip(test_level), clip=f"{number}", part="test")
        # Neither speaks of the recordings: silence is made here, and what could not be read is zeros.
        writer.add(clip(30), clip="s", part="train", word="_silence_", noise_source="white")
        writer.add(np.zeros(16_000, np.int16), clip="broken", part="test", readable=False)
        for number in range(60):  # neither does synthetic speech
            writer.add(clip(100), clip=f"made/{number}", part="train", word="yes", speaker="")
        splits = np.array(["train", "test"] * 61 + ["synthetic"] * 60)
        writer.finish(splits, np.full(182, -1), source="demo", seed=1, commands=("yes",))
    return Corpus.open(folder)


@pytest.mark.parametrize(("level", "apart"), [(1000, False), (2000, True)])
def test_a_test_set_that_is_louder_is_apart_in_loudness_alone(level, apart, tmp_path):
    found = {each["name"]: each for each in drift.compare(corpus_of(tmp_path, level))}
    assert (found["loudness"]["distance"] > 0.9) == apart
    assert found["duration"]["distance"] < 0.1
    assert found["loudness"]["training"] == pytest.approx(-30.3, abs=0.3)
    shares = [point["share"] for point in found["loudness"]["points"] if point["part"] == "test"]
    assert sum(shares) == pytest.approx(1)


def test_without_audio_there_is_nothing_to_compare(tmp_path):
    with CorpusWriter(tmp_path) as writer:
        writer.add(np.zeros((10, 128), np.uint8), clip="a", part="train", word="yes")
        writer.finish(np.array(["train"]), np.array([-1]), source="audioset", seed=1, commands=())
    assert drift.compare(Corpus.open(tmp_path)) == []
