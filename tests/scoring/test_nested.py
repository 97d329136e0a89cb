import numpy as np
import pytest

from pipeline import metrics
from pipeline.errors import PipelineError
from pipeline.scoring.nested import OutOfFold, blocks_by_clip, blocks_of, decide_nested
from pipeline.scoring.probabilities import Probabilities
from tests.judged_clips import corpus_of

LABELS = ["yes", "unknown"]


def random_table(clips, seed=0, run="gru", corpus="c"):
    values = np.random.default_rng(seed).random(len(clips))
    return Probabilities(list(clips), LABELS, np.column_stack([values, 1 - values]), run, corpus)


def named(count):
    return [f"{number}.wav" for number in range(count)]


def test_whole_speakers_are_dealt_evenly():
    rng = np.random.default_rng(0)
    speakers = rng.zipf(1.5, 3_000).clip(max=200).astype(str)
    blocks = blocks_of(speakers, 5, seed=1)
    assert all(len(set(blocks[speakers == speaker])) == 1 for speaker in np.unique(speakers))
    sizes = np.bincount(blocks, minlength=5)
    largest = max(np.unique(speakers, return_counts=True)[1])
    assert sizes.max() - sizes.min() <= max(1, largest - sizes.min())


def test_blocks_of_equal_groups_differ_by_one_clip_at_most():
    sizes = np.bincount(blocks_of(named(100_003), 5))
    assert sizes.max() - sizes.min() == 1


def test_blocks_do_not_depend_on_the_order_of_the_clips_but_on_the_seed():
    speakers = np.random.default_rng(0).integers(0, 40, 500).astype(str)
    order = np.random.default_rng(1).permutation(500)
    blocks = blocks_of(speakers, 5, seed=3)
    assert np.array_equal(blocks_of(speakers[order], 5, seed=3), blocks[order])
    assert not np.array_equal(blocks_of(speakers, 5, seed=4), blocks)


def test_fewer_speakers_than_blocks_leave_blocks_empty():
    assert sorted(set(blocks_of(["ann", "bob", "ann"], 5).tolist())) == [0, 1]


def test_what_was_learnt_by_heart_is_no_better_than_chance_on_other_blocks():
    clips = named(1_000)
    table = random_table(clips)
    truth = np.random.default_rng(1).integers(0, 2, 1_000)
    answers = dict(zip(clips, truth, strict=True))

    def by_heart(chosen_on, index):
        assert chosen_on.clips == [clips[number] for number in index]
        known = {clip: answers[clip] for clip in chosen_on.clips}
        return lambda judged: np.array([known.get(clip, 0) for clip in judged.clips])

    in_sample = by_heart(table, np.arange(1_000))(table)
    assert np.mean(in_sample == truth) == 1
    nested = decide_nested(OutOfFold(table, clips, blocks_of(clips)), by_heart)
    assert np.mean(nested == truth) == pytest.approx(0.5, abs=0.05)


def test_a_block_is_judged_by_the_table_that_was_made_without_it():
    clips = named(6)
    tables = {block: random_table(clips, seed=block + 1) for block in range(3)}
    blocks = np.array([0, 1, 2, 0, 1, 2])
    out_of_fold = OutOfFold(random_table(clips), clips, blocks, tables)
    seen = []

    def fit(chosen_on, index):
        seen.append((chosen_on.values, index.tolist()))
        return lambda judged: judged.values.argmax(axis=1)

    decided = decide_nested(out_of_fold, fit)
    for block, (values, index) in enumerate(seen):
        assert index == np.flatnonzero(blocks != block).tolist()
        assert np.array_equal(values, tables[block].values[index])
    nested = out_of_fold.nested_table()
    assert np.array_equal(decided, nested.values.argmax(axis=1))
    assert np.array_equal(nested.values[[1, 4]], tables[1].values[[1, 4]])


def test_as_many_speakers_as_clips_are_needed():
    with pytest.raises(ValueError, match="6 clips need as many speakers and blocks; got 5 and 6"):
        OutOfFold(random_table(named(6)), named(5), np.zeros(6, int))


@pytest.fixture
def corpus(tmp_path):
    clips = [
        {"clip": f"yes/{number}", "word": "yes", "speaker": f"s{number % 7}", "fold": number % 7 % 2}
        for number in range(28)
    ]
    return corpus_of(tmp_path / "prepare", [*clips, {"clip": "yes/train", "word": "yes", "speaker": "t"}])


