"""A small judged competition: a corpus without sound and the probabilities of two runs, as `predict` leaves them."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
import yaml

from pipeline.clips.corpus import Corpus, CorpusWriter
from pipeline.clips.labels import COMMANDS, SILENCE_WORD
from pipeline.files import write_json
from pipeline.layout import Layout
from pipeline.scoring.probabilities import Probabilities

WORDS = [*COMMANDS, "cat", "dog", SILENCE_WORD]
PER_WORD = {"train": 1, "validation": 8, "testing": 4, "test": 6}
SEPARATION = {"ast": 5.0, "words": 4.0}


class JudgedProject:
    """`params` is written to params.yaml by `configure`; `truth[split]` gives each clip's word."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.params = {
            "seed": 1,
            "download": {"source": "demo"},
            "runs": {"ast": {"model": "ast"}, "words": {"model": "wav2vec2"}},
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

    def configure(self, **changes) -> None:
        self.params.update(changes)
        self.layout.params.write_text(yaml.safe_dump(self.params))

    def _write_corpus(self) -> None:
        folder = self.layout.prepare
        folder.mkdir(parents=True, exist_ok=True)
        rows = [(split, clip, word) for split, truth in self.truth.items() for clip, word in truth.items()]
        with CorpusWriter(folder) as writer:
            for split, clip, word in rows:
                part = "test" if split == "test" else "train"
                writer.add(np.zeros(16_000, np.int16), clip=clip, part=part, word=None if part == "test" else word)
            writer.end_noise()
            splits = np.array([split for split, _, _ in rows])
            description = writer.finish(splits, source="demo", seed=1, commands=COMMANDS)
        write_json(folder / "corpus.json", description)
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

    def predict(self, run: str, splits=("validation", "testing", "test")) -> None:
        """Write probabilities of clips in an order of the run's own."""
        kind = "words" if run == "words" else "commands"
        labels = self.corpus.vocabulary.labels(kind)
        rng = np.random.default_rng(sorted(run.encode()))
        for split in splits:
            clips = list(rng.permutation(list(self.truth[split])))
            wanted = [labels.index(self.corpus.vocabulary.label_of(self.truth[split][clip], kind)) for clip in clips]
            logits = rng.normal(size=(len(clips), len(labels)))
            logits[np.arange(len(clips)), wanted] += SEPARATION.get(run, 4.0) * rng.lognormal(0, 0.5, len(clips))
            values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            table = Probabilities([str(clip) for clip in clips], labels, values, run, self.corpus.fingerprint)
            table.write(self.layout.probabilities(run) / f"{split}.parquet")

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
