"""The dataset for kernels without internet: real pip, real client, no network."""

import json
import sys
import zipfile
from hashlib import sha256

import pytest

from pipeline.delivery import kernel_dataset
from pipeline.delivery.kaggle_client import Patience
from pipeline.errors import PipelineError
from tests.delivery.entrant import QUICK
from tests.delivery.kaggle_server import Fault
from tests.delivery.kernel_service import DATASET as NAME
from tests.delivery.kernel_service import Datasets

PATIENCE = Patience(**QUICK)


def wheel(folder, name, version, *needs, tag="py3-none-any"):
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as file:
        file.writestr(f"{info}/METADATA", "\n".join(["Metadata-Version: 2.1", *lines, ""]))
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is all that pip sees."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


@pytest.fixture
def requirements(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# The flow\nheavy==2.0\nTop_Level==1.0\n\n# Tests and checks\nnot-there==9.9\n")
    return path


def test_wheels_of_the_flow_without_what_the_image_has_and_checkpoints(index, requirements, tmp_path):
    here = f"cp3{sys.version_info.minor}"
    wheel(index, "top_level", "1.0", "heavy>=1", "deep; python_version>='3'", "Extra.Thing[x]>0 ; extra == 'more'")
    wheel(index, "deep", "0.3", tag=f"{here}-{here}-manylinux_2_17_x86_64")
    wheel(index, "heavy", "2.0", "heavy_driver")
    wheel(index, "heavy_driver", "13.0")
    checkpoint = tmp_path / "someone--ast"
    checkpoint.mkdir()
    for name in ("config.json", "model.safetensors"):
        (checkpoint / name).write_text(name)

    folder = tmp_path / "dataset"
    python = f"3.{sys.version_info.minor}"
    place = "data/checkpoints/someone--ast"
    names = kernel_dataset.make(folder, NAME, requirements, ("Heavy",), python, {place: checkpoint})

    wheels = [f"deep-0.3-{here}-{here}-manylinux_2_17_x86_64.whl", "top_level-1.0-py3-none-any.whl"]
    files = ["someone--ast--config.json", "someone--ast--model.safetensors"]
    assert names == wheels + files
    metadata, manifest = "dataset-metadata.json", "manifest.json"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, metadata, manifest])
    made = json.loads((folder / manifest).read_text())
    assert made["python"] == python
    assert [(file["name"], file["place"]) for file in made["files"]] == [
        *((name, "") for name in wheels),
        (files[0], f"{place}/config.json"),
        (files[1], f"{place}/model.safetensors"),
    ]
    assert all(file["sha256"] == sha256((folder / file["name"]).read_bytes()).hexdigest() for file in made["files"])
    described = json.loads((folder / metadata).read_text())
    assert described == {"id": NAME, "title": "offline words", "licenses": [{"name": "other"}]}


def test_checkpoints_in_folders_of_equal_name_do_not_overwrite_each_other(index, requirements, tmp_path):
    wheel(index, "top_level", "1.0")
    wheel(index, "heavy", "2.0")
    places = ["models/a/best", "models/a--best", "models/b/best", "other/best"]
    contents = {"weights.bin": "weights of {}", "b--weights.bin": "more of {}"}
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        for name, content in contents.items():
            (tmp_path / place / name).write_text(content.format(place))
    folder = tmp_path / "dataset"
    checkpoints = {place: tmp_path / place for place in places}
    names = kernel_dataset.make(folder, NAME, requirements, (), "3.12", checkpoints)
    assert len({name.lower() for name in names}) == 2 + len(places) * len(contents)
    made = {file["place"]: file["name"] for file in json.loads((folder / "manifest.json").read_text())["files"]}
    for place in places:
        for name, content in contents.items():
            assert (folder / made[f"{place}/{name}"]).read_text() == content.format(place)
    assert made["models/a/best/weights.bin"] == "best--weights.bin"


