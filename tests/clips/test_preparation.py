"""From recordings in memory to a corpus: what trains a net, and what judges it."""

import io

import numpy as np
import pandas
import pytest
import soundfile
import yaml

from pipeline.clips import silence
from pipeline.clips.corpus import Corpus
from pipeline.clips.noise import NEVER_JUDGED, Noise, cut
from pipeline.clips.preparation import Prepare, build
from pipeline.clips.recording import Recording, Rejected, SplitList
from pipeline.clips.silence import Silence
from pipeline.errors import PipelineError
from tests.wavs import coded

RATE_HZ = 16_000
COMMANDS = ("yes", "no")


SHORT = coded(np.full(400, 100, np.int16))


def clips(speakers=12, words=("yes", "no", "cat")):
    return [
        Recording("train", f"{word}/s{speaker}_nohash_0.wav", SHORT, word, f"s{speaker}")
        for speaker in range(speakers)
        for word in words
    ]


def tone(frequency_hz, samples):
    return (8000 * np.sin(2 * np.pi * frequency_hz * np.arange(samples) / RATE_HZ)).astype(np.int16)


def pitch_of(fold):
    return 400 * (fold + 2)


def pitched(name, seconds, folds, position=0):
    """Noise that tells for which fold it is: a tone of the fold's pitch in each stretch, and nothing between them."""
    samples = np.zeros(round(seconds * RATE_HZ), np.int16)
    for fold, stretch in cut(Noise(name, np.arange(len(samples))), position, folds):
        places = stretch.samples
        samples[places] = tone(pitch_of(fold), len(places))
    return Recording("train", name, coded(samples), is_noise=True)


