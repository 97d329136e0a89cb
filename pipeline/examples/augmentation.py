"""On-the-fly augmentation of training clips: a list of transforms, deterministic from a Generator.

    augmentation:
      - Gain: {min_gain_db: -12, max_gain_db: 6, p: 0.5}
      - PolarityInversion: {}

Each entry names a class of audiomentations or of `pipeline.examples.transforms`, with its arguments; `p` is how often
it is applied.
"""

import difflib
import inspect
import random
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Self, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, RootModel, ValidationError, create_model

from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipeline.examples.background import Background
from pipeline.examples.training_data import as_float

Entry = dict[str, dict[str, Any]]


@cache
def known_transforms() -> dict[str, type[Any]]:
    """Return the classes that an entry may name, by name."""
    # Here, since audiomentations takes a second to load, for which what does not augment should not wait.
    import audiomentations
    from audiomentations.core.transforms_interface import BaseWaveformTransform

    from pipeline.examples import transforms

    return {
        name: kind
        for module in (audiomentations, transforms)
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, BaseWaveformTransform) and kind is not BaseWaveformTransform
    }


def _checked(entry: Any) -> Entry:
    """Return {class name: arguments}; raise ValueError with what is allowed if it cannot be applied."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise ValueError("an entry is one transform with its arguments, such as Gain: {min_gain_db: -12, p: 0.5}")
    ((name, arguments),) = entry.items()
    arguments = {} if arguments is None else arguments
    known = known_transforms()
    if name not in known:
        near = "".join(f" Do you mean {name}?" for name in difflib.get_close_matches(str(name), known, n=1))
        raise ValueError(f"'{name}' is no transform of waveforms.{near} There are {', '.join(sorted(known))}")
    kind = known[name]
    given = _arguments_of(kind)
    takes = f"{name} takes {_listed(given)}"
    if not isinstance(arguments, dict):
        raise ValueError(takes)
    try:
        given(**arguments)
        _try_out(_built(name, arguments, Background()))
    except ValidationError as error:
        raise ValueError("; ".join([*map(_explained, error.errors()), takes])) from None
    except Exception as error:  # a transform may raise anything, from AssertionError to a codec's own
        raise ValueError(f"{_reason(error)}; {takes}") from None
    return {name: arguments}


class Augmentation(RootModel[list[Annotated[Entry, BeforeValidator(_checked)]]]):
    """What is done to each training clip, each time it is drawn, in this order; nothing if the list is empty.

    Every entry was built and applied to a clip when this was made. `model_dump` gives the list as params.yaml has it.
    """

    model_config = ConfigDict(frozen=True)

    root: list[Annotated[Entry, BeforeValidator(_checked)]] = [
        {"Speed": {"min_speed": 0.9, "max_speed": 1.1, "p": 0.5}},
        {"Shift": {"min_shift": -0.1, "max_shift": 0.1, "shift_unit": "seconds", "rollover": False, "p": 0.8}},
        {"AddNoise": {"min_snr_db": -5.0, "max_snr_db": 30.0, "p": 0.7}},
        {"Gain": {"min_gain_db": -12.0, "max_gain_db": 6.0, "p": 0.5}},
    ]


class Augmenter:
    """Augments batches: int16 [clips, samples] -> float32 [clips, samples] in -1..1.

    The transforms draw from the global states of `random` and of numpy. Each clip's draw is seeded from the Generator
    given, and both states are put back, so the result depends on nothing else. What a transform makes longer loses its
    end, what it makes shorter is followed by zeros. `background` is what AddNoise and AddBabble add.
    """

    def __init__(self, augmentation: Augmentation, background: Background) -> None:
        import audiomentations  # as in known_transforms

        self._made_of = augmentation, background
        built = [
            _built(name, arguments, background) for entry in augmentation.root for name, arguments in entry.items()
        ]
        self._transforms = audiomentations.Compose(built)

    def __reduce__(self) -> tuple[type[Self], Any]:
        """Pickle what it is made of, for the loader's spawned workers: a transform may hold what cannot be pickled."""
        return type(self), self._made_of

    def __call__(self, samples: NDArray[np.int16], generators: list[np.random.Generator]) -> NDArray[np.float32]:
        """Augment each clip with the draw of its own generator."""
        out = np.zeros(samples.shape, np.float32)
        with _randomness_put_back():
            for row, (clip, generator) in enumerate(zip(samples, generators, strict=True)):
                _seed(int(generator.integers(2**63)))
                changed = self._transforms(as_float(clip), SAMPLE_RATE_HZ)[: len(clip)]
                out[row, : len(changed)] = changed
        # int16 recordings cannot exceed full scale, so neither may these.
        return np.clip(out, -1, 1, out=out)


def _built(name: str, arguments: dict[str, Any], background: Background) -> Any:
    kind = known_transforms()[name]
    takes = inspect.signature(kind).parameters
    return kind(**arguments, **{part: given for part, given in background._asdict().items() if part in takes})


def _arguments_of(kind: type[Any]) -> type[BaseModel]:
    """Return a model of the arguments that params.yaml may give: their names, types and defaults."""
    hints = get_type_hints(kind.__init__)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(kind).parameters.items()
        if name not in Background._fields and parameter.kind is not parameter.VAR_KEYWORD
    }
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    return create_model(kind.__name__, __config__=config, **fields)


def _try_out(transform: Any) -> None:
    """Apply the transform to a clip; raises what it raises, or ValueError if what comes out is no clip."""
    transform.p = 1.0
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, CLIP_SAMPLES).astype(np.float32)
    with _randomness_put_back():
        _seed(0)
        changed = transform(clip, SAMPLE_RATE_HZ)
    if changed.ndim != 1 or not np.isfinite(changed).all():
        raise ValueError("what comes out is no clip")


def _seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number % 2**32)


@contextmanager
def _randomness_put_back() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _listed(arguments: type[BaseModel]) -> str:
    fields = arguments.model_fields.items()
    return ", ".join(name if field.is_required() else f"{name}={field.default!r}" for name, field in fields)


def _explained(problem: Any) -> str:
    name = problem["loc"][0]
    if problem["type"] == "extra_forbidden":
        return f"it has no argument '{name}'"
    return f"{name} is missing" if problem["type"] == "missing" else f"{name}: {problem['msg']}"


def _reason(error: Exception) -> str:
    """Return what the error says; of a bare `assert`, what it asserts."""
    line = traceback.extract_tb(error.__traceback__)[-1].line or ""
    return str(error) or f"{line.removeprefix('assert ') or type(error).__name__} does not hold"
