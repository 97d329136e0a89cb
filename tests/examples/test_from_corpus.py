"""What the nets of a fold learn from: nothing that judges them."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.noise import NEVER_JUDGED, Noise
from pipeline.errors import PipelineError
from pipeline.examples.augmentation import Augmentation
from pipeline.examples.background import background_of
from pipeline.examples.from_corpus import SoftLabels, judged_labels, training_data_of
from pipeline.examples.pseudo_labels import PseudoLabels
from pipeline.examples.rebalancing import Rebalancing
from pipeline.examples.target import target_of
from pipeline.examples.task import Presence, Task

WORDS = ["yes", "no", "cat", "dog", "cow", "_silence_"]
FOLDS = 3
PITCHES_HZ = [400, 800, 1200]  # of the noise that judges each fold


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six clips of each word, two for each of three folds; one more has no accent; then two test clips, and synthetic
    ones: three of yes, two of another word."""
    folder = tmp_path_factory.mktemp("corpus")
    folds = []
    with CorpusWriter(folder) as writer:
        for number in range(6):
            for word in WORDS:
                accent = {} if (number, word) == (0, "yes") else {"accent": "ab"[number % 2]}
                clip = np.full(16_000, len(folds), np.int16)
                writer.add(clip, clip=f"{word}{number}", part="train", word=word, tags=(word,), metadata=accent)
                folds.append(number % FOLDS)
        for number in range(2):
            writer.add(np.full(16_000, len(folds), np.int16), clip=f"t{number}", part="test")
            folds.append(NEVER_JUDGED)
        for number, word in enumerate(["yes"] * 3 + ["_unknown_"] * 2):
            writer.add(np.full(16_000, len(folds), np.int16), clip=f"s{number}", part="train", word=word)
            folds.append(NEVER_JUDGED)
        for fold in range(FOLDS):
            tone = 1000 * np.sin(2 * np.pi * PITCHES_HZ[fold] * np.arange(20_000) / 16_000)
            writer.add_noise(Noise(f"tone {fold}", tone.astype(np.int16)), fold)
        splits = np.where(np.array(folds) >= 0, "train", "test").astype(object)
        splits[-5:] = "synthetic"
        writer.finish(splits, np.array(folds), source="demo", seed=1, commands=("yes", "no"))
    return Corpus.open(folder)


def data_of(corpus, fold=0, task=None, rebalancing=None, augmentation=(), soft=None, epochs=1):
    task = task or Task()
    return training_data_of(
        corpus,
        fold,
        task,
        target_of(corpus, task),
        corpus.samples,
        Augmentation(list(augmentation)),
        rebalancing or Rebalancing(unknown="all"),
        1,
        soft,
        epochs,
    )


@pytest.mark.parametrize("fold", range(FOLDS))
def test_each_fold_is_judged_by_its_own_clips_and_learns_from_the_others(corpus, fold):
    data = data_of(corpus, fold)
    assert data.validation.rows.tolist() == corpus.judged_rows(fold).tolist()
    assert data.train.rows.tolist() == corpus.training_rows(fold).tolist()
    assert not set(data.train.rows) & set(data.validation.rows)
    np.testing.assert_array_equal(data.train.read(data.train.rows[:5])[:, 0], data.train.rows[:5])
    labels = target_of(corpus, Task()).labels
    held = [labels[target] for target in data.validation.targets]
    assert held == ["yes", "no", *["unknown"] * 3, "silence"] * 2


@pytest.mark.parametrize("fold", range(FOLDS))
def test_noise_that_judges_is_never_added_to_a_training_clip(corpus, fold):
    data = data_of(corpus, fold, augmentation=[{"AddNoise": {"min_snr_db": 0, "max_snr_db": 0, "p": 1}}])
    clip = np.tile(np.array([200, -200], np.int16), 8_000)[None].repeat(20, axis=0)
    added = data.augment(clip, [np.random.default_rng(draw) for draw in range(20)]) - clip / 32768
    heard = set(np.abs(np.fft.rfft(added)).argmax(axis=1).tolist())
    assert heard == {PITCHES_HZ[other] for other in range(FOLDS) if other != fold}