def test_wheels_are_those_of_the_kernels_python(index, requirements, tmp_path):
    wheel(index, "heavy", "2.0")
    for tag in ("cp311-cp311", "cp399-cp399"):
        wheel(index, "top_level", "1.0", tag=f"{tag}-manylinux_2_28_x86_64")
    names = kernel_dataset.make(tmp_path / "dataset", NAME, requirements, (), "3.99", {})
    assert names == ["heavy-2.0-py3-none-any.whl", "top_level-1.0-cp399-cp399-manylinux_2_28_x86_64.whl"]


def test_a_package_that_cannot_be_had_is_told_and_no_folder_is_left(index, requirements, tmp_path):
    wheel(index, "heavy", "2.0")
    with pytest.raises(PipelineError, match=r"(?i)(?s)pip install failed.*top.level==1\.0"):
        kernel_dataset.make(tmp_path / "dataset", NAME, requirements, (), "3.12", {})
    assert not list(tmp_path.glob("*dataset*"))


@pytest.fixture
def datasets(here, server, tmp_path, monkeypatch):
    # The client keeps unfinished uploads there, to go on with them.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Datasets(server)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    described = {"id": NAME, "title": "offline words", "licenses": [{"name": "other"}]}
    (folder / "dataset-metadata.json").write_text(json.dumps(described))
    for name in ("a.whl", "b.whl", "manifest.json"):
        (folder / name).write_text(f"content of {name}")
    return folder


def test_the_dataset_is_created_once_and_then_gets_versions(datasets, server, folder):
    page = kernel_dataset.upload(folder, PATIENCE, 0.01)
    assert page == f"https://www.kaggle.com/datasets/{NAME}"
    assert datasets.versions == [["a.whl", "b.whl", "manifest.json"]]
    assert set(server.blobs.values()) == {b"content of a.whl", b"content of b.whl", b"content of manifest.json"}
    datasets.states = ["BLOBS_RECEIVED", "BLOBS_RECEIVED", "READY"]
    kernel_dataset.upload(folder, PATIENCE, 0.01)
    assert len(datasets.versions) == 2
    assert (len(server.asked("CreateDataset")), len(server.asked("CreateDatasetVersion"))) == (1, 1)


def test_a_file_that_fails_to_upload_stops_it_before_anything_is_created(datasets, server, folder):
    server.plan("PUT", Fault(), Fault(status=400))
    with pytest.raises(PipelineError, match=r"1 of 3 files failed to upload, among [abm]\S+\. Nothing was created"):
        kernel_dataset.upload(folder, PATIENCE, 0.01)
    assert datasets.versions == []
    assert server.asked("CreateDataset") == []
    # Another try begins no upload anew: the client asks how far each one is.
    kernel_dataset.upload(folder, PATIENCE, 0.01)
    assert len(server.asked("StartBlobUpload")) == 3
    assert [put.headers.get("Content-Range", "")[:8] for put in server.asked("PUT")[3:]] == ["bytes */"] * 3
    assert datasets.versions == [["a.whl", "b.whl", "manifest.json"]]


def test_kaggles_refusal_is_a_failure(datasets, folder):
    datasets.error = 'The requested title "offline words" is already in use'
    with pytest.raises(PipelineError, match=r"did not take the dataset .*already in use\nCheck kernel\.dataset"):
        kernel_dataset.upload(folder, PATIENCE, 0.01)


def test_a_file_that_is_not_listed_afterwards_is_a_failure(datasets, folder):
    datasets.lost = {"b.whl"}
    with pytest.raises(PipelineError, match=r"lists 1 files less .*: b\.whl"):
        kernel_dataset.upload(folder, PATIENCE, 0.01)


def test_a_dataset_that_kaggle_cannot_make_is_a_failure(datasets, folder):
    datasets.states = ["BLOBS_DECOMPRESSED", "FAILED"]
    with pytest.raises(PipelineError, match=r"could not make the dataset .* \(failed\)"):
        kernel_dataset.upload(folder, PATIENCE, 0.01)
