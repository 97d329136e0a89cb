"""Every path of the tree, from one root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Where each stage finds and leaves its files. `root` is the folder that holds params.yaml and dvc.yaml."""

    root: Path = Path()

    @property
    def origin(self) -> Path:
        """The folder that relative paths in params.yaml start from, of files that DVC does not watch.

        It is `root`, but for experiments in a copy (`dvc exp run --temp`, `--queue`), which DVC makes under .dvc: the
        project that they are of.
        """
        inside = next((path for path in self.root.resolve().parents if path.match(".dvc/tmp/exps")), None)
        return self.root if inside is None else inside.parents[2]

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
        return self.origin / "data" / "checkpoints"

    @property
    def manifest(self) -> Path:
        return self.artifacts / "download" / "manifest.json"

    @property
    def prepare(self) -> Path:
        """The corpus (rows.parquet, audio-*.npy, noise.arrow, corpus.json), quarantine.csv, sample.csv, answers.csv."""
        return self.artifacts / "prepare"

    @property
    def encode(self) -> Path:
        """Hidden states of every clip, pooled over time; the encoder, if it was trained here."""
        return self.artifacts / "encode"

    @property
    def resolved(self) -> Path:
        """params.yaml as the stages see it, and a digest of each stage's code."""
        return self.artifacts / "params.json"

    @property
    def encoder_digest(self) -> Path:
        """<run>.json: what of `encode` a run reads."""
        return self.artifacts / "encoder_digest"

    @property
    def encoding(self) -> Path:
        """What stage encode has not finished; hidden, so that no run has this name."""
        return self.artifacts / "work" / ".encode"

    @property
    def page_parts(self) -> Path:
        """What the page is made with, kept between its makings."""
        return self.artifacts / "work" / ".page"

    def timing(self, run: str, stage: str) -> Path:
        """How long the last run of a stage took; no DVC output, since it differs from run to run."""
        return self.artifacts / "timing" / run / f"{stage}.json"

    @property
    def kernel(self) -> Path:
        """What is sent to Kaggle and comes back: bundle, dataset, output."""
        return self.artifacts / "kernel"

    def export(self, run: str) -> Path:
        """A run's ONNX files and report.json."""
        return self.artifacts / "export" / run

    def listening(self, run: str) -> Path:
        """What `listen --measure` found: measure.json, curve.png."""
        return self.artifacts / "listen" / run

    @property
    def comparison(self) -> Path:
        """Folder with table.md and table.csv: all runs side by side."""
        return self.artifacts / "compare"

    def round(self, number: int) -> Path:
        """What is trained and predicted in a round; 2 and 3 have vote and pseudo_label too, by which students learn.

        No round reads a later one, so the graph has no cycle.
        """
        return self.artifacts if number == 1 else self.artifacts / "rounds" / str(number)

    def vote(self, student: str | None = None) -> Path:
        """The teachers' vote, as tables like a run's own; for a second student that of teachers and students."""
        return self.round(2) / "vote" if student is None else self.round(3) / "vote" / student

    def pseudo_labels(self, student: str, round_: int = 2) -> Path:
        """Folder with one Parquet file a fold: what its teachers' nets of that fold say of the test clips."""
        return self.round(round_) / "pseudo_label" / student

    def run(self, name: str, round_: int = 1) -> "RunPaths":
        """Where a run's training and probabilities lie; the run is of the round `round_`."""
        folder = self.round(round_)
        return RunPaths(folder / "train" / name, self.artifacts / "work" / name, folder / "predict" / name)

    def search(self, run: str) -> Path:
        """The store of a run's searches, a folder a trial, trials.csv and best.yaml; no stage of the graph's."""
        return self.artifacts / "search" / run

    @property
    def unlisted(self) -> Path:
        """Trainings and probabilities of runs that are listed no more, of which DVC's cache has no copy."""
        return self.artifacts / "unlisted"

    @property
    def fleet(self) -> Path:
        """What each stage said that another machine ran; no stage of the graph's."""
        return self.artifacts / "fleet"

    @property
    def submissions(self) -> Path:
        return self.root / "submissions"

    def submission(self, run: str) -> Path:
        """Folder with submission.csv, metrics.json, confusion.csv, confusion.png, judged.parquet."""
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

    @property
    def report(self) -> Path:
        """The page: one file, complete without a network."""
        return self.root / "report" / "index.html"


@dataclass(frozen=True)
class RunPaths:
    """A run's folders: of its folds' trainings, of what is not finished yet, of its probabilities."""

    trained: Path
    unfinished: Path
    probabilities: Path

    def model(self, fold: int) -> Path:
        """Weights, run.json, and the probabilities of each epoch."""
        return self.trained / str(fold) / "model"

    def live(self, fold: int) -> Path:
        """DVCLive's metrics and curves."""
        return self.trained / str(fold) / "live"

    def work(self, fold: int) -> Path:
        """Checkpoints of an unfinished training; no DVC output, so they survive until the training has ended."""
        return self.unfinished / str(fold)
