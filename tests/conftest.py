"""A copy of the project that tests may run, change and break."""

import atexit
import copy
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from pipeline import processes
from pipeline.layout import Layout
from tests import warm_python

# Tiny tensors: threads only get into each other's way, tenfold on a busy machine. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

processes.set_up()  # before any test loads torch

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = [
    *("pipeline", "notebooks/kernel.ipynb", "requirements.txt", "dvc.yaml"),
    *(".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"),
]

# The first makes what the third needs, too: on two cores, the second keeps the other busy meanwhile.
LONGEST_FILES = (
    *("tests/test_folds.py", "tests/stages/test_kernel.py", "tests/test_repro.py", "tests/stages/test_train.py"),
    *("tests/test_adding.py", "tests/test_dependencies.py", "tests/test_notebooks.py"),
)

TINY_AST = {
    "num_mel_bins": 32,
    "patch_size": 32,
    "frequency_stride": 32,
    "time_stride": 6,
    "max_length": 98,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TINY_WAV2VEC2 = {
    "conv_dim": [16, 16],
    "conv_kernel": [40, 16],
    "conv_stride": [20, 16],
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "classifier_proj_size": 16,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "mask_time_length": 4,
}
TINY_PARAMS: dict[str, Any] = {
    "seed": 7,
    "folds": [0],
    "download": {
        "source": "demo",
        "folder": "data/demo",
        "train_voices": 4,
        "validation_share": 0.25,
        "test_voices": 2,
        "clips_per_command": 5,
        "clips_per_other_word": 2,
        "test_clips_per_label": 5,
        "background_seconds": 3,
    },
    "prepare": {"splits": "auto"},
    "encode": {},
    "train": {"training": {"epochs": 4, "batch_size": 16, "learning_rate": 0.003}},
    "runs": {
        "ast": {"model": "ast", "parameters": {"config": TINY_AST}},
        "wav2vec2": {"model": "wav2vec2", "vocabulary": "words", "parameters": {"config": TINY_WAV2VEC2}},
    },
    "students": {},
    "decide": {"rule": "tuned"},
    "ensemble": {"weights": "accuracy"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {REPOSITORY / name: number for number, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


REPRO = (sys.executable, "-m", "dvc", "repro")


def stages_run(output: str) -> list[str]:
    """Return the stages that `dvc repro` said it ran, in order."""
    return re.findall(r"Running stage '([^']+)'", output)


def page_values(page: Path, block: str) -> Any:
    """Return one of the report's blocks of values."""
    found = re.search(
        rf'<script type="application/json" id="{block}">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found
    return json.loads(found[1])


class Project:
    """A project folder with its own params.yaml; commands run in it as a user types them, without a network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(root)

    @property
    def params(self) -> dict[str, Any]:
        return yaml.safe_load(self.layout.params.read_text())

    def configure(self, change: Callable[[dict[str, Any]], Any]) -> None:
        params = self.params
        change(params)
        self.layout.params.write_text(yaml.safe_dump(params, sort_keys=False))

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command that may be killed, or whose environment libraries read as they are loaded."""
        return subprocess.Popen(
            [*_NO_NETWORK, *command],
            cwd=self.root,
            env={**_environment(), "HF_HOME": f"{self.root}.hub", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start_warm(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in a Python that is warm. Killed, it ends a moment later, with all that it has started."""
        warm = _warm_python()
        if not warm:
            return self.start(*command)
        command = tuple(str(warm) if word == sys.executable else word for word in command)
        return self.start(*command, PATH=f"{warm.parent}{os.pathsep}{_environment()['PATH']}")  # for its own commands

    def outcome(self, *command: str, **environment: str) -> tuple[str, int]:
        """Run a command, in a Python that is warm unless `environment` is given; return its output and exit status."""
        process = self.start(*command, **environment) if environment else self.start_warm(*command)
        output, _ = process.communicate()
        return output, process.returncode

    def run(self, *command: str, **environment: str) -> str:
        """Run a command that should succeed and return its output."""
        output, status = self.outcome(*command, **environment)
        assert status == 0, f"{' '.join(command)} exited with {status}:\n{output}"
        return output

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    @staticmethod
    def kill_when(process: subprocess.Popen[str], condition: Callable[[], Any]) -> str:
        """kill -9 the process and all that it started as soon as the condition holds; return its output."""
        Project.wait(process, condition)
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]

    @staticmethod
    def wait(process: subprocess.Popen[str], condition: Callable[[], Any]) -> None:
        while not condition():
            assert process.poll() is None, f"ended too early:\n{process.communicate()[0]}"
            time.sleep(0.005)

    def copy(self, root: Path) -> "Project":
        """Return a twin in `root`, where DVC has nothing to do."""
        # Without its cache, DVC would run everything again. What lies under tmp is bound to the place.
        shutil.copytree(self.root, root, symlinks=True, ignore=shutil.ignore_patterns("tmp"))
        return Project(root)


def heed_ctrl_c() -> None:
    """For a process that a test starts: a test runner in a shell's background ignores Ctrl-C, and so would it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _no_network() -> list[str]:
    """Return a command's prefix that leaves it no network but its own loopback, which torchrun needs."""
    prefix = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    try:
        subprocess.run([*prefix, "true"], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return []
    return prefix


_NO_NETWORK = _no_network()


def _environment() -> dict[str, str]:
    """Return the tester's environment without accounts, caches and launchers of theirs."""
    strange = ("KAGGLE", "HF_", "DVC_", "RANK", "WORLD_SIZE", "LOCAL_RANK")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
    if not _NO_NETWORK:  # then at least nothing may ask for it
        environment["HF_HUB_OFFLINE"] = "1"
    # `dvc` and the stages that it starts use this very Python.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    # What one process has compiled, those after it need not, in copies of the project too.
    return {**environment, "PYTHONDONTWRITEBYTECODE": ""}


@functools.cache
def _warm_python() -> Path | None:
    """Return what to run in place of Python to run in one that has loaded its libraries (tests.warm_python)."""
    if sys.platform != "linux":
        return None
    folder = Path(tempfile.mkdtemp(prefix="warm-python-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address, client = folder / "socket", folder / "python"
    warm_python.write_client(client, address)
    server = subprocess.Popen(
        [*_NO_NETWORK, sys.executable, "-P", warm_python.__file__, str(address)],
        env={**_environment(), "HF_HOME": str(folder / "hub")},
        stdin=subprocess.PIPE,  # until it ends: with this process
    )
    while not address.exists():
        assert server.poll() is None, "the warm Python ended"
        time.sleep(0.01)
    return client


def _clone(root: Path, params: dict[str, Any]) -> Project:
    for part in PARTS:
        source, target = REPOSITORY / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a clone"]):
        subprocess.run([*git, *command], cwd=root, check=True, capture_output=True)
    return Project(root)


@pytest.fixture(scope="session")
def clone() -> Callable[[Path, dict[str, Any]], Project]:
    """`clone(root, params)`: a fresh clone of the project in `root` with its own params.yaml."""
    return _clone


@pytest.fixture
def tiny_params() -> dict[str, Any]:
    """Parameters of a competition that is over in a minute, free to change."""
    return copy.deepcopy(TINY_PARAMS)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first of pytest-xdist's workers filled by `make(folder)`; the others wait for it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = base / name, base / f"{name}.done"
    with FileLock(base / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny demo competition after one `dvc repro`. Do not change it: copy it."""

    def make(folder: Path) -> None:
        project = _clone(folder / "project", TINY_PARAMS)
        (folder / "repro.log").write_text(project.dvc("repro"))

    return Project(made_once(tmp_path_factory, "finished", make) / "project")


@pytest.fixture
def publish() -> Callable[[str, Path], Path]:
    """`publish("ast", folder)`: a small checkpoint in the hub's format with a head of 35 labels, as on the hub."""

    def publish(name: str, folder: Path) -> Path:
        import torch
        from transformers import (
            ASTConfig,
            ASTFeatureExtractor,
            ASTForAudioClassification,
            Wav2Vec2Config,
            Wav2Vec2FeatureExtractor,
            Wav2Vec2ForSequenceClassification,
        )

        torch.manual_seed(35)
        if name == "ast":
            ASTForAudioClassification(ASTConfig(**TINY_AST, num_labels=35)).save_pretrained(folder)
            ASTFeatureExtractor(num_mel_bins=32, max_length=98, mean=-6.75, std=5.5).save_pretrained(folder)
        else:
            Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**TINY_WAV2VEC2, num_labels=35)).save_pretrained(folder)
            Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        return folder

    return publish


@pytest.fixture
def server() -> Iterator[Any]:
    """A server on this machine that speaks Kaggle's protocol, without any file."""
    from tests.delivery.kaggle_server import KaggleServer

    with KaggleServer() as server:
        yield server


@pytest.fixture
def entrant(tmp_path: Path, server: Any) -> Any:
    """Somebody with an account at `server` and a project in `tmp_path`."""
    from tests.delivery.entrant import Entrant

    return Entrant(tmp_path, server)


@pytest.fixture
def here(entrant: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The entrant, with this very process in the project."""
    entrant.move_in(monkeypatch)
    return entrant
