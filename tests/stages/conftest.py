"""A small judged competition: a corpus without sound and the probabilities of two runs, as `predict` leaves them."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import yaml

from pipeline import runs
from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.labels import COMMANDS, SILENCE_WORD
from pipeline.layout import Layout
from pipeline.scoring.probabilities import Probabilities

WORDS = [*COMMANDS, "cat", "dog", SILENCE_WORD]
PER_WORD = {"train": 1, "validation": 8, "holdout": 4, "test": 6}
SEPARATION = {"ast": 5.0, "words": 4.0}


class JudgedProject:
    """`params` is written to params.yaml by `configure`; `truth[split]` gives each clip's word.

    With one fold the clips of validation judge it; with more, all labelled clips judge a fold each, by their speaker.
    """

    def __init__(self, root: Path, folds: int = 1) -> None:
        self.layout = Layout(root)
        self.folds = folds
        self.params: dict[str, Any] = {
            "seed": 1,
            "folds": list(range(folds)),
            "download": {"source": "demo"},
            "prepare": {"folds": folds},
            "runs": {"ast": {"model": "ast"}, "words": {"model": "wav2vec2", "vocabulary": "words"}},
            "students": {},
            "decide": {"prior": "uniform", "overrides": {"words": {"rule": "published"}}},
        }
        self.configure()
        self.truth = {
            split: {f"{split}_{word}_{number}.wav": word for word in WORDS for number in range(times)}
            for split, times in PER_WORD.items()
        }
        self._write_corpus()
        for run in self.params["runs"]:
            self.predict(run)

    def configure(self, **changes: Any) -> None:
        self.params.update(changes)
        self.layout.params.write_text(yaml.safe_dump(self.params))

    @property
    def judged(self) -> dict[str, str]:
        """The words of the clips that judge a fold."""
        return self.truth["validation"] if self.folds == 1 else {**self.truth["train"], **self.truth["validation"]}

    def fold_of(self, split: str, number: int) -> int:
        """The fold that a clip judges: that of its speaker, who says each word once."""
        if self.folds == 1:
            return 0 if split == "validation" else -1
        return number % self.folds if split in ("train", "validation") else -1

    def _write_corpus(self) -> None:
        folder = self.layout.prepare
        folder.mkdir(parents=True, exist_ok=True)
        splits, folds = [], []
        with CorpusWriter(folder) as writer:
            for split, truth in self.truth.items():
                for clip, word in truth.items():
                    number = int(clip.removesuffix(".wav").rsplit("_", 1)[1])
                    about = {"part": "test"} if split == "test" else {"word": word, "speaker": f"{split}-{number}"}
                    writer.add(np.zeros(16_000, np.int16), **{"clip": clip, "part": "train", **about})
                    splits.append("train" if self.folds > 1 and split == "validation" else split)
                    folds.append(self.fold_of(split, number))
            writer.finish(np.array(splits), np.array(folds), source="demo", seed=1, commands=COMMANDS)
        self.corpus = Corpus.open(folder)
        self.sample = sorted(self.truth["test"], reverse=True)
        pandas.DataFrame({"fname": self.sample}).to_csv(folder / "sample.csv", index=False)
        label_of = self.corpus.vocabulary.label_of
        self.answers = pandas.DataFrame(
            {
                "fname": self.sample,
                "label": [label_of(self.truth["test"][clip], "commands") for clip in self.sample],
                "usage": ["Public" if number % 3 == 0 else "Private" for number in range(len(self.sample))],
            }
        )
        self.answers.to_csv(folder / "answers.csv", index=False)

    def probabilities(self, run: str) -> Path:
        """The folder of a run's tables."""
        return runs.paths(self.layout, self.params, run).probabilities

    def predict(self, run: str) -> None:
        """Write probabilities of clips in an order of the run's own."""
        rng = np.random.default_rng(sorted(run.encode()))
        folder = self.probabilities(run)
        self.table(run, self.judged, rng).write(folder / "out_of_fold.parquet")
        self.table(run, self.truth["holdout"], rng).write(folder / "holdout.parquet")
        if self.folds == 1:
            self.table(run, self.truth["test"], rng).write(folder / "test.parquet")
            return
        of_folds = [self.table(run, self.truth["test"], rng) for _ in range(self.folds)]
        first = of_folds[0]
        for fold, table in enumerate(of_folds):
            order = [table.clips.index(clip) for clip in first.clips]
            of_folds[fold] = table.select(np.array(order))
            of_folds[fold].write(folder / "test" / f"{fold}.parquet")
        mean = np.mean([table.values for table in of_folds], axis=0)
        Probabilities(first.clips, first.labels, mean, run, first.corpus).write(folder / "test.parquet")

    def table(self, run: str, truth: dict[str, str], rng: np.random.Generator) -> Probabilities:
        """What a net might say of clips whose words are `truth`."""
        kind = self.params["runs"].get(run, {}).get("vocabulary", "commands")
        labels = self.corpus.vocabulary.labels(kind)
        clips = [str(clip) for clip in rng.permutation(list(truth))]
        wanted = [labels.index(self.corpus.vocabulary.label_of(truth[clip], kind)) for clip in clips]
        logits = rng.normal(size=(len(clips), len(labels)))
        logits[np.arange(len(clips)), wanted] += SEPARATION.get(run, 4.0) * rng.lognormal(0, 0.5, len(clips))
        values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return Probabilities(clips, labels, values, run, self.corpus.fingerprint)

    def copy(self, root: Path) -> "JudgedProject":
        """Return a project of its own in `root`."""
        twin = copy.copy(self)
        twin.params = copy.deepcopy(self.params)
        twin.layout = Layout(root)
        shutil.copytree(self.layout.root, root, dirs_exist_ok=True)
        twin.corpus = Corpus.open(twin.layout.prepare)
        return twin


@pytest.fixture(scope="session")
def judged_template(tmp_path_factory: pytest.TempPathFactory) -> JudgedProject:
    return JudgedProject(tmp_path_factory.mktemp("judged"))


@pytest.fixture
def judged_project(judged_template: JudgedProject, tmp_path: Path) -> JudgedProject:
    return judged_template.copy(tmp_path)


@pytest.fixture(scope="session")
def folded_template(tmp_path_factory: pytest.TempPathFactory) -> JudgedProject:
    return JudgedProject(tmp_path_factory.mktemp("folded"), folds=3)


@pytest.fixture
def folded_project(folded_template: JudgedProject, tmp_path: Path) -> JudgedProject:
    """The same, its labelled clips dealt into three folds."""
    return folded_template.copy(tmp_path)