@pytest.mark.parametrize("fold", range(FOLDS))
def test_a_crowd_is_of_training_clips_with_words_alone(corpus, fold):
    speech = pickle.loads(pickle.dumps(background_of(corpus, fold))).speech
    learnt = corpus.training_rows(fold)
    spoken = learnt[corpus.rows["word"].to_numpy()[learnt] != "_silence_"]
    assert [int(clip[0]) for clip in speech] == spoken.tolist()
    assert {clip.shape for clip in speech} == {(16_000,)}
    assert len(spoken) == 4 * 5
    data = data_of(corpus, fold, augmentation=[{"AddBabble": {"p": 1}}])
    clips = np.tile(np.array([200, -200], np.int16), 8_000)[None]
    assert (data.augment(clips, [np.random.default_rng(1)]) != clips / np.float32(32768)).any()


def test_clips_in_a_folder_called_silence_are_no_talkers(corpus):
    rows = corpus.rows.copy()
    rows.loc[rows["word"] == "yes", "word"] = "silence"
    named = SimpleNamespace(rows=rows, training_rows=corpus.training_rows, training_noises=corpus.training_noises)
    spoken = rows["word"].iloc[corpus.training_rows(0)].isin(["_silence_", "silence"])
    assert len(background_of(named, 0).speech) == (~spoken).sum() < len(background_of(corpus, 0).speech)


def test_unknown_is_drawn_anew_each_epoch_for_the_competition_s_question_alone(corpus):
    words = data_of(corpus, rebalancing=Rebalancing(unknown=0.5))
    assert len(words.epoch_indices(0)) == 4 + 4 + 4 + 2  # yes, no, silence, half a class of unknown
    assert words.epoch_indices(0).tolist() != words.epoch_indices(1).tolist()
    other = data_of(corpus, task=Task(target="accent"), rebalancing=Rebalancing(unknown=0.5))
    assert other.epoch_indices(0).tolist() == list(range(len(other.train.rows)))
    even = data_of(corpus, task=Task(presence=Presence(name="speech")), rebalancing=Rebalancing(even=True))
    assert np.bincount(even.train.targets[even.epoch_indices(0)]).tolist() == [4, 4]


def test_clips_whose_target_is_not_known_are_left_out(corpus):
    data = data_of(corpus, 1, Task(target="accent"))
    assert 0 not in data.train.rows
    assert len(data.train.rows) == 23
    with pytest.raises(PipelineError, match="no clip whose accent is known to judge fold 7"):
        data_of(corpus, 7, Task(target="accent"))


def test_the_task_says_whether_labels_exclude_each_other(corpus):
    assert data_of(corpus).train.exclusive
    assert not data_of(corpus, task=Task(target="tags")).train.exclusive
    assert not data_of(corpus, task=Task(target="tags")).validation.exclusive


def test_words_are_judged_as_the_submission_s_labels(corpus):
    words = target_of(corpus, Task(vocabulary="words")).labels
    assert words == ["cat", "cow", "dog", "no", "unknown", "yes", "silence"]
    assert judged_labels(corpus, words).tolist() == [2, 2, 2, 1, 2, 0, 3]
    assert data_of(corpus, task=Task(vocabulary="words")).judged.tolist() == [2, 2, 2, 1, 2, 0, 3]
    assert data_of(corpus).judged.tolist() == [0, 1, 2, 3]
    assert data_of(corpus, task=Task(target="accent")).judged is None


