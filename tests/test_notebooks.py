"""The notebooks, run cell by cell on a finished tiny competition, without a network."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
# As a user's machine would run it: the kernel is found by its name, in this very environment.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": "notebooks"}}).execute()
nbformat.write(notebook, sys.argv[2])
"""


def outputs(notebook):
    """Return what the cells showed: the MIME types in order, and all text."""
    kinds, texts = [], []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            kinds += list(output.get("data", {}))
            texts.append(output.get("text", "") + str(output.get("data", {}).get("text/plain", "")))
            assert output.output_type != "error"
    return kinds, "\n".join(texts)


@pytest.fixture
def executed(finished, tmp_path):
    def execute(name):
        project = finished.copy(tmp_path / "project")
        (project.root / "notebooks").mkdir(exist_ok=True)
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", project.root / "notebooks")
        made = tmp_path / "executed.ipynb"
        project.run(
            sys.executable, "-c", EXECUTE, f"notebooks/{name}.ipynb", str(made), IPYTHONDIR=str(tmp_path / "ipython")
        )
        return outputs(nbformat.read(made, as_version=4))

    return execute


def test_the_data_can_be_heard_and_seen(executed):
    kinds, text = executed("01-data")
    assert kinds.count("text/html") >= 12 + 4  # a player for each label, and for the augmented clip
    assert kinds.count("image/png") == 3
    assert "clips from the source 'demo', seed 7" in text
    assert "speakers" in text


def test_a_transformer_is_summed_up_drawn_and_tried_on_a_clip(executed):
    kinds, text = executed("03-transformers")
    assert kinds.count("image/png") >= 4
    assert "parameters, 12 labels" in text or "parameters, 31 labels" in text
    assert "classifier" in text
    assert "prediction:" in text


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_their_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_every_notebook_is_formatted():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", str(NOTEBOOKS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
