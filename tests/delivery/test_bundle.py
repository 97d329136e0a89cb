import json
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from pipeline.delivery import bundle
from pipeline.delivery.commit import commit_of
from pipeline.errors import PipelineError

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "notebooks" / "kernel.ipynb"
SETTINGS = {"competition": "words", "run": "ensemble", "internet": False, "keep": ("torch",), "dataset": None}


def source(notebook, cell):
    (found,) = [one["source"] for one in notebook["cells"] if one["id"] == cell]
    return found if isinstance(found, str) else "".join(found)


def unpack(monkeypatch, folder, files, template=TEMPLATE):
    """Run the cells of a built notebook up to the one that unpacks it."""
    monkeypatch.setenv("PIPELINE_KERNEL_TEMP", str(folder))
    made = bundle.notebook(template, files, SETTINGS)
    names: dict = {}
    for cell in ("settings", "payload", "unpack"):
        exec(source(made, cell), names)
    return names


def test_what_is_packed_is_the_project_without_its_tests(tmp_path, monkeypatch):
    files = bundle.collect(ROOT, "seed: 7\n")
    names = unpack(monkeypatch, tmp_path, files)
    project = tmp_path / "project"
    assert names["PROJECT"] == project
    assert names["SETTINGS"] == SETTINGS
    unpacked = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    code = [path for path in (ROOT / "pipeline").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    modules = {path.relative_to(ROOT).as_posix() for path in code}  # and what the page is made of
    others = {"params.yaml", "dvc.yaml", ".dvcignore", ".dvc/config", "requirements.txt", "commit.txt"}
    assert unpacked == modules | others
    assert (project / "commit.txt").read_text() == f"{commit_of(ROOT)}\n"
    for name in [*modules, "dvc.yaml", ".dvcignore"]:
        assert (project / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert (project / "params.yaml").read_text() == "seed: 7\n"
    assert "no_scm = true" in (project / ".dvc/config").read_text()
    requirements = (project / "requirements.txt").read_text()
    assert "dvc==" in requirements
    assert "pytest" not in requirements


def test_equal_inputs_give_equal_bytes_whatever_their_order(tmp_path):
    files = bundle.collect(ROOT, "seed: 7\n")
    turned = dict(reversed(files.items()))
    for folder, content in (("a", files), ("b", turned)):
        made = bundle.notebook(TEMPLATE, content, SETTINGS)
        bundle.write(tmp_path / folder, made, {"id": "me/words"})
    assert (tmp_path / "a/kernel.ipynb").read_bytes() == (tmp_path / "b/kernel.ipynb").read_bytes()
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == ["kernel-metadata.json", "kernel.ipynb"]
    changed = bundle.notebook(TEMPLATE, {**files, "params.yaml": "seed: 8\n"}, SETTINGS)
    assert source(changed, "payload") != source(made, "payload")


def test_line_ends_and_letters_survive(tmp_path, monkeypatch):
    files = {"params.yaml": "a: ü\r\nb: 日本\n", "x/y.py": ""}
    unpack(monkeypatch, tmp_path, files)
    assert (tmp_path / "project/params.yaml").read_bytes() == files["params.yaml"].encode()


@pytest.mark.parametrize("name", ["../escaped.py", "/tmp/escaped.py", "a/../../escaped.py", "a\\..\\escaped.py"])
def test_a_name_that_leads_out_is_neither_packed_nor_unpacked(name, tmp_path, monkeypatch):
    with pytest.raises(PipelineError, match="leads out of the project"):
        bundle.notebook(TEMPLATE, {name: ""}, SETTINGS)

    data = zlib.compress(json.dumps({"params.yaml": "", name: "owned"}).encode())
    monkeypatch.setenv("PIPELINE_KERNEL_TEMP", str(tmp_path))
    forged = {"PAYLOAD": b64encode(data).decode(), "SHA256": sha256(data).hexdigest()}
    with pytest.raises(RuntimeError, match=r"leads out of .*Nothing was unpacked"):
        exec(source(json.loads(TEMPLATE.read_text()), "unpack"), forged)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_payload_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_KERNEL_TEMP", str(tmp_path))
    made = bundle.notebook(TEMPLATE, {"params.yaml": "seed: 7\n"}, SETTINGS)
    names: dict = {}
    exec(source(made, "payload"), names)
    assert json.loads(zlib.decompress(b64decode(names["PAYLOAD"]))) == {"params.yaml": "seed: 7\n"}
    names["PAYLOAD"] = names["PAYLOAD"].replace("e", "f", 1)
    with pytest.raises(RuntimeError, match="damaged"):
        exec(source(made, "unpack"), names)


def test_the_template_alone_says_how_to_build_it():
    template = json.loads(TEMPLATE.read_text())
    names: dict = {}
    exec(source(template, "payload"), names)
    with pytest.raises(RuntimeError, match="python -m pipeline kernel build"):
        exec(source(template, "unpack"), names)


def test_an_old_python_is_told_so_before_anything_else(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 10, 4))
    monkeypatch.setattr("sys.version", "3.10.4 (main)")
    with pytest.raises(RuntimeError, match=r"needs Python 3\.11; this is 3\.10\.4"):
        exec(source(json.loads(TEMPLATE.read_text()), "unpack"), {"PAYLOAD": "x", "SHA256": ""})


def test_the_cells_of_the_template_are_sound_python():
    for cell in json.loads(TEMPLATE.read_text())["cells"]:
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), cell["id"], "exec")
            assert cell["outputs"] == []


