"""What extra sources bring trains all folds, judges none, and never holds what judges."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas
import pytest

from pipeline.clips.corpus import Corpus
from pipeline.clips.extra import Extra
from pipeline.clips.preparation import Prepare, build
from pipeline.clips.recording import Recording, Rejected, SplitList
from pipeline.errors import PipelineError
from pipeline.scoring import unheard
from tests.wavs import coded


def clip(word, speaker, level, part="train", **more):
    name = f"{word}/{speaker}_{level}.wav"
    return Recording(part, name, coded(np.full(16_000, level, np.int16)), word, speaker, **more)


WORDS = ("yes", "no", "cat")
OWN = [clip(word, f"s{s}", 100 * s + w) for s in range(8) for w, word in enumerate(WORDS)]
TEST = [Recording("test", f"t{number}.wav", coded(np.full(16_000, 5_000 + number, np.int16))) for number in range(3)]
HUM = Recording("train", "hum.wav", coded(np.full(160_000, 3_000, np.int16)), is_noise=True)
RAIN = Recording("train", "rain.wav", coded(np.full(160_000, 4_000, np.int16)), is_noise=True)
SPLITS = SplitList("validation", frozenset(item.name for item in OWN if item.speaker == "s0"))


@pytest.fixture
def corpus(tmp_path):
    def made(extras, items=(*OWN, HUM, *TEST, SPLITS), **settings):
        folder = tmp_path / "corpus"
        folder.mkdir()
        _, quarantine = build(
            folder, items, None, None, Prepare(**{"commands": ("yes", "no"), **settings}), "own", 1, None, extras
        )
        return Corpus.open(folder), quarantine

    return made


@pytest.mark.parametrize("folds", [1, 3])
def test_extra_clips_train_and_are_never_judged_or_submitted(corpus, folds):
    brought = [clip("yes", "x1", 901), clip("dog", "x2", 902, split="validation"), clip("no", "x3", 903, part="test")]
    corpus, quarantine = corpus([Extra("more", [*brought, SPLITS])], folds=folds)
    rows = corpus.rows
    extra = np.flatnonzero(rows["source"] == "more")
    assert rows["clip"].iloc[extra].tolist() == ["_extra_/more/yes/x1_901.wav", "_extra_/more/dog/x2_902.wav"]
    assert set(rows["split"].iloc[extra]) == {"train"}
    assert set(rows["fold"].iloc[extra]) == {-1}
    for fold in range(folds):
        assert set(extra) <= set(corpus.training_rows(fold))
        assert not set(extra) & set(corpus.judged_rows(fold))
    assert rows["clip"].iloc[corpus.select("test")].tolist() == ["t0.wav", "t1.wav", "t2.wav"]
    assert pandas.read_csv(corpus.folder / "sample.csv")["fname"].tolist() == ["t0.wav", "t1.wav", "t2.wav"]
    assert rows["source"][rows["word"] == "_silence_"].isna().all()
    assert set(rows["source"][rows["part"] == "test"]) == {"own"}
    assert corpus.description["counts"]["extra"] == {"more": 2}
    assert quarantine.empty


def test_speakers_and_recordings_that_judge_never_train_through_another_source(corpus):
    brought = [clip("yes", "s0", 904), clip("yes", "x1", 5_001), clip("no", "x1", 905), clip("no", "x2", 905)]
    corpus, quarantine = corpus([Extra("more", brought)])
    assert corpus.rows["clip"][corpus.rows["source"] == "more"].tolist() == ["_extra_/more/no/x1_905.wav"]
    assert dict(quarantine[["clip", "reason"]].values) == {
        "_extra_/more/yes/s0_904.wav": "its speaker is one of the source's own, and may judge",
        "_extra_/more/yes/x1_5001.wav": "the same samples as another clip",
        "_extra_/more/no/x2_905.wav": "the same samples as another clip",
    }


def test_speakers_of_the_test_clips_never_train_through_another_source(corpus):
    told = Recording("test", "ann_nohash_0.wav", clip("yes", "x", 950).data)
    brought = [clip("yes", "ann", 951), clip("no", "x1", 952)]
    corpus, quarantine = corpus([Extra("more", brought)], items=(*OWN, HUM, *TEST, told, SPLITS))
    assert corpus.rows["clip"][corpus.rows["source"] == "more"].tolist() == ["_extra_/more/no/x1_952.wav"]
    assert quarantine["reason"].tolist() == ["its speaker is one of the source's own, and may judge"]


def test_words_of_another_language_are_unknown_unless_they_are_spelled_like_a_command(corpus):
    corpus, quarantine = corpus([Extra("german", [clip("ja", "x1", 901), clip("no", "x1", 902)], unknown=True)])
    assert corpus.rows["word"][corpus.rows["source"] == "german"].tolist() == ["_unknown_"]
    assert corpus.vocabulary.words == ("cat", "no", "unknown", "yes")
    assert quarantine["reason"].tolist() == ["spelled like the command 'no', so not called unknown"]


@pytest.mark.parametrize("folder", ["silence", "_silence_"])
def test_silence_of_a_source_whose_words_are_unknown_stays_silence(corpus, folder):
    corpus, _ = corpus([Extra("german", [clip("ja", "x1", 901), clip(folder, "x1", 902)], unknown=True)])
    words = corpus.rows["word"][corpus.rows["source"] == "german"].tolist()
    assert [corpus.vocabulary.label_of(word, "words") for word in words] == ["unknown", "silence"]


def test_noise_or_clips_alone_may_be_taken(corpus):
    items = [clip("yes", "x1", 901), RAIN, Rejected("train", "odd.wav", "why not")]
    corpus, quarantine = corpus([Extra("a", items, take="noise"), Extra("b", [clip("no", "x1", 902), RAIN], "clips")])
    assert corpus.rows["source"].value_counts()[["b"]].to_dict() == {"b": 1}
    assert "a" not in set(corpus.rows["source"])
    assert {noise.name for noise in corpus.training_noises(0)} == {"hum.wav", "_extra_/a/rain.wav"}
    assert {noise.name for noise in corpus.judging_noises(0)} == {"hum.wav"}
    assert quarantine["clip"].tolist() == ["_extra_/a/odd.wav"]


def test_noise_of_an_extra_source_also_judges_where_there_is_no_other(corpus):
    corpus, _ = corpus([Extra("rain", [RAIN], take="noise")], items=(*OWN, *TEST, SPLITS))
    assert len(corpus.judging_noises(0)) == len(corpus.training_noises(0)) == 1
    assert corpus.description["counts"]["validation"]["silence"] == 1


def test_audio_and_embeddings_do_not_mix(corpus):
    embedded = Recording("train", "a", word="yes", embedding=np.zeros((10, 128), np.uint8))
    with pytest.raises(PipelineError, match=r"'more' cannot join the corpus.\n.*download\.extra"):
        corpus([Extra("more", [embedded])])


def hiss(name, seed, seconds, **more):
    samples = np.random.default_rng(seed).integers(-3_000, 3_000, int(16_000 * seconds)).astype(np.int16)
    return Recording("train", name, coded(samples), is_noise=True, **more)


OWN_NOISES = [hiss(f"own_{number}.wav", number, 10) for number in range(4)] + [hiss("short.wav", 4, 1)]


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("own", [OWN_NOISES, []], ids=["own noise", "no own noise"])
def test_a_noise_that_judges_never_trains_through_another_source(corpus, folds, whole, own):
    again = [hiss(f"again_{number}.wav", number, 1 if number == 4 else 10) for number in range(5)]
    brought = [Extra("more", [*again, hiss("new.wav", 9, 10)]), Extra("twice", again, take="noise")]
    silence = {"whole_recordings": whole}
    corpus, quarantine = corpus(brought, items=(*OWN, *own, *TEST, SPLITS), folds=folds, silence=silence)
    for fold in range(folds):
        learnt = b"".join(noise.samples.tobytes() for noise in corpus.training_noises(fold))
        assert corpus.judging_noises(fold)
        assert not any(noise.samples[:4_000].tobytes() in learnt for noise in corpus.judging_noises(fold))
        assert any(noise.name == "_extra_/more/new.wav" for noise in corpus.training_noises(fold)) or not own
    sources = ("more", "twice") if own else ("twice",)
    assert dict(quarantine[["clip", "reason"]].values) == {
        f"_extra_/{source}/again_{number}.wav": "the same samples as another recording of noise"
        for source in sources
        for number in range(5)
    }


def test_speakers_and_commands_are_known_however_their_accents_are_written(corpus):
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    own = [clip(word, speaker, level) for level, (speaker, word) in enumerate(product(("s0", composed, "s2"), WORDS))]
    own += [clip(composed, "s2", 50), clip(composed, "s0", 51)]
    brought = [clip("yes", decomposed, 901), clip(decomposed, "x1", 902), clip("ja", "x2", 903)]
    corpus, quarantine = corpus(
        [Extra("french", brought, unknown=True)], (*own, HUM), commands=("yes", composed), splits="grouped"
    )
    extra = corpus.rows[corpus.rows["source"] == "french"]
    assert extra[["word", "speaker"]].values.tolist() == [["_unknown_", "x2"]]
    assert dict(quarantine[["clip", "reason"]].values) == {
        f"_extra_/french/yes/{composed}_901.wav": "its speaker is one of the source's own, and may judge",
        f"_extra_/french/{composed}/x1_902.wav": f"spelled like the command '{composed}', so not called unknown",
    }


def test_clips_of_the_source_itself_stay_however_alike_they_are(corpus):
    twins = [Recording("test", f"twin{number}.wav", TEST[0].data) for number in range(2)]
    again = Recording("train", "yes/again.wav", OWN[3].data, "yes", "s1")
    corpus, quarantine = corpus([Extra("more", [clip("yes", "x1", 901)])], (*OWN, again, HUM, *TEST, *twins, SPLITS))
    assert corpus.rows["clip"].iloc[corpus.select("test")].tolist() == [item.name for item in (*TEST, *twins)]
    assert "yes/again.wav" in set(corpus.rows["clip"])
    assert quarantine.empty


def test_an_extra_source_does_not_say_the_words_that_are_kept_from_nets(corpus):
    brought = [clip("cat", "x1", 901), clip("dog", "x1", 902)]
    items = (*OWN, clip("bird", "s1", 851), clip("bird", "s2", 852), HUM, *TEST, SPLITS)
    corpus, quarantine = corpus([Extra("more", brought, unknown=True)], items, folds=2, unheard_words=0.5)
    rows = corpus.rows[corpus.rows["source"] == "more"]
    assert rows["clip"].tolist() == ["_extra_/more/dog/x1_902.wav"]
    assert quarantine["reason"].tolist() == ["spelled like 'cat', which prepare.unheard_words may keep from nets"]


def test_a_plus_in_a_name_of_noise_is_part_of_it(corpus):
    noise = [replace(HUM, name="hum+0.wav"), replace(RAIN, name="rain.wav")]
    corpus, _ = corpus([], (*OWN, *noise, *TEST, SPLITS), folds=2)
    rows = np.flatnonzero(corpus.rows["word"] == "_silence_")
    truth = np.full(len(rows), corpus.vocabulary.submission_labels.index("silence"))
    told = unheard.describe(corpus, rows, truth, truth, [str(row) for row in rows])
    assert "unheard_noise_recall" not in told  # a stretch of each is heard by both folds' nets


@pytest.mark.parametrize(("name", "is_told"), [("anna_{}.wav", True), ("anna_nohash_{}.wav", False)])
def test_speakers_that_are_not_known_are_told(corpus, capsys, name, is_told):
    items = [
        replace(clip(word, "", 100 * s + w), name=f"{word}/{name.format(s)}", speaker=None if is_told else f"s{s}")
        for s in range(8)
        for w, word in enumerate(WORDS)
    ]
    corpus([], (*items, HUM, *TEST))
    assert ("Warning: of 24 training clips the speaker is not known" in capsys.readouterr().out) is is_told
