"""requirements.txt states what is imported, and nothing else; pyproject.toml makes a package of it."""

import ast
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"pipeline", "tests"}
# Imported where they are there: a test compares our reading of TFRecords with tensorflow's own; a microphone and a page
# to listen with (requirements-web.txt); a cluster (requirements-cluster.txt).
OPTIONAL = {"tensorflow", "sounddevice", "gradio", "timm", "ray"}
NOT_IMPORTED = {
    "accelerate": "transformers' Trainer imports it",
    "dvc": "a command: dvc repro",
    "import-linter": "a command: lint-imports",
    "ipykernel": "runs the cells of a notebook",
    "mypy": "a command",
    "nbclient": "runs notebooks in a process of its own, from a script in a test",
    "onnxscript": "torch.onnx imports it",
    "pytest-xdist": "pytest's option -n",
    "ruff": "a command",
    "xgboost": "xgboost-cpu, where there is no wheel of that",
    "xgboost-cpu": "xgboost, where there is a wheel of it",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stated() -> set[str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {normal(re.split(r"[=;\[ ]", line)[0]) for line in lines if line and not line.startswith("#")}


def imported() -> dict[str, str]:
    """Return the top-level modules that our code imports, wherever in a file, with one file of each."""
    found = {}
    for path in [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            found |= {name: path.name for name in names}
    tops = {name.split(".")[0]: file for name, file in found.items()}
    return {name: file for name, file in tops.items() if name not in {*sys.stdlib_module_names, *OURS, *OPTIONAL}}


def test_every_imported_package_is_stated_and_every_stated_one_imported() -> None:
    distributions = metadata.packages_distributions()
    packages = {module: {normal(name) for name in distributions.get(module, [])} for module in imported()}
    assert {module: imported()[module] for module, names in packages.items() if not names & stated()} == {}
    unused = stated().difference(*packages.values())
    assert unused <= NOT_IMPORTED.keys()
    assert stated() >= NOT_IMPORTED.keys()


def test_it_can_be_installed_for_editing_and_has_a_command(clone, tiny_params, tmp_path: Path) -> None:
    """As `pip install -e .` does, but without fetching the requirements, which are here."""
    pytest.importorskip("setuptools", "64")
    project = clone(tmp_path / "project", tiny_params)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, project.root)
    offline = [*("--quiet", "--disable-pip-version-check"), *("--no-deps", "--no-build-isolation", "--no-index")]
    prefix = tmp_path / "prefix"
    project.run(sys.executable, "-m", "pip", "install", *offline, "--prefix", str(prefix), "--editable", ".")
    (site,) = prefix.rglob("site-packages")
    (found,) = metadata.distributions(path=[str(site)])
    assert {normal(re.split(r"[=;\[ ]", line)[0]) for line in found.requires or []} == stated()
    # A virtual environment would read the site's .pth file by itself, but making one takes seconds.
    (command,) = (path for path in prefix.rglob("speech-commands-pipeline*") if path.is_file())
    script = (
        f"import runpy, site, sys; site.addsitedir({str(site)!r}); import pipeline; print(pipeline.__file__)\n"
        f"sys.argv = ['speech-commands-pipeline', '--help']; runpy.run_path({str(command)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(project.root))
    assert "Usage: speech-commands-pipeline" in done.stdout
