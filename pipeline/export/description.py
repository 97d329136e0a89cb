"""What an exported file tells of itself, in the metadata of the ONNX model: any program can read it."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from pipeline.clips.labels import ABSENT, SILENCE, UNKNOWN
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ

PROVENANCE = (
    *("model", "parameters", "training", "fold", "target", "vocabulary", "presence", "corpus", "seed", "versions"),
)
INPUT, OUTPUT = "samples", "probabilities"


@dataclass(frozen=True)
class Description:
    """`labels` in the order of the probabilities; `commands` are those that the competition asks for, if it does.

    `rule` and `thresholds` are how stage decide judged the run's probabilities, empty where it has not.
    `weights` is the SHA-256 of the trained weights, `provenance` what else shaped them.
    """

    run: str
    labels: list[str]
    exclusive: bool
    weights: str
    commands: list[str] = field(default_factory=list)
    precision: str = "float32"
    sample_rate_hz: int = SAMPLE_RATE_HZ
    samples: int = CLIP_SAMPLES
    step_samples: int = 0  # of a streaming net: how many samples each call takes; 0 where a call takes a second
    rule: str = ""
    thresholds: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_run(cls, about: dict[str, Any], weights: str, **more: Any) -> Self:
        """Return what run.json (`about`) tells of a run whose weights have the SHA-256 `weights`, and `more`."""
        provenance = {**{key: about.get(key) for key in PROVENANCE}, **more.pop("provenance", {})}
        return cls(about["run"], about["labels"], about["exclusive"], weights, provenance=provenance, **more)

    @property
    def keywords(self) -> list[str]:
        """What a listener waits for: the commands, else every label that stands for something."""
        own = [label for label in self.commands if label in self.labels]
        return own or [label for label in self.labels if label not in (ABSENT, SILENCE, UNKNOWN)]

    def write_into(self, proto: Any) -> None:
        """Make it the metadata of an `onnx.ModelProto`: JSON values by name."""
        del proto.metadata_props[:]
        for name, value in asdict(self).items():
            proto.metadata_props.add(key=name, value=json.dumps(value, ensure_ascii=False))

    @classmethod
    def of_metadata(cls, metadata: dict[str, str]) -> Self:
        """Return what `write_into` wrote. Raises KeyError or ValueError for the metadata of another program."""
        needed = {"run", "labels", "exclusive", "weights"}
        if lacking := needed - metadata.keys():
            raise KeyError(", ".join(sorted(lacking)))
        return cls(**{each.name: json.loads(metadata[each.name]) for each in fields(cls) if each.name in metadata})
