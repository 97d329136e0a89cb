"""The kernel as its user sees it: built, run in a folder that looks like Kaggle's, pushed, fetched."""

import copy
import html
import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import py7zr
import pytest
import yaml

from pipeline.delivery import bundle, ledger
from pipeline.delivery.commit import commit_of
from pipeline.errors import PipelineError
from pipeline.files import sha256_of
from pipeline.layout import Layout
from pipeline.scoring import submission
from pipeline.sources import demo
from pipeline.stages import kernel, submit
from tests.conftest import TINY_PARAMS
from tests.delivery.entrant import QUICK, Entrant
from tests.delivery.kaggle_server import KEY
from tests.delivery.kernel_service import Datasets, Kernels

ROOT = Path(__file__).parents[2]

VERB = (sys.executable, "-m", "pipeline", "kernel")
COMPETITION = "tensorflow-speech-recognition-challenge"
LABELS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "unknown", "silence"]
# As Kaggle does: a process of its own, in the output's folder, outputs kept even when a cell fails.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
source, working, executed = sys.argv[1:]
notebook = nbformat.read(source, 4)
try:
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": working}}).execute()
finally:
    nbformat.write(notebook, executed)
"""


USER = {"user": "somebody", "title": "Small words"}


class Kaggle:
    """Folders like those of a kernel; `outputs` are all that the last notebook showed, by the id of its cell."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inputs, self.working, self.temp = root / "input", root / "working", root / "temp"
        for folder in (self.inputs, self.working, root / "bin"):
            folder.mkdir(parents=True)
        # There is no Git: whoever asks for it is written down, and gets nothing.
        git = root / "bin" / "git"
        git.write_text(f'#!/bin/sh\necho "$@" >> {root}/git.log\nexit 127\n')
        git.chmod(0o755)

    def execute(self, project, notebook: Path) -> tuple[str, int]:
        path = os.pathsep.join([str(self.root / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        output, status = project.outcome(
            *(sys.executable, "-c", EXECUTE, str(notebook), str(self.working), str(self.root / "executed.ipynb")),
            PIPELINE_KERNEL_INPUT=str(self.inputs),
            PIPELINE_KERNEL_WORKING=str(self.working),
            PIPELINE_KERNEL_TEMP=str(self.temp),
            PATH=path,
        )
        self.outputs = {
            cell["id"]: cell["outputs"]
            for cell in json.loads((self.root / "executed.ipynb").read_text())["cells"]
            if cell["cell_type"] == "code"
        }
        return output, status

    def text(self, cell: str) -> str:
        return "".join("".join(output.get("text", "")) for output in self.outputs[cell])

    def shown(self, cell: str, kind: str) -> list[str]:
        return ["".join(output["data"][kind]) for output in self.outputs[cell] if kind in output.get("data", {})]


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    """A small competition in both layouts: (archives, folders); the members in the same order in both."""
    made, archives, folders = (tmp_path_factory.mktemp(name) for name in ("made", "archives", "folders"))
    sizes = {"train_voices": 4, "validation_share": 0.25, "test_voices": 2, "background_seconds": 3}
    demo.fetch(
        demo.Params(folder=made, clips_per_command=5, clips_per_other_word=1, test_clips_per_label=2, **sizes), 7
    )
    for stem in ("train", "test", "sample_submission"):
        with py7zr.SevenZipFile(made / f"{stem}.7z") as file:
            file.extractall(folders)
    for stem in ("train", "test", "sample_submission.csv"):
        with py7zr.SevenZipFile(archives / f"{stem.removesuffix('.csv')}.7z", "w") as file:
            for path in sorted(path for path in [folders / stem, *(folders / stem).rglob("*")] if path.is_file()):
                file.write(path, path.relative_to(folders).as_posix())
    return archives, folders


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    return Kaggle(tmp_path_factory.mktemp("kaggle"))


@pytest.fixture(scope="module")
def built(clone, tmp_path_factory):
    """A clone in which `kernel build` was run."""
    params = copy.deepcopy(TINY_PARAMS) | {
        "train": {"training": {"epochs": 1, "batch_size": 32, "learning_rate": 0.003}},
        "runs": {"net": {"model": "linear", "parameters": {"frames": 10}}},
        "decide": {"rule": "none"},
        "ensemble": {"weights": "equal"},
        "kernel": {**USER, "internet": False},
    }
    project = clone(tmp_path_factory.mktemp("kernel") / "project", params)
    project.run(*VERB, "build")
    return project


@pytest.fixture
def notebook(built):
    return built.layout.kernel / "bundle" / "kernel.ipynb"


# In this order: the second finds what the first has left, as after a change of the inputs in an open session.
@pytest.mark.parametrize("place", [f"competitions/{COMPETITION}", COMPETITION])
def test_the_built_notebook_makes_a_valid_submission_offline(place, built, notebook, kaggle, competition):
    layout = place != COMPETITION  # archives first
    fresh = not kaggle.temp.exists()
    shutil.rmtree(kaggle.inputs)
    (kaggle.inputs / place).parent.mkdir(parents=True)
    shutil.copytree(competition[0 if layout else 1], kaggle.inputs / place)
    (kaggle.working / "submission.csv").write_text("of an earlier session")

    output, status = kaggle.execute(built, notebook)

    assert status == 0, output
    sample = (competition[1] / "sample_submission.csv").read_text().split()[1:]
    fnames = [line.partition(",")[0] for line in sample]
    assert len(fnames) == 24
    submission.check(kaggle.working / "submission.csv", fnames, LABELS)

    # Output, and nothing else, in the counted folder.
    left = {path.relative_to(kaggle.working).as_posix() for path in kaggle.working.rglob("*") if path.is_file()}
    of_runs = {
        f"runs/{run}/{name}"
        for run in ("net", "ensemble")
        for name in ("submission.csv", "metrics.json", "confusion.csv", "confusion.png")
    }
    whole = {"submission.csv", "sample.csv", "corpus.json", "params.yaml", "results.json", "dvc.lock", "report.html"}
    assert left == whole | of_runs
    made = json.loads((kaggle.working / "runs/net/metrics.json").read_text())["provenance"]
    assert made["sha256"] == sha256_of(kaggle.working / "runs/net/submission.csv")
    assert made["commit"] == commit_of(built.root)
    for name, wanted in json.loads((kaggle.working / "results.json").read_text())["sha256"].items():
        assert sha256_of(kaggle.working / name) == wanted
    assert (kaggle.temp / "project/.dvc/cache/files").is_dir()
    assert not (kaggle.temp / "project/.git").exists()

    # The first run does everything; the same data in the other layout are read again, but nothing is trained anew.
    repro = kaggle.text("repro")
    assert str(kaggle.inputs / place) in repro
    stages = [line.split("'")[1] for line in repro.splitlines() if line.startswith("Running stage")]
    if fresh:
        assert stages[:4] == ["resolve", "check", "download", "prepare"]
        assert set(stages) >= {"train@net-0", "predict@net", "vote", "decide@net", "ensemble", "score"}
    else:
        assert set(stages) == {"resolve", "check", "download", "prepare"}
    assert "Requirements: all here" in kaggle.text("session")

    # What its reader sees: parameters, accuracies, the page.
    assert "source: archives" in kaggle.text("unpack")
    assert "| ensemble | 0." in "".join(kaggle.shown("publish", "text/markdown"))
    (shown,) = kaggle.shown("page", "text/html")
    assert html.unescape(shown.partition('srcdoc="')[2].rpartition('">')[0]) == (
        (kaggle.working / "report.html").read_text(encoding="utf-8")
    )


def test_a_failing_repro_fails_the_notebook_and_leaves_no_results(built, kaggle, competition, tmp_path):
    shutil.rmtree(kaggle.inputs)
    shutil.copytree(competition[0], kaggle.inputs / COMPETITION)
    (kaggle.working / "submission.csv").write_text("of an earlier session")
    project = built.copy(tmp_path / "project")
    project.configure(lambda params: params["prepare"].update(commands=["yes", "xylophone"]))
    project.run(*VERB, "build")
    output, status = kaggle.execute(project, project.layout.kernel / "bundle" / "kernel.ipynb")
    assert status != 0
    assert "PipelineError" in output
    assert "dvc repro failed with exit status" in output
    assert "xylophone" in output
    assert kaggle.outputs["repro"][-1]["output_type"] == "error"
    assert kaggle.outputs["publish"] == []
    assert not [path for path in kaggle.working.rglob("*") if path.is_file() and path.name != "dvc.lock"]


def test_the_notebook_needs_no_competition_to_say_that_it_is_missing(built, notebook, tmp_path):
    kaggle = Kaggle(tmp_path / "kaggle")
    output, status = kaggle.execute(built, notebook)
    assert status != 0
    assert f"The data of the competition '{COMPETITION}' are neither in" in output
    assert not (kaggle.temp / "project/artifacts").exists()


def test_building_again_gives_the_same_bytes(built, notebook):
    before = notebook.read_bytes()
    (built.layout.root / "pipeline" / "__pycache__").mkdir(exist_ok=True)
    (built.layout.root / "pipeline" / "__pycache__" / "x.pyc").write_bytes(b"\0")
    output = built.run(*VERB, "build")
    assert notebook.read_bytes() == before
    assert "somebody/small-words" in output


def test_the_parameters_on_kaggle_are_those_of_the_flow_with_the_mounted_data():
    tree = {
        "seed": 1,
        "download": {"source": "kaggle", "folder": "data/kaggle", "answers": "private/answers.csv"},
        "runs": {"ast": {"model": "ast"}},
        "ensemble": {"weights": "equal"},
        "submit": {"competition": "words"},
        "kernel": USER,
    }
    made = bundle.on_kaggle(tree)
    assert list(made) == ["seed", "download", "runs", "ensemble"]
    assert made["download"] == {"source": "archives", "folder": "to-be-found-on-kaggle"}


def test_the_sources_that_only_train_go_along():
    extra = [{"source": "demo", "folder": "data/demo", "take": "noise"}]
    made = bundle.on_kaggle({"download": {"source": "archives", "folder": "data/archives", "extra": extra}})
    assert made["download"] == {"source": "archives", "folder": "to-be-found-on-kaggle", "extra": extra}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """`here(**changes)`: a project's folder to build in, with these keys in the section kernel; its layout."""
    root = tmp_path / "here"
    for part in ("pipeline", "notebooks"):
        (root / part).mkdir(parents=True)
    for name in ("dvc.yaml", "requirements.txt", ".dvcignore", "notebooks/kernel.ipynb"):
        shutil.copy(ROOT / name, root / name)

    def configure(sections=None, **changes):
        runs = {"ast": {"model": "ast"}, "large": {"model": "ast", "parameters": {"checkpoint": "someone/ast"}}}
        quick = {"patience": QUICK}
        tree = {"seed": 1, "download": {"source": "demo"}, "runs": runs, "submit": quick, "kernel": {**USER, **changes}}
        (root / "params.yaml").write_text(yaml.safe_dump({**tree, **(sections or {})}))
        monkeypatch.chdir(root)
        return Layout()

    return configure


def described(layout):
    return json.loads((layout.kernel / "bundle" / "kernel-metadata.json").read_text())


def test_metadata_follow_the_parameters(here):
    layout = here()
    kernel.build(layout)
    made = described(layout)
    assert made["id"] == "somebody/small-words"
    assert made["competition_sources"] == [COMPETITION]
    assert (made["is_private"], made["enable_gpu"], made["enable_internet"]) == (True, True, True)
    assert (made["machine_shape"], made["dataset_sources"]) == ("NvidiaTeslaT4", [])
    layout = here(gpu=False, internet=False, dataset="somebody/offline-words", private=False)
    kernel.build(layout)
    made = described(layout)
    assert (made["is_private"], made["enable_gpu"], made["enable_internet"]) == (False, False, False)
    assert made["dataset_sources"] == ["somebody/offline-words"]
    assert "machine_shape" not in made


@pytest.mark.parametrize("section", ["submit", "download"])
def test_the_competition_is_the_one_of_the_other_sections(section, here):
    values = {"submit": {"competition": "words"}, "download": {"source": "kaggle", "competition": "words"}}[section]
    layout = here({section: values})
    kernel.build(layout)
    assert described(layout)["competition_sources"] == ["words"]
    assert "'competition': 'words'" in (layout.kernel / "bundle" / "kernel.ipynb").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": "abcd"}, "5 to 50 characters"),
        ({"slug": "speech"}, r"set kernel\.slug: small-words"),
        ({"run": "asd"}, r"kernel\.run is 'asd', which is none of: ast, large, ensemble"),
        ({"internet": False}, r"cannot fetch: someone/ast"),
        ({"user": "Some Body"}, r"section kernel:\n  user"),
        ({"dataset": "offline"}, r"section kernel:\n  dataset"),
        ({"python": "3"}, r"section kernel:\n  python"),
        ({"gpus": 2}, r"gpus: unknown key\. Do you mean gpu\? Known keys: user, title"),
    ],
)
def test_what_could_not_run_is_not_built(changes, message, here):
    layout = here(**changes)
    with pytest.raises(PipelineError, match=message):
        kernel.build(layout)
    assert not layout.kernel.exists()


@pytest.mark.parametrize(
    ("named", "internet", "refused"),
    [
        (["demo", "archives"], True, "archives"),
        (["audiomnist", "demo", "mswc", "fsd50k"], True, "audiomnist, fsd50k"),
        (["demo", "speech_commands"], False, "speech_commands"),
        (["mswc", "speech_commands", "demo"], True, ""),
        (["demo"], False, ""),
    ],
)
def test_a_kernel_that_would_lack_a_source_is_not_built(named, internet, refused, here):
    """It would train on another corpus than the project."""
    download = {"source": "demo", "extra": [{"source": name, "folder": f"data/{name}"} for name in named]}
    layout = here(
        {"download": download, "runs": {"ast": {"model": "ast"}}}, internet=internet, dataset="somebody/offline-words"
    )
    if refused:
        with pytest.raises(PipelineError, match=rf"cannot have: {refused}\.(.|\n)*Delete (.|\n)*download\.extra"):
            kernel.build(layout)
        assert not layout.kernel.exists()
    else:
        kernel.build(layout)


@pytest.mark.parametrize("extra", [{"source": "demo"}, ["demo"], [{}], "demo"])
def test_extra_sources_of_another_shape_are_refused(extra, here):
    layout = here({"download": {"source": "demo", "extra": extra}})
    with pytest.raises(PipelineError, match="extra"):
        kernel.build(layout)


def test_a_checkpoint_of_the_project_needs_the_dataset_even_with_internet(here):
    runs = {"ast": {"model": "ast", "parameters": {"checkpoint": "data/mine"}}}
    layout = here({"runs": runs})
    kernel.build(layout)
    (layout.root / "data/mine").mkdir(parents=True)
    with pytest.raises(PipelineError, match="cannot fetch: data/mine"):
        kernel.build(layout)
    kernel.build(here({"runs": runs}, dataset="somebody/offline-words"))


def test_without_a_user_it_says_what_to_add(here):
    with pytest.raises(PipelineError, match=r"kernel:\n  user: <name>"):
        kernel.build(here({"kernel": None}))


def test_a_run_cannot_be_called_kernel(here):
    with pytest.raises(PipelineError, match="cannot be called 'kernel'"):
        kernel.build(here({"runs": {"kernel": {"model": "ast"}}}))


@pytest.fixture
def entrant(server, tmp_path, monkeypatch):
    entrant = Entrant(tmp_path / "entrant", server)
    entrant.move_in(monkeypatch)
    return entrant


def test_push_builds_and_says_where_it_runs(entrant, here, server, capsys):
    kernels = Kernels(server)
    layout = here()
    kernel.push(layout)
    assert json.loads(kernels.saved[0]["text"])["cells"][0]["cell_type"] == "markdown"
    assert "Version 1 is on its way: https://www.kaggle.com/code/somebody/small-words" in capsys.readouterr().out
    # Found nowhere but in the request's header.
    assert not [path for path in layout.kernel.rglob("*") if path.is_file() and KEY in path.read_text()]
    assert KEY not in json.dumps(kernels.saved)


def test_the_verbs_end_with_status_1_and_a_message_when_kaggle_refuses(entrant, here, server):
    kernels = Kernels(server)
    kernels.answer = {"invalidCompetitionSources": [COMPETITION]}
    kernels.states = [{"status": "ERROR", "failureMessage": "out of memory"}]
    here()
    outcomes = {}
    for verb in ("push", "status"):
        command = [sys.executable, "-m", "pipeline", "kernel", verb]
        done = subprocess.run(command, env=entrant.environment, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        outcomes[verb] = done.stderr
    assert "without these sources" in outcomes["push"]
    assert f"competition: {COMPETITION}" in outcomes["push"]
    assert "failed: out of memory" in outcomes["status"]


def test_waiting_shows_each_state(entrant, here, server, capsys):
    Kernels(server).states = [{"status": name} for name in ("QUEUED", "RUNNING", "COMPLETE")]
    kernel.status(here(), True, 0.01, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"somebody/small-words: {name}" for name in ("QUEUED", "RUNNING", "COMPLETE")]
    assert lines[3].endswith("python -m pipeline kernel pull")


def left(kernels, submission_text):
    of_run = {"runs/ensemble/metrics.json": b'{"accuracy": 0.9}', "sample.csv": b"fname\na.wav\nb.wav\n"}
    kernels.leave(**{"submission.csv": submission_text, **of_run})


def test_pull_leaves_a_valid_submission_where_submit_finds_it(entrant, here, server, capsys):
    left(Kernels(server), b"fname,label\na.wav,yes\nb.wav,unknown\n")
    layout = here()
    kernel.pull(layout)
    folder = layout.submission("kernel")
    assert (folder / "submission.csv").read_text().endswith("b.wav,unknown\n")
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "sample.csv", "submission.csv"]
    assert (layout.kernel / "output" / "runs/ast/confusion.png").exists()
    assert "2 clips, valid" in capsys.readouterr().out


def test_what_made_it_comes_back_with_a_pull_and_is_that_of_the_pushed_version(entrant, here, server):
    text = b"fname,label\na.wav,ja\nb.wav,silence\n"
    made = {"sha256": sha256(text).hexdigest(), "commit": "of-the-pushed-version", "params": "ab" * 32}
    figures = {"estimate": {"prior_accuracy": 0.9}, "provenance": made}
    pushed = b"seed: 7\nprepare: {commands: [ja, nein]}\nruns: {ast: {model: ast}}\n"
    Kernels(server).leave(
        **{
            "submission.csv": text,
            "sample.csv": b"fname\na.wav\nb.wav\n",
            "params.yaml": pushed,
            "corpus.json": b'{"source": "archives", "commands": ["ja", "nein"]}',
            "runs/ensemble/submission.csv": text,
            "runs/ensemble/metrics.json": json.dumps(figures).encode(),
        }
    )
    layout = here()  # its parameters have changed since: other commands, and other clips
    entrant.configure()
    layout.prepare.mkdir(parents=True)
    (layout.prepare / "sample.csv").write_text("fname\nc.wav\n")
    kernel.pull(layout)
    folder = layout.submission("kernel")
    assert (folder / "params.yaml").read_bytes() == pushed
    submit.main(layout, "kernel", wait=True)
    (row,) = ledger.read(layout.ledger)
    assert (row.run, row.commit, row.params) == ("kernel", "of-the-pushed-version", "ab" * 32)
    assert row.message.startswith("kernel | validation 0.900 | [")
    # A file that somebody puts into its place is kept when the next one is fetched, and is not the kernel's.
    (folder / "submission.csv").write_text("fname,label\na.wav,nein\nb.wav,nein\n")
    kernel.pull(layout)
    (kept,) = layout.submissions.glob("by-hand/kernel-*.csv")
    assert kept.read_text().endswith("b.wav,nein\n")


def test_pull_keeps_the_last_submission_when_the_new_one_is_invalid(entrant, here, server):
    left(Kernels(server), b"fname,label\na.wav,yes\nb.wav,cat\n")
    layout = here()
    target = layout.submission("kernel") / "submission.csv"
    target.parent.mkdir(parents=True)
    target.write_text("the last one")
    with pytest.raises(PipelineError, match="cat"):
        kernel.pull(layout)
    assert target.read_text() == "the last one"


def test_the_dataset_holds_the_checkpoints_where_a_run_looks_for_them(
    entrant, here, server, publish, tmp_path, monkeypatch, capsys
):
    datasets = Datasets(server)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    layout = here(dataset="somebody/offline-words", internet=False)
    (layout.root / "requirements.txt").write_text("# none\n")
    publish("ast", layout.checkpoints / "someone--ast")
    kernel.dataset(layout, True)
    (names,) = datasets.versions
    assert "someone--ast--model.safetensors" in names
    manifest = json.loads((layout.kernel / "dataset" / "manifest.json").read_text())
    places = {file["place"] for file in manifest["files"]}
    assert "data/checkpoints/someone--ast/model.safetensors" in places
    assert "The dataset is ready: https://www.kaggle.com/datasets/somebody/offline-words" in capsys.readouterr().out

    monkeypatch.setattr(kernel.kernel_dataset, "make", lambda *arguments: [])
    kernel.dataset(layout, False)
    assert len(datasets.versions) == 1


@pytest.mark.parametrize("place", ["/somewhere/else", "~/somewhere", "../somewhere"])
def test_a_checkpoint_outside_the_project_cannot_go_along(place, here):
    runs = {"ast": {"model": "ast", "parameters": {"checkpoint": place}}}
    with pytest.raises(PipelineError, match="lies outside the project"):
        kernel.dataset(here({"runs": runs}, dataset="somebody/offline-words"), False)
