"""Words spoken by drawn voices and recorded under drawn conditions: the demo's clips, and those beside real ones."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from tqdm import tqdm

from pipeline.clips.synthetic import Spoken, Synthetic
from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.errors import PipelineError
from pipeline.synthesis import acoustics
from pipeline.synthesis.acoustics import Scene
from pipeline.synthesis.espeak import speak
from pipeline.synthesis.voices import Voice, draw_voices
from pipeline.synthesis.words import OTHER_WORDS

# `noise(clips, rng)` returns float [clips, CLIP_SAMPLES].
Noise = Callable[[int, np.random.Generator], np.ndarray]

_BATCH_CLIPS = 64
_STREAM = 40  # of the seed: other draws than those of splits and silence


def recorded(
    takes: Sequence[tuple[Voice, str]], scene: Scene, noise: Noise, rng: np.random.Generator, what: str
) -> Iterator[np.ndarray]:
    """Yield int16 [at most CLIP_SAMPLES] for each voice and word; espeak-ng speaks ahead in its own process.

    Raises PipelineError if the synthesiser does not work here, or a word has no sound.
    """
    utterances = [voice.say(word, rng) for voice, word in takes]
    spoken = _audible(speak(utterances, int(rng.integers(2**31))), takes)
    with tqdm(total=len(takes), desc=f"Speaking {what}", unit="clip", mininterval=1) as progress:
        while batch := list(islice(spoken, _BATCH_CLIPS)):
            yield from acoustics.record(batch, acoustics.draw(len(batch), scene, noise, rng))
            progress.update(len(batch))


def coloured(clips: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise between white and brown, float32 [clips, CLIP_SAMPLES]: the quiet of a room."""
    return acoustics.coloured_noise(rng.uniform(0, 2, size=clips), CLIP_SAMPLES, rng)


def synthetic_clips(words: list[str], settings: Synthetic, seed: int) -> Iterator[Spoken]:
    """Yield settings.clips of `words` and settings.other_clips of OTHER_WORDS, by voices drawn from the seed.

    Each word goes round all voices before one says it again. Raises PipelineError as `recorded`, and for `words` in
    other letters than English ones.
    """
    if settings.clips:
        _refuse_other_letters(words)
    rng = np.random.default_rng([seed, _STREAM])
    voices = draw_voices(settings.voices, rng)
    others = sorted(set(OTHER_WORDS) - set(words))
    takes = [
        # The next word has the next voice: few clips of many words are by many voices, too.
        (voices[turn[(number // len(group) + number % len(group)) % len(voices)]], group[number % len(group)])
        for group, count in ((words, settings.clips), (others, settings.other_clips))
        for turn in [rng.permutation(len(voices))]
        for number in range(count)
    ]
    takes.sort(key=lambda take: take[0].speaker)  # espeak-ng loads each voice once
    clips = recorded(takes, acoustics.TRAINING, coloured, rng, "synthetic clips")
    for (voice, word), samples in zip(takes, clips, strict=True):
        yield Spoken(samples, word, voice.speaker)


def _refuse_other_letters(words: list[str]) -> None:
    strange = [f"'{word}'" for word in words if not word.isascii()]
    if strange:
        told = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        raise PipelineError(
            f"The synthesiser speaks English: {told} cannot be spoken.\n"
            "Set prepare.synthetic.clips: 0 in params.yaml, or leave words of other letters out of the source."
        )


def _audible(spoken: Iterator[np.ndarray], takes: Sequence[tuple[Voice, str]]) -> Iterator[np.ndarray]:
    """Yield what is spoken. Raises PipelineError for a word of which nothing is heard, such as "_"."""
    for samples, (_, word) in zip(spoken, takes, strict=True):
        if not samples.any():
            raise PipelineError(
                f"The synthesiser has no sound for the word '{word}', so no clip can be made of it.\n"
                "Set prepare.synthetic.clips: 0 in params.yaml, or write the word in letters in the source."
            )
        yield samples
