import numpy as np
import pytest

from pipeline.synthesis.espeak import speak
from pipeline.synthesis.voices import DIALECTS, draw_voices


def test_voices_are_a_function_of_the_generator():
    assert draw_voices(5, np.random.default_rng(1)) == draw_voices(5, np.random.default_rng(1))
    assert draw_voices(5, np.random.default_rng(1)) != draw_voices(5, np.random.default_rng(2))


def test_no_two_voices_share_a_speaker_or_a_vocal_tract():
    voices = draw_voices(300, np.random.default_rng(0))
    assert len({voice.speaker for voice in voices}) == len({voice.variant for voice in voices}) == 300
    assert all(len(voice.speaker) == 8 and int(voice.speaker, 16) >= 0 for voice in voices)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_espeak_has_every_dialect(dialect):
    voice = next(v for v in draw_voices(200, np.random.default_rng(0)) if v.dialect == dialect)
    (pcm,) = speak([voice.say("zero", np.random.default_rng(0))], 0)
    assert np.sqrt(np.mean(pcm.astype(float) ** 2)) > 500


def test_takes_of_one_word_differ_within_the_limits_of_espeak():
    (voice,) = draw_voices(1, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    takes = [voice.say("go", rng) for _ in range(50)]
    assert len(set(takes)) > 40
    assert all(80 <= take.words_per_minute <= 400 for take in takes)
    assert all(0 <= take.pitch <= 99 and 0 <= take.pitch_range <= 99 for take in takes)
    assert {take.text[:-1] for take in takes} == {"go"}
    assert {take.variant for take in takes} == {voice.variant}