def pitches(samples):
    spectrum = np.abs(np.fft.rfft(samples[:RATE_HZ].astype(float)))
    return set(np.flatnonzero(spectrum > 0.2 * spectrum.max()) // 20 * 20)  # whole multiples of 20 Hz


def made(folder, items, seed=0, sample=None, answers=None, speak=None, **section):
    folder.mkdir(exist_ok=True)
    settings = Prepare(**{"commands": COMMANDS, "splits": "grouped", "max_lost_share": 0.5, **section})
    build(folder, items, sample, answers, settings, "demo", seed, speak)
    return Corpus.open(folder)


@pytest.mark.parametrize("folds", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_net_learns_from_a_speaker_a_noise_or_a_silence_that_judges_it(tmp_path, folds, seed):
    rng = np.random.default_rng([seed, folds])
    noises = [pitched(f"long_{number}", rng.uniform(7, 12), folds) for number in range(2)]
    noises += [pitched(f"short_{number}", 1.2, folds, number) for number in range(max(2, folds))]
    speakers = int(rng.integers(2 * folds + 2, 5 * folds + 10))
    corpus = made(tmp_path, [*clips(speakers), *noises], seed, folds=folds, silence={"train": 3, "validation": 3})
    rows = corpus.rows
    assert corpus.folds == folds
    seen = np.zeros(len(corpus), int)
    for fold in range(folds):
        train, judged = corpus.training_rows(fold), corpus.judged_rows(fold)
        assert len(train)
        assert len(judged)
        assert not set(train) & set(judged)
        assert not set(rows["speaker"][train].dropna()) & set(rows["speaker"][judged].dropna())
        seen[judged] += 1
        own = pitch_of(fold)
        assert own not in {pitch for noise in corpus.training_noises(fold) for pitch in pitches(noise.samples)}
        is_noise = (rows["word"] == "_silence_").to_numpy() & (rows["noise_source"] != "digital").to_numpy()
        heard = [
            {pitch for row in part[is_noise[part]] for pitch in pitches(corpus.samples(np.array([row]))[0])}
            for part in (train, judged)
        ]
        assert heard[1] == {own}
        assert own not in heard[0]
        assert heard[0] <= {pitch_of(other) for other in range(NEVER_JUDGED, folds)}
    if folds > 1:
        assert (seen == 1).all()  # the out-of-fold table has each clip once


def test_each_fold_has_silence_by_the_size_of_its_command_classes(tmp_path):
    noise = pitched("hum", 20, 4)
    corpus = made(tmp_path, [*clips(16), noise], folds=4, silence={"train": 2})
    rows = corpus.rows.assign(fold=corpus.rows["fold"])
    assert (rows["split"] == "train").all()
    counts = rows.groupby(["fold", "word"]).size().unstack()
    assert counts["yes"].tolist() == [4] * 4
    assert counts["_silence_"].tolist() == [8] * 4
    names = rows.loc[rows["word"] == "_silence_", "clip"]
    assert names.iloc[0] == "_silence_/fold_0_00000.wav"
    assert names.is_unique


def test_one_fold_is_made_as_before_there_were_folds(tmp_path):
    noise = pitched("hum", 10, 1)
    corpus = made(tmp_path, [*clips(20), noise], seed=5, silence={"train": 0.5, "validation": 2})
    of_silence = corpus.rows["word"] == "_silence_"
    assert corpus.rows.loc[of_silence, "clip"].tolist() == [
        *(f"_silence_/train_{number:05}.wav" for number in range(9)),
        *(f"_silence_/validation_{number:05}.wav" for number in range(4)),
    ]
    stretches = {fold: [stretch] for fold, stretch in cut(Noise("hum", soundfile_samples(noise)), 0)}
    for index, (split, fold, count) in enumerate([("train", NEVER_JUDGED, 9), ("validation", 0, 4)]):
        drawn = silence.make(stretches[fold], count, Silence(), np.random.default_rng([5, index]))
        rows = np.flatnonzero(of_silence & (corpus.rows["split"] == split))
        np.testing.assert_array_equal(corpus.samples(rows), np.stack([samples for samples, _ in drawn]))


def soundfile_samples(item):
    return soundfile.read(io.BytesIO(item.data), dtype="int16")[0]


def test_words_are_kept_from_a_fold_s_nets_and_judge_them(tmp_path):
    items = [*clips(12), *clips(12, words=("ant", "bee", "cow", "dog")), pitched("hum", 20, 2)]
    plain = made(tmp_path / "plain", items, folds=2)
    corpus = made(tmp_path / "kept", items, folds=2, unheard_words=0.5)
    assert plain.unheard_words == []
    assert [len(words) for words in corpus.unheard_words] == [2, 2]
    assert corpus.fingerprint != plain.fingerprint
    words = corpus.rows["word"].to_numpy()
    for fold in range(2):
        kept = set(corpus.unheard_words[fold])
        assert not kept & set(words[corpus.training_rows(fold)])
        assert kept <= set(words[corpus.judged_rows(fold)])
        missing = set(plain.training_rows(fold)) - set(corpus.training_rows(fold))
        assert set(words[sorted(missing)]) == kept
    with pytest.raises(PipelineError, match="leaves no unknown word to learn from"):
        made(tmp_path / "none", [*clips(12), pitched("hum", 20, 2)], folds=2, unheard_words=0.5)


def test_whole_recordings_of_noise_belong_to_one_fold(tmp_path):
    items = [*clips(12), *(pitched(f"noise_{number}", 10, 2) for number in range(4))]
    corpus = made(tmp_path, items, folds=2, silence={"train": 3, "whole_recordings": True})
    for fold in range(2):
        heard = {noise.name for noise in corpus.training_noises(fold)}
        assert len(heard) == 2
        sources = corpus.rows["noise_source"].iloc[corpus.judged_rows(fold)].dropna()
        judging = {name for source in sources for name in source.split("\n")} - {"digital"}
        assert judging
        assert not judging & heard


def test_the_corpus_follows_the_number_of_folds(tmp_path):
    items = [*clips(), pitched("hum", 20, 3)]
    prints = {folds: made(tmp_path / str(folds), items, folds=folds).fingerprint for folds in (1, 2, 3)}
    assert len(set(prints.values())) == 3
    assert made(tmp_path / "again", items, folds=3).fingerprint == prints[3]


def test_what_came_in_is_listed_beside_the_corpus(tmp_path):
    items = [
        *clips(),
        pitched("hum", 10, 1),
        Rejected("train", "odd", "no label"),
        Recording("test", "b.wav", SHORT),
        Recording("test", "a.wav", b""),
        SplitList("validation", frozenset({"yes/s0_nohash_0.wav", "no/s0_nohash_0.wav", "cat/s0_nohash_0.wav"})),
    ]
    answers = pandas.DataFrame({"fname": ["a.wav", "b.wav"], "label": ["cat", "yes"], "usage": "Public"})
    corpus = made(tmp_path, items, sample=["b.wav", "a.wav"], answers=answers, splits="lists")
    assert set(corpus.rows["speaker"][corpus.judged_rows(0)].dropna()) == {"s0"}
    assert (tmp_path / "sample.csv").read_text() == "fname\nb.wav\na.wav\n"
    assert (tmp_path / "answers.csv").read_text() == "fname,label,usage\nb.wav,yes,Public\na.wav,unknown,Public\n"
    listed = pandas.read_csv(tmp_path / "quarantine.csv")
    assert listed[["clip", "action"]].values.tolist() == [["odd", "excluded"], ["a.wav", "silenced"]]


@pytest.mark.parametrize(
    ("items", "section", "message"),
    [
        ([], {}, "gave no training clip"),
        (clips(), {}, r"no background noise for train.*\n.*\nprepare:\n  silence: \{train: 0"),
        ([*clips(), pitched("beep", 1, 3)], {"folds": 3}, r"no background noise for fold 1.*\n.*prepare\.folds"),
        (clips(2), {"folds": 3}, "No clip is left for fold 0"),
        ([*clips(), Recording("train", "stop/s0_nohash_0.wav", SHORT, "stop", "s0")], {}, None),
    ],
)
def test_what_cannot_be_prepared_says_why(tmp_path, items, section, message):
    if message is None:
        items, section = [*items, pitched("hum", 10, 3)], {"commands": ("yes", "stop"), "folds": 3}
        message = r"No training clip outside fold \d is stop, so it can be neither learnt nor judged\."
    with pytest.raises(PipelineError, match=message):
        made(tmp_path, items, **section)


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("without", [[], ["unknown"]])
@pytest.mark.parametrize("words", [("yes", "no", "cat"), COMMANDS])
def test_the_remedy_for_recordings_without_noise_is_whole(tmp_path, capsys, words, without, folds):
    items = [*clips(words=words), *([pitched("beep", 1, 3)] if folds == 3 else [])]
    with pytest.raises(PipelineError, match="no background noise") as error:
        made(tmp_path / "none", items, folds=folds, without=without)
    remedy = yaml.safe_load("prepare:" + str(error.value).split("\nprepare:")[1])["prepare"]
    assert remedy["without"] == (["silence"] if "cat" in words and not without else ["unknown", "silence"])
    corpus = made(tmp_path / "cured", items, folds=folds, **remedy)
    assert corpus.description["counts"]["train"]["yes"]
    assert corpus.description["counts"]["train"]["silence"] == 0
    # Said only where there is none at all.
    assert (
        "No background noise of a second or more was read, so AddNoise changes nothing." in capsys.readouterr().out
    ) == (folds == 1)


def test_a_folder_whose_case_differs_from_a_command_is_told(tmp_path, capsys):
    items = clips(words=("yes", "no", "No", "NO", "cat"))
    made(tmp_path / "one", items, without=["silence"], silence={"train": 0, "validation": 0})
    printed = capsys.readouterr().out
    assert "Warning: No is not the command no, since its case differs; its 12 clips are unknown." in printed
    assert "Warning: NO is not the command no" in printed
    both = ("yes", "no", "No", "NO")
    made(tmp_path / "all", items, commands=both, without=["silence"], silence={"train": 0, "validation": 0})
    assert "case differs" not in capsys.readouterr().out


def test_labels_that_are_meant_already_stay_in_the_advice(tmp_path):
    silence = {"train": 0, "validation": 0}
    with pytest.raises(PipelineError, match=r"it is meant: prepare\.without: \[unknown, silence\]\."):
        made(tmp_path, clips(words=COMMANDS), without=["unknown"], silence=silence)


def test_a_source_without_a_training_clip_says_what_came_and_asks_for_the_layout(tmp_path):
    odd = [Recording("train", f"{name}.wav", b"no sound", "yes") for name in "abc"]
    items = [*odd, Rejected("train", "d.m4a", "no label"), pitched("hum", 10, 1), Recording("test", "t.wav", SHORT)]
    with pytest.raises(PipelineError) as error:
        made(tmp_path / "odd", items)
    reason = "not decodable: Format not recognised."
    assert str(error.value).splitlines() == [
        "The source 'demo' gave no training clip that can be read: for training 5 recordings came, "
        "and 4 were rejected, such as",
        f"  'a.wav': {reason}",
        "  'd.m4a': no label",
        "Is the layout as the source expects it? The paths that were read are in artifacts/download/manifest.json; "
        "section download names them.",
    ]
    with pytest.raises(PipelineError, match=r"for training 0 recordings came\.\nIs the layout"):
        made(tmp_path / "none", [])


NOISE = pitched("hum", 10, 1)


@pytest.mark.parametrize(
    ("items", "section", "lacking"),
    [
        ([*clips(words=COMMANDS), NOISE], {}, ["unknown"]),
        ([*clips(), NOISE], {"silence": {"train": 0}}, ["silence"]),
        ([*clips(), NOISE], {"silence": {"train": 0.01}}, ["silence"]),  # rounded to none
        (clips(words=COMMANDS), {"silence": {"train": 0, "validation": 0}}, ["unknown", "silence"]),
    ],
    ids=["no other word", "no silence", "too little silence", "neither"],
)
@pytest.mark.parametrize("folds", [1, 3])
def test_a_label_that_no_training_clip_has_is_refused_unless_it_is_meant(tmp_path, items, section, lacking, folds):
    items = [*items, pitched("more", 10, folds)]
    with pytest.raises(PipelineError) as error:
        made(tmp_path, items, folds=folds, **section)
    message = str(error.value)
    assert message.startswith("No training clip")
    assert f" is {', '.join(lacking)}, so it can be neither learnt nor judged" in message
    assert f"say that it is meant: prepare.without: [{', '.join(lacking)}]." in message
    corpus = made(tmp_path, items, folds=folds, without=lacking, **section)
    assert all(corpus.description["counts"]["train"][label] == 0 for label in lacking)


def test_silence_that_a_source_brings_as_clips_counts(tmp_path):
    items = [*clips(words=(*COMMANDS, "_unknown_", "_silence_"))]
    corpus = made(tmp_path, items, silence={"train": 0, "validation": 0})
    assert all(corpus.description["counts"]["train"].values())


def test_without_commands_nothing_is_submitted_and_no_label_is_missed(tmp_path):
    corpus = made(tmp_path, clips(), commands=(), folds=3)
    assert corpus.vocabulary.commands == ()
    assert (corpus.rows["word"] != "_silence_").all()


@pytest.mark.parametrize("folds", [0, 101, 2.5, "two"])
def test_a_number_of_folds_that_cannot_be_is_refused(folds):
    with pytest.raises(ValueError, match="folds"):
        Prepare(folds=folds)