def test_a_student_learns_from_soft_labels_beside_the_training_clips(corpus):
    values = np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]], np.float32)
    soft = SoftLabels(corpus.select("test"), values, PseudoLabels())
    data = data_of(corpus, soft=soft)
    archive = data_of(corpus)
    assert data.train.rows.tolist() == [*archive.train.rows, *corpus.select("test")]
    assert data.train.soft
    np.testing.assert_array_equal(data.train.targets[:-2].argmax(axis=1), archive.train.targets)
    np.testing.assert_array_equal(data.train.targets[-2:], values)
    assert data.validation.rows.tolist() == archive.validation.rows.tolist()
    assert data.validation.targets.dtype == np.int64
    assert data.epoch_indices(0).tolist() == list(range(26))
    none = data_of(corpus, soft=SoftLabels(corpus.select("test"), values, PseudoLabels(share=0.0)))
    assert none.epoch_indices(0).tolist() == list(range(24))
    assert len({soft.digest, SoftLabels(soft.rows[::-1], values, PseudoLabels()).digest}) == 2


def test_an_epoch_holds_its_share_of_synthetic_clips_each_in_its_turn(corpus):
    archive = data_of(corpus)
    data = data_of(corpus, rebalancing=Rebalancing(unknown="all", synthetic=0.125))
    assert data.train.rows.tolist() == [*archive.train.rows, *corpus.select("synthetic")]
    labels = target_of(corpus, Task()).labels
    assert [labels[target] for target in data.train.targets[-5:]] == ["yes"] * 3 + ["unknown"] * 2
    drawn = [data.epoch_indices(epoch) for epoch in range(5)]
    assert all(indices[:24].tolist() == list(range(24)) for indices in drawn)
    held = [indices[24:].tolist() for indices in drawn]
    assert all(len(indices) == 3 for indices in held)  # an eighth of 24
    assert sorted(index for indices in held for index in indices) == sorted([*range(24, 29)] * 3)
    most = data_of(corpus, rebalancing=Rebalancing(unknown="all", synthetic=9))
    assert most.epoch_indices(3)[24:].tolist() == list(range(24, 29))
    assert data.validation.rows.tolist() == archive.validation.rows.tolist()


def test_it_is_told_where_an_epoch_has_fewer_synthetic_clips_than_asked_for(corpus):
    def note(**settings):
        return data_of(corpus, rebalancing=Rebalancing(**settings)).note

    assert note(unknown="all") == note(unknown="all", synthetic=0.2) == ""  # 5 of 24, as many as there are
    assert "asks for 12 synthetic clips an epoch; it has 5:" in note(unknown="all", synthetic=0.5)
    assert "asks for 12 synthetic clips an epoch; it has 5:" in note(unknown="all", synthetic_end=0.5)
    assert "asks for 16 synthetic clips an epoch; it has 4:" in note(unknown=1.0, synthetic=1)


def test_unknown_is_balanced_among_synthetic_clips_too(corpus):
    labels = np.array(target_of(corpus, Task()).labels)
    for ratio, wanted in ((1.0, {"yes": 2, "unknown": 2}), (0.5, {"yes": 3, "unknown": 1}), (0, {"yes": 3})):
        data = data_of(corpus, rebalancing=Rebalancing(unknown=ratio, synthetic=9))
        held = []
        for epoch in range(4):
            synthetic = [index for index in data.epoch_indices(epoch) if index >= 24]
            of_label = labels[data.train.targets[synthetic]].tolist()
            assert {label: of_label.count(label) for label in set(of_label)} == wanted
            held += synthetic
        assert len(set(held)) == (5 if ratio else 3)  # all had their turn


