"""Clips that are judged: small corpora that say what is true, and tables of probabilities, simulated and real."""

from pathlib import Path

import numpy as np
import pandas

from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.scoring.probabilities import Probabilities

COMMANDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
LABELS = [*COMMANDS, "unknown", "silence"]
UNKNOWN, SILENCE = 10, 11

# Two nets of profiles/archives.yaml, trained on the mini-competition without the words five, four, marvin, nine and
# sheila: what they say of its listed clips, whose other words they learnt (`heard`), and of all clips of those five.
# Probabilities of the submission's labels, times 10,000; `truth` is an index of LABELS.
MINIATURE = Path(__file__).parent / "scoring" / "miniature.parquet"


def corpus_of(folder: Path, clips, commands=(), source="demo") -> Corpus:
    """A corpus of silent clips: dictionaries of what `CorpusWriter.add` takes, with "split" and "fold" (-1)."""
    folder.mkdir(parents=True, exist_ok=True)
    with CorpusWriter(folder) as writer:
        for clip in clips:
            facts = {key: value for key, value in clip.items() if key not in ("split", "fold")}
            writer.add(np.zeros(16_000, np.int16), **{"part": "train", **facts})
        splits = np.array([clip.get("split", "train") for clip in clips])
        folds = np.array([clip.get("fold", -1) for clip in clips])
        writer.finish(splits, folds, source=source, seed=1, commands=commands)
    return Corpus.open(folder)


def table(rows, labels=LABELS) -> Probabilities:
    return Probabilities([f"{number}.wav" for number in range(len(rows))], labels, np.array(rows))


def simulated(seed, clips_per_label, separation=4.0, bias=(0.0, 0.0), without_unknown=False, spread=0.0):
    """Posteriors of a net whose logits for unknown and silence are off by `bias`; their truth and their speakers.

    `spread` is how far the logits of one speaker's clips are off together.
    """
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(12), clips_per_label)
    speakers = rng.integers(0, max(2, len(truth) // 8), len(truth))
    logits = rng.normal(size=(len(truth), 12)) + spread * rng.normal(size=(speakers.max() + 1, 12))[speakers]
    logits[np.arange(len(truth)), truth] += separation * rng.lognormal(0, 0.5, len(truth))
    logits[:, UNKNOWN:] += bias
    if without_unknown:
        logits = np.delete(logits, UNKNOWN, axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    labels = [label for label in LABELS if label != "unknown" or not without_unknown]
    return table(exponentials / exponentials.sum(axis=1, keepdims=True), labels), truth, speakers.astype(str).tolist()


def measured(run, heard):
    """What a real net says of clips of words that it learnt, or of words that it never heard; truth and speakers."""
    rows = pandas.read_parquet(MINIATURE)
    rows = rows[(rows["run"] == run) & (rows["heard"] == heard)]
    values = rows[LABELS].to_numpy() / 1e4
    return table(values), rows["truth"].to_numpy(np.int64), rows["speaker"].astype(str).tolist()


def mean_recall(truth, decided) -> float:
    """The accuracy if all labels were as frequent."""
    return float(np.mean([np.mean(decided[truth == label] == label) for label in np.unique(truth)]))


def guessing_runs(right, seed, clips=300):
    """A run that is right with share `right`, as sure of its mistakes as of the rest, and the truth: three labels."""
    rng = np.random.default_rng(seed)
    truth = np.arange(clips) % 3
    given = np.where(rng.random(clips) < right, truth, (truth + rng.integers(1, 3, clips)) % 3)
    names = [str(clip) for clip in range(clips)]
    return Probabilities(names, ["yes", "unknown", "silence"], 0.1 + 0.7 * np.eye(3)[given], corpus="c"), truth
