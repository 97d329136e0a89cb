"""A project whose stages take no time: the graph and the verbs of the real one, and real code for what fleets need."""

import shutil
import sys
from pathlib import Path
from textwrap import dedent

import yaml

SOURCE = Path(__file__).resolve().parents[2] / "pipeline"
VERBS = """
import os
import sys
import time
from pathlib import Path

import yaml

verb, *names = sys.argv[1:]
settings = yaml.safe_load(Path("params.yaml").read_text())
Path(settings["ends"]).parent.mkdir(parents=True, exist_ok=True)
print("working", *sys.argv[1:])
if verb == "train" and names[0] in settings["broken"]:
    sys.exit("error: the net diverged")
if verb == "train" and names[0] in settings["slow"]:
    Path(settings["ends"]).write_text(str(os.getpid()))
    time.sleep(600)
if verb == "train" and names[0] in settings["breaks"]:  # the remote, between the inputs and the outputs
    storage = Path(settings["storage"])
    storage.rename(storage.with_name("away"))
    storage.write_text("no folder")
place = Path("artifacts", verb, *names)
place.parent.mkdir(parents=True, exist_ok=True)
place.write_text(" ".join([verb, *names, str(settings["seed"])]))
timing = Path("artifacts/timing", *names[:1], verb + ".json")
timing.parent.mkdir(parents=True, exist_ok=True)
timing.write_text('{"seconds": 1.5}')
with open(settings["ends"], "a") as file:
    file.write("-".join([verb, *names]) + "\\n")
"""
GRAPH = """
stages:
  prepare:
    cmd: python -m pipeline prepare
    deps: [pipeline]
    outs: [artifacts/prepare]
  train:
    matrix: {run: "${runs}", fold: [0]}
    cmd: python -m pipeline train ${item.run} ${item.fold}
    deps: [artifacts/prepare]
    params: [seed]
    outs: ["artifacts/train/${item.run}/${item.fold}"]
  predict:
    foreach: ${runs}
    do:
      cmd: python -m pipeline predict ${item}
      deps: ["artifacts/train/${item}"]
      outs: ["artifacts/predict/${item}"]
  decide:
    foreach: ${runs}
    do:
      cmd: python -m pipeline decide ${item}
      deps: ["artifacts/predict/${item}"]
      outs: ["artifacts/decide/${item}"]
"""


def make(folder: Path) -> Path:
    """Make the project in `folder`, with a folder beside it as its remote; return the project's folder."""
    from dvc.repo import Repo

    root = folder / "project"
    (root / "pipeline").mkdir(parents=True)
    shutil.copytree(SOURCE / "fleet", root / "pipeline" / "fleet", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py", "files.py", "locks.py", "processes.py", "settings.py"):
        shutil.copy(SOURCE / name, root / "pipeline")
    (root / "pipeline" / "__main__.py").write_text(dedent(VERBS))
    (root / "dvc.yaml").write_text(GRAPH)
    (root / ".dvcignore").write_text("__pycache__\n")
    with Repo.init(str(root), no_scm=True) as repo, repo.config.edit() as config:
        config["core"] |= {"remote": "storage", "analytics": False, "check_update": False}
        config["remote"]["storage"] = {"url": str(folder / "storage")}
    places = {"ends": str(folder / "ends"), "storage": str(folder / "storage")}
    configure(root, seed=1, runs=["a", "b"], broken=[], breaks=[], slow=[], **places)
    return root


def configure(root: Path, **settings: object) -> None:
    path = root / "params.yaml"
    before = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump({**before, **settings}))


def ends(root: Path) -> list[str]:
    """Return the stages that came to their end, in order, wherever they ran."""
    path = root.parent / "ends"
    return path.read_text().split() if path.exists() else []


PYTHON = str(Path(sys.executable).parent)