def test_what_is_too_large_for_kaggle_is_not_built():
    import random

    noise = random.Random(1).randbytes(900_000).hex()
    with pytest.raises(PipelineError, match=r"bytes; Kaggle takes 1,000,000.*noise\.py"):
        bundle.notebook(TEMPLATE, {"noise.py": noise, "a.py": ""}, SETTINGS)


def test_a_template_without_its_cells_is_refused(tmp_path):
    path = tmp_path / "kernel.ipynb"
    path.write_text(json.dumps({"cells": [{"id": "settings", "cell_type": "code", "source": []}]}))
    with pytest.raises(PipelineError, match="no cell with the id payload"):
        bundle.notebook(path, {}, SETTINGS)


def test_metadata_are_what_the_client_wants():
    made = bundle.metadata(
        "me/speech-commands-pipeline",
        "Speech commands pipeline",
        competition="words",
        dataset="me/offline-words",
        private=True,
        accelerator="NvidiaTeslaT4",
        internet=False,
    )
    assert made["code_file"] == "kernel.ipynb"
    assert (made["language"], made["kernel_type"]) == ("python", "notebook")
    assert (made["is_private"], made["enable_gpu"], made["enable_internet"]) == (True, True, False)
    assert made["machine_shape"] == "NvidiaTeslaT4"
    assert (made["competition_sources"], made["dataset_sources"]) == (["words"], ["me/offline-words"])


def test_without_gpu_no_machine_is_asked_for():
    made = bundle.metadata(
        "me/words", "words", competition="words", dataset=None, private=False, accelerator=None, internet=True
    )
    assert "machine_shape" not in made
    assert (made["enable_gpu"], made["is_private"], made["dataset_sources"]) == (False, False, [])


def test_the_name_follows_the_title_as_the_client_slugs_it():
    assert bundle.name("me", "Speech: Commands, 2nd try!", None) == "me/speech-commands-2nd-try"
    assert bundle.name("me", "Wörter", "worter") == "me/worter"


@pytest.mark.parametrize(
    ("title", "slug", "message"),
    [
        ("abcd", None, "5 to 50 characters"),
        ("x" * 51, None, "5 to 50 characters"),
        ("a -- !", None, "letters or digits"),
        ("Speech commands", "speech_commands", r"set kernel\.slug: speech-commands"),
    ],
)
def test_names_that_kaggle_would_change_are_refused(title, slug, message):
    with pytest.raises(PipelineError, match=message):
        bundle.name("me", title, slug)


@pytest.mark.parametrize(("content", "message"), [(None, "There is no"), (b"\xff\xfe", "no UTF-8")])
def test_files_that_cannot_be_packed(content, message, tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({}))
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / ".dvcignore").write_text("")
    if content is None:
        (tmp_path / "dvc.yaml").unlink()
    else:
        (tmp_path / "pipeline" / "strange.py").write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        bundle.collect(tmp_path, "")
