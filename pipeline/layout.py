"""Every path of the tree, from one root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Where each stage finds and leaves its files. `root` is the folder that holds params.yaml and dvc.yaml."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def checked(self) -> Path:
        return self.artifacts / "check" / "passed"

    @property
    def checkpoints(self) -> Path:
        """Published checkpoints that were fetched; no stage's output, since they are fetched once for all runs."""
        return self.root / "data" / "checkpoints"

    @property
    def manifest(self) -> Path:
        return self.artifacts / "download" / "manifest.json"

    @property
    def prepare(self) -> Path:
        """The corpus (rows.parquet, audio.arrow, noise.arrow, corpus.json), quarantine.csv, sample.csv, answers.csv."""
        return self.artifacts / "prepare"

    @property
    def encode(self) -> Path:
        """Hidden states of every clip, pooled over time; the encoder, if it was trained here."""
        return self.artifacts / "encode"

    @property
    def inputs(self) -> Path:
        """<run>.json: what of `encode` a run reads."""
        return self.artifacts / "inputs"

    @property
    def encoding(self) -> Path:
        """What stage encode has not finished; hidden, so that no run has this name."""
        return self.artifacts / "work" / ".encode"

    def timing(self, run: str, stage: str) -> Path:
        """How long the last run of a stage took; no DVC output, since it differs from run to run."""
        return self.artifacts / "timing" / run / f"{stage}.json"

    @property
    def kernel(self) -> Path:
        """What is sent to Kaggle and comes back: bundle, dataset, output."""
        return self.artifacts / "kernel"

    @property
    def comparison(self) -> Path:
        """Folder with table.md and table.csv: all runs side by side."""
        return self.artifacts / "compare"

    def work(self, run: str) -> Path:
        """Checkpoints of an unfinished training; no DVC output, so they survive until the training has ended."""
        return self.artifacts / "work" / run

    def model(self, run: str) -> Path:
        return self.artifacts / "train" / run / "model"

    def live(self, run: str) -> Path:
        """DVCLive's metrics and curves."""
        return self.artifacts / "train" / run / "live"

    def probabilities(self, run: str) -> Path:
        """Folder with one Parquet file a judged split: validation.parquet, test.parquet, testing.parquet."""
        return self.artifacts / "predict" / run

    @property
    def submissions(self) -> Path:
        return self.root / "submissions"

    def submission(self, run: str) -> Path:
        """Folder with submission.csv, metrics.json, confusion.csv, confusion.png."""
        return self.submissions / run

    @property
    def ledger(self) -> Path:
        return self.submissions / "ledger.csv"

    @property
    def journal(self) -> Path:
        """Submissions under way; hidden, so that no stage takes it for a run."""
        return self.submissions / ".submit"

    @property
    def scores(self) -> Path:
        return self.artifacts / "score" / "scores.json"
