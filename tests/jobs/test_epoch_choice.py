"""The epoch that judges a block of clips is the one that does best on the fold's other clips, and no other."""

import numpy as np
import pytest

from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.jobs.epoch_choice import nested_tables
from pipeline.learners import epochs
from pipeline.learners.detector import combine, groups_of
from pipeline.learners.judging import balanced_accuracy
from pipeline.scoring.nested import OutOfFold, blocks_by_clip
from pipeline.scoring.probabilities import Probabilities
from tests.judged_clips import corpus_of

EPOCHS, SPEAKERS = 4, 10
COMMANDS = ("yes", "no")


@pytest.fixture
def corpus(tmp_path):
    clips = [
        {"clip": f"{fold}-{speaker}-{word}.wav", "word": word, "speaker": f"{fold}-{speaker}", "fold": fold}
        for fold in (0, 1)
        for speaker in range(SPEAKERS)
        for word in ("yes", "no", "cat", "_silence_")
    ]
    return corpus_of(tmp_path / "corpus", clips, COMMANDS)


@pytest.fixture
def folder(tmp_path, corpus):
    """A model folder for each fold with random epochs, and a table of what the kept nets say by all their looks."""
    rng = np.random.default_rng(5)
    labels = corpus.vocabulary.labels("commands")
    kept, clips = [], []
    for fold in (0, 1):
        rows = corpus.judged_rows(fold)
        values = rng.dirichlet(np.full(len(labels), 0.3), (EPOCHS, len(rows))).astype(np.float32)
        for epoch in range(EPOCHS):
            epochs.record(tmp_path / "work" / str(fold), epoch + 1, values[epoch])
        (tmp_path / str(fold)).mkdir()
        epochs.publish(tmp_path / "work" / str(fold), tmp_path / str(fold))
        kept.append(rng.dirichlet(np.full(len(labels), 0.3), len(rows)).astype(np.float32))
        clips += corpus.rows["clip"][rows].tolist()
    table = Probabilities(clips, labels, np.concatenate(kept), "run", corpus.fingerprint)
    table.write(tmp_path / "tables" / "out_of_fold.parquet")
    return tmp_path


def judged(corpus, fold, block):
    """Return the rows of a fold's clips, their names, and which of them lie outside the block."""
    rows, block_of = corpus.judged_rows(fold), blocks_by_clip(corpus)
    names = corpus.rows["clip"][rows].tolist()
    return rows, names, np.array([block_of[name] != block for name in names])


def test_each_block_is_judged_by_the_epoch_that_is_best_without_it_and_the_kept_one_by_all_its_looks(folder, corpus):
    task = Task()
    target = target_of(corpus, task)
    nested_tables(folder / "tables", corpus, target, task, {fold: folder / str(fold) for fold in (0, 1)})
    out_of_fold = OutOfFold.read(folder / "tables", corpus)
    assert len(out_of_fold.nested) == 5
    others, all_looks = 0, 0
    for block in out_of_fold.nested:
        nested = out_of_fold.without(block)
        for fold in (0, 1):
            rows, names, counted = judged(corpus, fold, block)
            values, truth = epochs.load(folder / str(fold)), target.values[rows]
            # The mean recall of the labels, by hand: without the block, and on all clips, by which an epoch was kept.
            best = []
            for some in (counted, counted | True):
                figures = []
                for epoch in values:
                    right = epoch.argmax(axis=1) == truth
                    figures.append(np.mean([right[some & (truth == label)].mean() for label in np.unique(truth)]))
                best.append(int(np.argmax(figures)))
            places = [nested.clips.index(name) for name in names]
            expected = out_of_fold.table.values[places] if best[0] == best[1] else values[best[0]]
            assert np.abs(nested.values[places] - expected).max() < 1e-3
            others += best[0] != best[1]
            all_looks += best[0] == best[1]
    assert min(others, all_looks) > 0  # else it would show nothing


