"""What the notebook does on Kaggle: find the data, install what is missing, run the flow, leave the results.

The notebook calls this before the requirements are installed: standard library alone, at import time.
"""

import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.errors import PipelineError
from pipeline.files import read_json, sha256_of, write_json

# download.folder in the built parameters, until the session knows where the competition lies.
DATA = "to-be-found-on-kaggle"
DATASET_MANIFEST = "manifest.json"
RESULTS = "results.json"
PARAMETERS = "params.yaml"
SUBMISSION = "submission.csv"
SAMPLE = "sample.csv"
CORPUS = "corpus.json"

PAGE = "report.html"

_OF_EACH_RUN = (SUBMISSION, "metrics.json", "confusion.csv", "confusion.png")
_LINES_OF_A_FAILURE = 30
_PROGRESS_EVERY_S = 30


@dataclass(frozen=True)
class Session:
    """`project` holds the unpacked project; `inputs` and `working` are /kaggle/input and /kaggle/working.

    `run` is the run whose submission becomes working/submission.csv; `keep` names the packages of Kaggle's image that
    are good in any version; `dataset` is OWNER/NAME of the dataset of wheels and checkpoints, if there is one.
    """

    project: Path
    inputs: Path
    working: Path
    competition: str
    run: str
    internet: bool
    keep: tuple[str, ...] = ()
    dataset: str | None = None

    def find_data(self) -> Path:
        """Return the competition's folder, after writing it into params.yaml.

        Kaggle has mounted it at input/<competition> and at input/competitions/<competition>. Raises PipelineError if
        there is none with training data in it.
        """
        places = [self.inputs / self.competition, self.inputs / "competitions" / self.competition]
        for place in places:
            if any(place.glob("train*")):
                path = self.project / PARAMETERS
                text = path.read_text(encoding="utf-8").replace(f"folder: {DATA}", f"folder: {json.dumps(str(place))}")
                path.write_text(text, encoding="utf-8")
                print(f"Data: {place}: {', '.join(sorted(path.name for path in place.iterdir()))}")
                return place
        raise PipelineError(
            f"The data of the competition '{self.competition}' are neither in {places[0]} nor in {places[1]}.\n"
            f"There is: {', '.join(self._attached()) or 'nothing'}.\n"
            "In the notebook: Add Input > the competition, and accept its rules on its page; "
            "or mend submit.competition in params.yaml and push again."
        )

    def install(self) -> None:
        """Install the requirements that this image lacks, or has in another version; link checkpoints of the dataset.

        Raises PipelineError if that cannot be done.
        """
        offline = self._open_dataset() if self.dataset else None
        missing = self._missing()
        if not missing:
            print("Requirements: all here")
            return
        print(f"Requirements to install: {', '.join(missing)}")
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *missing]
        if not self.internet:
            command += ["--no-index", "--find-links", str(self._wheels(offline))]
        # Kept packages must not be replaced as a dependency of others either.
        held = self.project / "constraints.txt"
        held.write_text("".join(f"{name}=={found}\n" for name in self.keep if (found := _installed(name))))
        self._show([*command, "--constraint", str(held)], "Installing the requirements")
        importlib.invalidate_caches()
        if missing := self._missing():
            raise PipelineError(f"pip said that all is well, but these are still missing: {', '.join(missing)}")

    def repro(self) -> None:
        """Run `dvc repro` with its output shown as it comes. Raises PipelineError if it fails."""
        # Older results must not pass for those of a run that fails.
        for name in (SUBMISSION, SAMPLE, CORPUS, RESULTS, PARAMETERS, PAGE):
            (self.working / name).unlink(missing_ok=True)
        shutil.rmtree(self.working / "runs", ignore_errors=True)
        dvc = [sys.executable, "-m", "dvc", "repro"]
        if (self.project / "artifacts" / "download").exists():
            # DVC does not watch the inputs, which may have changed since this session ran it last.
            self._show([*dvc, "resolve"], "dvc repro resolve")  # where they lie may be another folder now
            self._show([*dvc, "--force", "--single-item", "download"], "dvc repro --force download")
        self._show(dvc, "dvc repro")

    def publish(self) -> dict[str, Path]:
        """Copy the results to the output: submission.csv, report.html, params.yaml, runs/<run>/, results.json; return
        each run's folder there.

        results.json lists each file's SHA-256, so that `kernel pull` knows what must arrive.
        """
        made = self.project / "submissions"
        runs = sorted(path.parent.name for path in made.glob(f"*/{SUBMISSION}"))
        if self.run not in runs:
            raise PipelineError(f"There is no submission of '{self.run}' (kernel.run), only of: {', '.join(runs)}.")
        files = {SUBMISSION: made / self.run / SUBMISSION, SAMPLE: self.project / "artifacts" / "prepare" / SAMPLE}
        files[PARAMETERS] = self.project / PARAMETERS  # those of this version, whatever has become of the project since
        files |= {f"runs/{run}/{name}": made / run / name for run in runs for name in _OF_EACH_RUN}
        # corpus.json tells the labels of the sample beside which it lies.
        others = [made / "ledger.csv", self.project / "dvc.lock", self.project / "artifacts" / "prepare" / CORPUS]
        files |= {path.name: path for path in others if path.exists()}
        if (page := self.project / "report" / "index.html").exists():
            files[PAGE] = page
        sums = {}
        for name, path in files.items():
            target = self.working / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            sums[name] = sha256_of(target)
        write_json(self.working / RESULTS, {"run": self.run, "sha256": sums})
        print(f"{self.working / SUBMISSION} is the submission of '{self.run}'.")
        return {run: self.working / "runs" / run for run in runs}

    def _attached(self) -> list[str]:
        return sorted(str(path.relative_to(self.inputs)) for path in self.inputs.glob("*/*"))[:20]

    def _missing(self) -> list[str]:
        needed = requirements((self.project / "requirements.txt").read_text(encoding="utf-8"))
        return [
            f"{name}=={version}"
            for name, version in needed.items()
            if not (found := _installed(name)) or (found.partition("+")[0] != version and name not in self.keep)
        ]

    def _wheels(self, offline: dict[str, Any] | None) -> Path:
        cure = "set kernel.internet: true in params.yaml, or make them with: python -m pipeline kernel dataset"
        if offline is None:
            raise PipelineError(f"The internet is off, and no dataset with the packages is attached: {cure}")
        if offline["python"] != (here := ".".join(platform.python_version_tuple()[:2])):
            raise PipelineError(
                f"The dataset '{self.dataset}' has packages for Python {offline['python']}; this is Python {here}.\n"
                f"Set kernel.python: '{here}' in params.yaml and make it again: python -m pipeline kernel dataset"
            )
        return Path(offline["folder"])

    def _open_dataset(self) -> dict[str, Any]:
        """Return the dataset's manifest, after checking its files and linking its checkpoints into the project."""
        assert self.dataset is not None
        owner, _, name = self.dataset.partition("/")
        places = [self.inputs / name, self.inputs / "datasets" / owner / name]
        folder = next((place for place in places if (place / DATASET_MANIFEST).is_file()), None)
        if folder is None:
            raise PipelineError(
                f"The dataset '{self.dataset}' is neither in {places[0]} nor in {places[1]}.\n"
                f"There is: {', '.join(self._attached()) or 'nothing'}.\n"
                "Make it with: python -m pipeline kernel dataset, and push again."
            )
        manifest = read_json(folder / DATASET_MANIFEST)
        for file in manifest["files"]:
            path = folder / file["name"]
            if not path.is_file() or sha256_of(path) != file["sha256"]:
                raise PipelineError(
                    f"{path} is missing or not what was uploaded. Upload it again: python -m pipeline kernel dataset"
                )
            if file["place"]:
                link = inside(self.project, file["place"])
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(path)
        print(f"Dataset: {folder}: {len(manifest['files'])} files, all whole")
        return {**manifest, "folder": str(folder)}

    def _show(self, command: list[str], what: str) -> None:
        """Run a command in the project and print what it prints, as it comes."""
        environment = {
            **os.environ,
            # The stages start `python`: this one.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            # The notebook's own display is not there in another process.
            "MPLBACKEND": "Agg",
            # Kaggle's pairs of GPUs would be taken for one with twice the batch.
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
            **({} if self.internet else {"HF_HUB_OFFLINE": "1"}),
        }
        process = subprocess.Popen(
            command, cwd=self.project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        last: list[str] = []
        try:
            for line in legible(process.stdout):
                print(line, flush=True)
                last = [*last, line][-_LINES_OF_A_FAILURE:]
            status = process.wait()
        finally:
            process.kill()
        if status:
            raise PipelineError(f"{what} failed with exit status {status}. The end of its output:\n" + "\n".join(last))


def requirements(text: str) -> dict[str, str]:
    """Return version by package of those pinned lines of a requirements.txt that hold for this machine."""
    from packaging.requirements import Requirement  # where there is a notebook, there is `packaging`

    lines = [Requirement(line.partition("#")[0]) for line in text.splitlines() if line.partition("#")[0].strip()]
    return {
        line.name.lower(): str(line.specifier).removeprefix("==")
        for line in lines
        if line.marker is None or line.marker.evaluate()
    }


def legible(stream: IO[bytes]) -> Iterator[str]:
    """Yield the lines of `stream` as they come; of a line that overwrites itself, a state each half minute.

    Progress bars would make a notebook of hundreds of megabytes.
    """
    shown = time.monotonic()
    for end, segment in _segments(stream):
        if end == b"\n":
            yield segment.rstrip()
        elif segment.strip() and time.monotonic() - shown > _PROGRESS_EVERY_S:
            yield segment.rstrip()
            shown = time.monotonic()


def _segments(stream: IO[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield what ends in a newline, and what a carriage return is about to overwrite."""
    held = b""
    pieces: Iterable[bytes] = iter(lambda: stream.read1(1 << 16), b"")  # type: ignore[attr-defined]
    for piece in pieces:
        held += piece
        *lines, held = held.replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            yield b"\n", line.rpartition(b"\r")[2].decode(errors="replace")
        before, carriage, rest = held.rpartition(b"\r")
        if carriage and rest:
            yield b"\r", before.rpartition(b"\r")[2].decode(errors="replace")
            held = rest
    if held:
        yield b"\n", held.rpartition(b"\r")[2].decode(errors="replace")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def inside(folder: Path, name: str) -> Path:
    """Return folder/name. Raises PipelineError for a name that leads out of the folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise PipelineError(f"'{name}' leads out of {folder}. Nothing of it was used.")
    return folder / name
