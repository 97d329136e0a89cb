import json
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.examples.augmentation import Augmentation, Augmenter, known_transforms
from pipeline.examples.background import Background
from pipeline.settings import Settings

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
SHIFT = {"min_shift": -0.05, "max_shift": 0.05, "shift_unit": "seconds", "rollover": False, "p": 1}
# They need a package that is not among the requirements, a function, or files of the user's; or they are slow to start.
NOT_HERE = {"Limiter", "LoudnessNormalization", "Mp3Compression", "RoomSimulator", "Lambda"}
OF_FILES = {"AddBackgroundNoise", "AddShortNoises", "ApplyImpulseResponse"}
SLOW = {"AirAbsorption", "Resample", "Trim"}  # they load numba, or compile with it, for 20 s
ARGUMENTS: dict[str, dict[str, Any]] = {"AdjustDuration": {"duration_seconds": 0.5}}


class Run(Settings):
    augmentation: Augmentation = Augmentation()


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([seed, clip]) for clip in range(count)]


def clips(count: int = 3) -> np.ndarray:
    return (np.random.default_rng(5).normal(size=(count, 16_000)) * 3_000).astype(np.int16)


def noise() -> np.ndarray:
    return (np.random.default_rng(6).normal(size=40_000) * 1_000).astype(np.int16)


BACKGROUND = Background([noise()], list(clips(5)))


def refusal(augmentation: Any) -> str:
    with pytest.raises(PipelineError) as error:
        params.validate({"augmentation": augmentation}, Run, "runs.ast")
    return str(error.value)


FORMER_ARCHIVES = [
    {"Speed": {"min_speed": 0.85, "max_speed": 1.18, "p": 0.7}},
    {"Shift": {"min_shift": -0.1, "max_shift": 0.1, "shift_unit": "seconds", "rollover": False, "p": 0.8}},
    {"AddNoise": {"min_snr_db": 0, "max_snr_db": 30, "p": 0.6}},
    {"Gain": {"min_gain_db": -12, "max_gain_db": 6, "p": 0.5}},
]


# Computed by the fixed order of four transforms that this list took the place of (commit 91f64a0).
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            None,
            [
                [0.00863339938, -0.00745134195, 0.0588587075],
                [0.0181744099, 0.0900725722, -0.0258075017],
                [-0.0996685699, -0.0295240208, -0.0278258454],
                [-0.00809526350, -0.0430507027, 0.00799818616],
            ],
        ),
        (
            "demo",
            [
                [0.00679023610, -0.0211087652, 0.0906315446],
                [0.0181744099, 0.0900725722, -0.0258075017],
                [-0.100808375, -0.0296066161, -0.0347018093],
                [0.00130324787, -0.0392747186, 0.0126559893],
            ],
        ),
        (
            FORMER_ARCHIVES,
            [
                [0.0914197117, 0.0508846976, -0.0223783068],
                [-0.00519613829, 0.0900725722, 0.0499573722],
                [-0.0658934489, 0.0652954653, -0.105138242],
                [-0.00248795655, -0.0407978930, 0.0107771084],
            ],
        ),
    ],
)
def test_the_samples_are_those_of_the_fixed_order_that_came_before(given: Any, expected: list) -> None:
    if given == "demo":
        given = yaml.safe_load((PROFILES / "demo.yaml").read_text())["train"]["augmentation"]
    augmentation = Augmentation() if given is None else Augmentation(given)
    out = Augmenter(augmentation, BACKGROUND)(clips(4), generators(4))
    # Bit for bit on one machine; another's C library may round the last digit otherwise.
    np.testing.assert_allclose(out[:, [4_000, 8_000, 12_000]], expected, rtol=1e-6)


def test_an_empty_list_leaves_the_clips_alone() -> None:
    out = Augmenter(Augmentation([]), BACKGROUND)(clips(), generators(3))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, clips().astype(np.float32) / 32768)


def test_a_clip_depends_on_its_own_generator_alone() -> None:
    augment = Augmenter(Augmentation(), BACKGROUND)
    together = augment(clips(), generators(3))
    random.seed(99)
    alone = augment(clips()[2:], generators(3)[2:])
    np.testing.assert_array_equal(together[2], alone[0])
    assert not np.array_equal(together[2], augment(clips()[2:], generators(1, seed=1))[0])


@pytest.mark.parametrize("name", sorted(known_transforms().keys() - NOT_HERE - OF_FILES - SLOW))
def test_every_transform_is_one_entry_and_deterministic_also_where_it_draws_from_numpy(name: str) -> None:
    augmentation = Augmentation([{name: {**ARGUMENTS.get(name, {}), "p": 1.0}}])
    first = Augmenter(augmentation, BACKGROUND)(clips(2), generators(2))
    random.seed(99)
    np.random.seed(99)
    again = Augmenter(augmentation, BACKGROUND)(clips(2)[1:], generators(2)[1:])
    np.testing.assert_array_equal(first[1], again[0])
    assert first.shape == (2, 16_000)
    assert np.isfinite(first).all()


def test_transforms_are_applied_in_the_order_given() -> None:
    gain, clip = (
        {"Gain": {"min_gain_db": 20, "max_gain_db": 20, "p": 1}},
        {"Clip": {"a_min": -0.1, "a_max": 0.1, "p": 1}},
    )
    assert np.abs(Augmenter(Augmentation([gain, clip]), Background())(clips(1), generators(1))).max() == pytest.approx(
        0.1
    )
    assert np.abs(Augmenter(Augmentation([clip, gain]), Background())(clips(1), generators(1))).max() == pytest.approx(
        1
    )


