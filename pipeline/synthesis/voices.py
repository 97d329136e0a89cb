"""Voices that nobody has: random vocal tracts for espeak-ng.

A voice is a dialect, a variant file of random formants, pitch, breath and roughness, and a habit of speed and melody.
The ranges surround those of espeak-ng's own human-like variants (`espeak-ng-data/voices/!v`, format: its
docs/voices.md). In espeak-ng 1.52 the pitch does not move the formants, so a voice's size sets both.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.synthesis.espeak import Utterance

DIALECTS = (
    "en-us",
    "en-us-nyc",
    "en",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-029",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
# Base pitch in Hz (low, high) and vocal tract size as a factor on the formants (low, high).
_SIZES = {"male": ((75, 125), (0.90, 1.02)), "female": ((150, 220), (1.04, 1.16)), "child": ((210, 280), (1.14, 1.26))}
_SHARES = (0.45, 0.40, 0.15)
# Punctuation changes the melody: a statement, an order, a question, a list.
_MELODIES = (".", "!", "?", ",")


@dataclass(frozen=True)
class Voice:
    """A speaker. `speaker` is eight hexadecimal digits, as in the competition's file names."""

    speaker: str
    dialect: str
    variant: str
    words_per_minute: int
    pitch: int
    pitch_range: int

    def say(self, word: str, rng: np.random.Generator) -> Utterance:
        """Return one take of `word`: nobody says it twice at the same speed and pitch."""
        return Utterance(
            text=word + str(rng.choice(_MELODIES, p=(0.55, 0.2, 0.15, 0.1))),
            dialect=self.dialect,
            variant=self.variant,
            words_per_minute=round(self.words_per_minute * rng.uniform(0.9, 1.1)),
            pitch=int(np.clip(self.pitch + rng.integers(-8, 9), 0, 99)),
            pitch_range=int(np.clip(self.pitch_range + rng.integers(-10, 11), 0, 99)),
        )


def draw_voices(count: int, rng: np.random.Generator) -> list[Voice]:
    """Return `count` voices, no two with the same speaker."""
    speakers: dict[str, None] = {}
    while len(speakers) < count:
        speakers[f"{rng.integers(2**32):08x}"] = None
    return [
        Voice(
            speaker=speaker,
            dialect=str(rng.choice(DIALECTS)),
            variant=_draw_variant(rng),
            words_per_minute=int(rng.integers(125, 186)),
            pitch=int(rng.integers(30, 71)),
            pitch_range=int(rng.integers(30, 76)),
        )
        for speaker in speakers
    ]


def _draw_variant(rng: np.random.Generator) -> str:
    sex = str(rng.choice(list(_SIZES), p=_SHARES))
    (pitch_low, pitch_high), (size_low, size_high) = _SIZES[sex]
    pitch_hz = rng.uniform(pitch_low, pitch_high)
    size = rng.uniform(size_low, size_high)
    lines = [
        "language variant",
        "name drawn",
        f"gender {'male' if sex == 'male' else 'female'}",
        f"pitch {pitch_hz:.0f} {pitch_hz * rng.uniform(1.15, 1.6):.0f}",
        f"flutter {rng.integers(0, 9)}",
        f"roughness {rng.integers(0, 4)}",
        f"voicing {rng.integers(75, 121)}",
        f"consonants {rng.integers(70, 141)} {rng.integers(70, 141)}",
    ]
    for formant in range(9):
        frequency = 100 * size * rng.normal(1, 0.025)
        strength, width = rng.integers(75, 126), rng.integers(85, 146)
        lines.append(f"formant {formant} {frequency:.0f} {strength} {width}")
    if rng.random() < 0.35:
        lines.append("breath " + " ".join(str(value) for value in rng.integers(0, 9, size=8)))
    if rng.random() < 0.25:
        low, middle, high = rng.integers(120, 201), rng.integers(90, 161), rng.integers(60, 141)
        lines.append(f"tone 600 {low} 1200 {middle} 2000 {high}")
    return "\n".join(lines) + "\n"