def test_a_detector_s_epoch_is_chosen_without_the_block_apart_from_the_words(folder, corpus):
    task = Task()
    target, rng = target_of(corpus, task), np.random.default_rng(6)
    _, group = groups_of(target.labels)
    for fold in (0, 1):
        work = folder / "work" / str(fold) / "detector"
        for epoch in range(1, EPOCHS + 3):  # more than the words' net learnt
            epochs.record(work, epoch, rng.dirichlet(np.full(3, 0.3), len(corpus.judged_rows(fold))).astype("f"))
        (folder / str(fold) / "detector").mkdir()
        epochs.publish(work, folder / str(fold) / "detector")
    nested_tables(folder / "tables", corpus, target, task, {fold: folder / str(fold) for fold in (0, 1)})
    out_of_fold = OutOfFold.read(folder / "tables", corpus)
    chosen = set()
    for block in out_of_fold.nested:
        nested = out_of_fold.without(block)
        for fold in (0, 1):
            rows, names, counted = judged(corpus, fold, block)
            best, is_kept = [], True
            truth = target.values[rows]
            for values, wanted in ((folder / str(fold), truth), (folder / str(fold) / "detector", group[truth])):
                kept = epochs.load(values).astype("f")
                one, of_all = (
                    int(np.argmax([balanced_accuracy(epoch[some], wanted[some]) for epoch in kept]))
                    for some in (counted, counted | True)
                )
                best.append(kept[one])
                is_kept &= one == of_all
                chosen.add((values.name, one, is_kept))
            places = [nested.clips.index(name) for name in names]
            expected = out_of_fold.table.values[places] if is_kept else combine(*best, group)
            assert np.abs(nested.values[places] - expected).max() < 1e-6
    assert len(chosen) > 4  # else it would show nothing


def test_where_no_epoch_was_chosen_there_is_nothing_to_nest(folder, corpus):
    for fold in (0, 1):
        (folder / str(fold) / "epochs.npy").unlink()
    task = Task()
    nested_tables(folder / "tables", corpus, target_of(corpus, task), task, {0: folder / "0", 1: folder / "1"})
    assert [path.name for path in (folder / "tables").iterdir()] == ["out_of_fold.parquet"]


def test_of_words_the_epoch_is_chosen_by_the_labels_of_the_submission(tmp_path):
    words = ("cat", "dog", "no", "yes", "_silence_")
    clips = [
        {"clip": f"{speaker}-{word}.wav", "word": word, "speaker": str(speaker), "fold": 0}
        for speaker in range(SPEAKERS)
        for word in words
    ]
    corpus, task = corpus_of(tmp_path / "corpus", clips, COMMANDS), Task(vocabulary="words")
    target = target_of(corpus, task)
    right = np.eye(len(target.labels))[target.values]
    swapped = right[:, [target.labels.index({"cat": "dog", "dog": "cat"}.get(name, name)) for name in target.labels]]
    block_of = blocks_by_clip(corpus)
    inside = np.array([block_of[name] == 0 for name in corpus.rows["clip"]])[:, None]
    half = (np.arange(len(right)) % 2 == 0)[:, None] & (target.values[:, None] == target.labels.index("yes"))
    wrong = np.roll(right, 1, axis=1)
    # The first confuses unknown words alone, which costs nothing, but for the block, where all is wrong. The second is
    # wrong of half of a command, but for the block; so it is kept, and without the block the first is better.
    for epoch, values in enumerate((np.where(inside, wrong, swapped), np.where(half & ~inside, wrong, right)), start=1):
        epochs.record(tmp_path / "work", epoch, values)
    (tmp_path / "model").mkdir()
    epochs.publish(tmp_path / "work", tmp_path / "model")
    names = corpus.rows["clip"].tolist()
    Probabilities(names, target.labels, right, "run", corpus.fingerprint).write(tmp_path / "out_of_fold.parquet")
    nested_tables(tmp_path, corpus, target, task, {0: tmp_path / "model"})
    assert np.array_equal(OutOfFold.read(tmp_path, corpus).without(0).values, np.where(inside, wrong, swapped))