def test_what_a_transform_shortens_is_followed_by_zeros_and_what_it_lengthens_is_cut() -> None:
    shorter = Augmenter(Augmentation([{"AdjustDuration": {"duration_seconds": 0.25, "p": 1}}]), Background())
    assert not shorter(clips(1), generators(1))[0, 4_000:].any()
    longer = Augmenter(
        Augmentation([{"AdjustDuration": {"duration_seconds": 4, "p": 1}}, {"AddNoise": {"p": 1}}]), BACKGROUND
    )
    assert longer(clips(1), generators(1)).all()


@pytest.mark.parametrize("entries", [None, [{"AddGaussianSNR": {"p": 1}}]], ids=["default", "draws from numpy"])
def test_the_global_states_are_put_back(entries: list | None) -> None:
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.random()
    random.seed(7)
    np.random.seed(7)
    augmentation = Augmentation() if entries is None else Augmentation(entries)
    Augmenter(augmentation, BACKGROUND)(clips(), generators(3))
    assert (random.random(), np.random.random()) == expected


def test_a_pickled_augmenter_gives_the_same_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", noise(), 16_000)
    of_files = {"AddBackgroundNoise": {"sounds_path": str(tmp_path), "p": 1.0}}
    augment = Augmenter(Augmentation([*Augmentation().root, of_files]), BACKGROUND)
    twin = pickle.loads(pickle.dumps(augment))
    np.testing.assert_array_equal(augment(clips(), generators(3)), twin(clips(), generators(3)))


def test_shift_moves_by_at_most_what_it_may() -> None:
    click = np.zeros((20, 16_000), np.int16)
    click[:, 8_000] = 20_000
    at = Augmenter(Augmentation([{"Shift": SHIFT}]), Background())(click, generators(20)).argmax(axis=1)
    assert np.abs(at - 8_000).max() <= 800
    assert len(set(at)) > 10


def test_the_result_stays_in_range() -> None:
    loud = np.full((2, 16_000), 32_000, np.int16)
    augmentation = Augmentation([{"Gain": {"min_gain_db": 20, "max_gain_db": 20, "p": 1}}])
    assert np.abs(Augmenter(augmentation, Background())(loud, generators(2))).max() == 1


def test_it_is_dumped_as_params_yaml_has_it() -> None:
    entries = [{"Gain": {"min_gain_db": -3}}, {"Reverse": {}}]
    assert Run(augmentation=entries).model_dump() == {"augmentation": entries}
    assert Augmentation(["Reverse", {"Reverse": None}]).model_dump() == [{"Reverse": {}}] * 2
    dumped = Augmentation().model_dump()
    assert json.loads(json.dumps(dumped)) == dumped
    assert Augmentation(dumped) == Augmentation()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"Gian": {}},
            "'Gian' is no transform of waveforms. Do you mean Gain? There are AddBabble, AddBackgroundNoise",
        ),
        ({"OneOf": {"transforms": []}}, "'OneOf' is no transform of waveforms. There are "),
        ({"BaseWaveformTransform": {}}, "'BaseWaveformTransform' is no transform of waveforms."),
        ({"Gain": {"gain_db": 3}}, "it has no argument 'gain_db'; Gain takes min_gain_db=-12.0, max_gain_db=12.0, p="),
        ({"ApplyImpulseResponse": {}}, "ir_path is missing; ApplyImpulseResponse takes ir_path, p=0.5"),
        ({"Gain": {"min_gain_db": "loud"}}, "min_gain_db: Input should be a valid number; Gain takes"),
        ({"Gain": {"min_gain_db": float("nan")}}, "min_gain_db: Input should be a finite number; Gain takes"),
        ({"Shift": {"rollover": "no"}}, "rollover: Input should be a valid boolean; Shift takes"),
        ({"Shift": {"shift_unit": "ms"}}, "shift_unit: Input should be 'fraction', 'samples' or 'seconds'; Shift"),
        ({"Gain": {"p": 1.5}}, "0 <= p <= 1 does not hold; Gain takes"),
        ({"Gain": {"min_gain_db": 9, "max_gain_db": 3}}, "min_gain_db cannot be greater than max_gain_db; Gain takes"),
        ({"Speed": {"min_speed": 3}}, "0.5 <= min_speed <= max_speed <= 2.0 does not hold; Speed takes"),
        ({"AddNoise": {"noises": []}}, "it has no argument 'noises'; AddNoise takes min_snr_db=-5.0, max_snr_db=30.0"),
        ({"Gain": 3}, "Gain takes min_gain_db=-12.0"),
        ({"Gain": {}, "Shift": {}}, "an entry is one transform with its arguments, such as Gain: {min_gain_db: -12"),
        (3, "an entry is one transform with its arguments"),
    ],
    ids=str,
)
def test_a_bad_entry_is_refused_with_what_is_allowed(entry: Any, message: str) -> None:
    said = refusal([{"Reverse": {}}, entry])
    assert said.startswith("params.yaml, section runs.ast:\n  augmentation.1: ")
    assert message in said
    assert said.endswith(f"; found {entry!r}")
    assert said.count("\n") == 1


def test_a_transform_that_cannot_be_applied_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    assert "import of pyroomacoustics halted" in refusal([{"RoomSimulator": {}}])


@pytest.mark.parametrize("bad", [None, {"noise_share": 0.5}, "Gain", 3])
def test_what_is_no_list_is_refused(bad: Any) -> None:
    assert "augmentation: Input should be a valid list; found" in refusal(bad)