def of_corpus(corpus, seed=0):
    # In the order of the folds, as `predict` writes.
    rows = corpus.rows[corpus.rows["fold"] >= 0].sort_values("fold", kind="stable")
    return random_table(rows["clip"], seed, corpus=corpus.fingerprint)


def test_tables_come_back_from_the_disk(corpus, tmp_path):
    table = of_corpus(corpus)
    block_of = blocks_by_clip(corpus)
    blocks = np.array([block_of[clip] for clip in table.clips])
    speakers = [corpus.rows.set_index("clip")["speaker"][clip] for clip in table.clips]
    nested = {block: of_corpus(corpus, seed=block + 1) for block in range(5)}
    OutOfFold(table, speakers, blocks, nested).write(tmp_path / "gru")
    again = OutOfFold.read(tmp_path / "gru", corpus)
    assert (again.speakers, again.blocks.tolist()) == (speakers, blocks.tolist())
    assert np.array_equal(again.table.values, table.values)
    assert np.array_equal(again.without(3).values, nested[3].values)
    OutOfFold(table, speakers, blocks).write(tmp_path / "plain")
    assert np.array_equal(OutOfFold.read(tmp_path / "plain", corpus).nested_table().values, table.values)


def test_a_nested_table_that_is_missing_or_of_other_clips_is_refused(corpus, tmp_path):
    table = of_corpus(corpus)
    table.write(tmp_path / "gru" / "out_of_fold.parquet")
    for block in range(5):
        table.write(tmp_path / "gru" / "nested" / f"{block}.parquet")
    table.select(np.arange(27)).write(tmp_path / "gru" / "nested" / "2.parquet")
    with pytest.raises(PipelineError, match=r"2\.parquet has other clips or labels.*run 'gru'.*predict it anew"):
        OutOfFold.read(tmp_path / "gru", corpus).without(2)
    (tmp_path / "gru" / "nested" / "4.parquet").unlink()
    with pytest.raises(PipelineError, match=r"no .*4\.parquet.*dvc repro"):
        OutOfFold.read(tmp_path / "gru", corpus)


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_nets_that_rank_alike_are_ranked_together_as_each_alone(share):
    """However sure the net of a fold or an epoch is, and how often a fold holds the label."""
    rng = np.random.default_rng(0)
    clips, labels = 3000, ["Cat", "Dog"]
    names, fold_of, blocks = [str(clip) for clip in range(clips)], np.arange(clips) % 3, np.arange(clips) // 3 % 5
    truth = rng.random((clips, 2)) < share * np.array([0.25, 0.75, 2.0])[fold_of, None]
    logits = 2.5 * truth + rng.normal(size=(clips, 2)) - 2

    def table(times, offsets):
        return Probabilities(names, labels, 1 / (1 + np.exp(-times * logits - offsets)), exclusive=False)

    def precision(scores):
        return metrics.average_precisions(truth, scores.values).mean()

    alike = precision(table(1.0, 0.0))
    of_folds = table(np.array([1.0, 1.5, 0.7])[fold_of, None], np.array([2.0, 0.0, -1.0])[fold_of, None])
    surer = table(np.array([2.0, 2.5, 1.4])[fold_of, None], 1.0)
    judged = OutOfFold(of_folds, names, blocks, {block: surer if block % 2 else of_folds for block in range(5)})
    assert max(precision(judged.nested_table()), precision(judged.table)) < alike - 0.05
    aligned = judged.aligned(truth.astype(np.float32), fold_of)
    assert precision(aligned.nested_table()) == pytest.approx(alike, abs=0.03)
    assert precision(aligned.table) == pytest.approx(alike, abs=0.03)
    one = OutOfFold(table(1.0, 0.0), names, blocks).aligned(truth.astype(np.float32), np.zeros(clips, int))
    assert precision(one.nested_table()) == pytest.approx(alike)
    # Of sure nets too, to which most clips without the label are alike unlikely.
    faint = OutOfFold(table(1.0, -12.0), names, blocks).aligned(truth.astype(np.float32), np.zeros(clips, int))
    assert precision(faint.nested_table()) == pytest.approx(alike)