def test_the_share_of_synthetic_clips_may_fall_and_the_epochs_stay_as_long(corpus):
    settings = Rebalancing(unknown="all", synthetic=0.17, synthetic_end=0)  # of 24 clips: 4, 2 and none
    data = data_of(corpus, rebalancing=settings, epochs=3)
    drawn = [data.epoch_indices(epoch).tolist() for epoch in range(4)]
    assert [sum(index >= 24 for index in indices) for indices in drawn] == [4, 2, 0, 0]
    assert [len(indices) for indices in drawn] == [28] * 4
    assert all(set(range(24)) <= set(indices) for indices in drawn)
    held = [index for indices in drawn for index in indices if index >= 24]
    assert len(set(held)) == 5  # of six: all, before one comes back
    twice = [index for indices in drawn for index in range(24) if indices.count(index) == 2]
    assert len(twice) == 2 + 4 + 4 == len(set(twice))  # none three times, and none again before the others
    rising = data_of(corpus, rebalancing=Rebalancing(unknown="all", synthetic=0, synthetic_end=9), epochs=2)
    assert [sum(index >= 24 for index in rising.epoch_indices(epoch)) for epoch in range(2)] == [0, 5]
    assert [len(rising.epoch_indices(epoch)) for epoch in range(2)] == [29, 29]


def test_a_student_learns_from_synthetic_clips_too(corpus):
    soft = SoftLabels(corpus.select("test"), np.full((2, 4), 0.25, np.float32), PseudoLabels())
    data = data_of(corpus, soft=soft, rebalancing=Rebalancing(unknown="all", synthetic=1))
    assert data.epoch_indices(0).tolist() == list(range(24 + 5 + 2))
    assert data.train.rows[-2:].tolist() == corpus.select("test").tolist()
    assert data.train.targets[24:29].max(axis=1).tolist() == [1.0] * 5


def test_synthetic_clips_that_are_not_there_or_tell_nothing_are_missed(corpus):
    with pytest.raises(PipelineError, match=r"of which the word alone is known.*\nDelete the run's rebalancing\.synth"):
        data_of(corpus, task=Task(target="accent"), rebalancing=Rebalancing(synthetic=0.5))
    without = Corpus.open(corpus.folder)
    without.rows.loc[without.rows["split"] == "synthetic", "split"] = "holdout"
    with pytest.raises(PipelineError, match=r"no synthetic clips.*\n?Set prepare\.synthetic"):
        data_of(without, rebalancing=Rebalancing(synthetic=0.5))


def test_what_a_presence_asks_for_and_no_training_clip_has_is_told(corpus):
    asked = Task(presence=Presence(name="animal", of=["cat", "dgo", "cow"]))
    assert data_of(corpus, task=asked).note == (
        "presence.of names what no training clip has, which changes nothing: dgo."
    )


def test_a_word_that_a_fold_shall_not_hear_is_neither_recorded_nor_synthetic_among_what_it_learns(corpus):
    corpus = Corpus.open(corpus.folder)
    words = corpus.rows["word"].to_numpy()
    corpus.unheard_words = [["cat", "_unknown_"], ["dog"], []]
    learnt = [
        set(words[data_of(corpus, fold, rebalancing=Rebalancing(unknown="all", synthetic=1)).train.rows])
        for fold in range(FOLDS)
    ]
    assert learnt == [set(WORDS) - {"cat"}, {*WORDS, "_unknown_"} - {"dog"}, {*WORDS, "_unknown_"}]
    judged = set(words[data_of(corpus, 0).validation.rows])
    assert "cat" in judged


def test_the_seed_decides_what_an_epoch_draws(corpus):
    soft = SoftLabels(corpus.select("test"), np.full((2, 4), 0.25, np.float32), PseudoLabels(share=1 / 14))
    task, drawn = Task(), []
    for seed in range(8):
        data = training_data_of(
            corpus,
            0,
            task,
            target_of(corpus, task),
            corpus.samples,
            Augmentation([]),
            Rebalancing(unknown=0.5),
            seed,
            soft,
        )
        drawn.append(data.epoch_indices(0))
    assert len({tuple(indices[indices < 24]) for indices in drawn}) > 1  # of unknown
    assert {int(indices[-1]) for indices in drawn} == {24, 25}  # of the test clips
