import numpy as np
import pytest

from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.noise import Noise
from pipeline.scoring import unheard

# word, fold, noise source
CLIPS = [
    *(("yes", number % 2, None) for number in range(4)),
    *(("cat", number % 2, None) for number in range(8)),  # kept from fold 0
    *(("dog", number % 2, None) for number in range(8)),  # kept from fold 1
    *((word, number % 2, None) for word in ("bird", "five", "tree", "wow") for number in range(8)),  # two each
    *(("_silence_", 0, source) for source in ("rain", "rain\nrain", "hum", "rain\nhum", "digital")),
    *(("_silence_", 1, source) for source in ("hum", "rain")),
]
YES, UNKNOWN, SILENCE = range(3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Rain judges fold 0 alone; the hum's stretches judge both."""
    folder = tmp_path_factory.mktemp("prepare")
    with CorpusWriter(folder) as writer:
        for number, (word, _, source) in enumerate(CLIPS):
            about = {"word": word, "speaker": str(number // 2), "noise_source": source}
            writer.add(np.zeros(16_000, np.int16), clip=str(number), part="train", **about)
        for name, fold in (("rain", 0), ("hum", 0), ("hum", 1)):
            writer.add_noise(Noise(name, np.ones(100, np.int16)), fold)
        folds = np.array([fold for _, fold, _ in CLIPS])
        writer.finish(
            np.full(len(CLIPS), "train"),
            folds,
            source="demo",
            seed=1,
            commands=("yes",),
            unheard=[["cat", "bird", "five"], ["dog", "tree", "wow"]],
        )
    return Corpus.open(folder)


def judged(corpus, wrong=()):
    """The figures where all clips but these are recognised."""
    rows = np.arange(len(CLIPS))
    truth = np.array([{"yes": YES, "_silence_": SILENCE}.get(word, UNKNOWN) for word, *_ in CLIPS])
    decided = np.where(np.isin(rows, wrong), YES, truth)
    return unheard.describe(corpus, rows, truth, decided, corpus.rows["speaker"].tolist())


def test_the_nets_of_a_fold_learn_none_of_its_words(corpus):
    words = corpus.rows["word"].to_numpy()
    for fold, kept in ((0, "cat"), (1, "dog")):
        assert kept not in words[corpus.training_rows(fold)]
        assert kept in words[corpus.judged_rows(fold)]


def test_recall_is_of_words_and_noises_that_the_fold_s_nets_never_heard(corpus):
    figures = judged(corpus)
    assert (figures["unheard_recall"], figures["unheard_clips"], figures["unheard_words"]) == (1.0, 24, 6)
    # The rain alone: of fold 1 nets have heard it, and of the hum each fold heard a stretch.
    assert (figures["unheard_noise_recall"], figures["unheard_noise_clips"]) == (1.0, 2)
    cats = [number for number, (word, fold, _) in enumerate(CLIPS) if (word, fold) == ("cat", 0)]
    assert judged(corpus, wrong=cats[:2])["unheard_recall"] == pytest.approx(22 / 24, abs=1e-5)
    heard = [number for number, (word, fold, _) in enumerate(CLIPS) if (word, fold) == ("cat", 1)]
    assert judged(corpus, wrong=heard) == figures


def test_words_that_all_fail_together_widen_the_interval(corpus):
    of = {
        word: [n for n, (own, fold, _) in enumerate(CLIPS) if own == word and fold == (word in "dog tree wow")]
        for word in ("cat", "bird", "five", "dog", "tree", "wow")
    }
    whole = [number for word in ("cat", "five", "tree") for number in of[word]]
    halves = [number for numbers in of.values() for number in numbers[:2]]
    widths = []
    for wrong in (whole, halves):
        figures = judged(corpus, wrong)
        assert figures["unheard_recall_low"] < 0.5 < figures["unheard_recall_high"]
        widths.append(figures["unheard_recall_high"] - figures["unheard_recall_low"])
    assert widths[0] > widths[1]


def test_one_word_or_noise_alone_tells_next_to_nothing_of_others(corpus):
    """Else its interval would be narrower than that of two which differ."""
    figures = judged(corpus)  # of one noise, the rain, and of two words
    assert figures["unheard_noise_recall_high"] - figures["unheard_noise_recall_low"] > 0.75
    of_cat = np.array([number for number, (word, *_) in enumerate(CLIPS) if word == "cat"])
    decided = np.where(np.arange(len(of_cat)) < 6, UNKNOWN, YES)
    alone = unheard.describe(corpus, of_cat, np.full(len(of_cat), UNKNOWN), decided, [str(clip) for clip in of_cat])
    assert alone["unheard_words"] == 1
    assert alone["unheard_recall_high"] - alone["unheard_recall_low"] > 0.75


def test_nothing_is_told_of_what_all_nets_have_heard(corpus):
    rows = np.arange(4)
    assert unheard.describe(corpus, rows, np.full(4, YES), np.full(4, YES), ["a"] * 4) == {}


@pytest.mark.parametrize(
    ("words", "clips", "mean", "spread"), [(5, 30, 0.95, 2.0), (6, 20, 0.9, 0.5), (20, 30, 0.9, 0.7)]
)
def test_intervals_hold_where_nearly_all_clips_are_right(words, clips, mean, spread):
    """Words whose recalls are drawn from a Beta distribution; few of them hardly show how much they differ."""
    held = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        recalls = rng.beta(mean * spread, (1 - mean) * spread, words)
        of = np.repeat([f"word{number}" for number in range(words)], clips)
        right = rng.random(words * clips) < np.repeat(recalls, clips)
        _, low, high = unheard.recall_of(right, (np.arange(len(right)) % 40).astype(str), of)
        held.append(low <= mean <= high)
    assert np.mean(held) >= 0.9
