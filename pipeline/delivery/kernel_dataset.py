"""The dataset for kernels without internet: the requirements as wheels, and the checkpoints that the runs need.

All files lie side by side, since the client leaves folders out; manifest.json says where each belongs.
"""

import itertools
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from pipeline.delivery.bundle import flow_requirements
from pipeline.delivery.kaggle_client import Patience, call, connect, persist
from pipeline.delivery.kaggle_errors import KaggleError
from pipeline.delivery.kernel_session import DATASET_MANIFEST
from pipeline.delivery.masking import masked
from pipeline.delivery.settings import Kernel
from pipeline.delivery.terminal import note, say
from pipeline.errors import PipelineError
from pipeline.files import read_json, replacing_folder, sha256_of, write_json

METADATA = "dataset-metadata.json"

# Up to the C library of Ubuntu 22.04, on which Kaggle's image is built.
_PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)),
    *(f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")),
)
_PURE = re.compile(r"-(py3|py2\.py3)-none-any\.whl$")
_START_LIMIT_S = 300
_SLOWEST_UPLOAD_BYTES_S = 200_000
_READY_LIMIT_S = 1_800
_LINES_OF_A_FAILURE = 10


def places(
    named: Iterable[tuple[str, str | None]],
    root: Path,
    place: Callable[[str, str | None], Path],
    resolve: Callable[[str, str | None], Path],
) -> dict[str, Path]:
    """Return the folder of each checkpoint that is `named` (with its revision), by its place in the project on Kaggle.

    `place` tells where a run looks for a published one, `resolve` fetches it. Raises PipelineError for one that lies
    outside the project in `root`.
    """
    folders = {}
    for name, revision in sorted(named, key=str):
        if Path(name).expanduser().is_absolute() or ".." in Path(name).parts:
            raise PipelineError(f"The checkpoint {name} lies outside the project; Kaggle cannot have it in that place.")
        own = (root / name).is_dir()
        where = Path(name) if own else place(name, revision)
        folders[where.as_posix()] = resolve(str(root / name) if own else name, revision)
    return folders


def provide(
    folder: Path, settings: Kernel, root: Path, checkpoints: Mapping[str, Path], patience: Patience, upload_it: bool
) -> None:
    """Make the dataset of the section `kernel` in `folder`, upload it if wanted, and say so. Raises PipelineError as
    `make` and `upload` do, and where the section names no dataset.
    """
    if settings.dataset is None:
        raise PipelineError(
            "params.yaml, section kernel: name the dataset to make, dataset: <user>/<name>, the name of 6 to 50 small "
            "letters, digits and dashes."
        )
    note(f"Fetching the wheels for Python {settings.python}; this takes minutes ...")
    names = make(folder, settings.dataset, root / "requirements.txt", settings.keep, settings.python, checkpoints)
    size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{folder}: {len(names)} files, {size / 1e6:.0f} MB")
    if upload_it:
        note("Uploading ...")
        say(f"The dataset is ready: {upload(folder, patience)}")


def make(
    folder: Path,
    dataset: str,
    requirements: Path,
    keep: Sequence[str],
    python: str,
    checkpoints: Mapping[str, Path],
) -> list[str]:
    """Make the folder of the dataset OWNER/NAME: wheels for Linux and `python` ("3.12"), checkpoints, manifest.

    `keep` names packages that are left out together with what only they need; `checkpoints` gives the folder of each
    checkpoint by its place in the project. Returns the names of the files. Raises PipelineError if a package cannot
    be had.
    """
    with replacing_folder(folder) as temporary:
        _fetch_wheels(_needed(requirements, keep), python, temporary)
        files = [{"name": path.name, "place": ""} for path in sorted(temporary.glob("*.whl"))]
        for place, checkpoint in sorted(checkpoints.items()):
            for path in sorted(path for path in checkpoint.iterdir() if path.is_file()):
                name = _unused(Path(place).name, path.name, {file["name"].lower() for file in files})
                shutil.copyfile(path, temporary / name)
                files.append({"name": name, "place": f"{place}/{path.name}"})
        for file in files:
            file["sha256"] = sha256_of(temporary / file["name"])
        write_json(temporary / DATASET_MANIFEST, {"python": python, "files": files})
        title = dataset.split("/")[1].replace("-", " ")
        write_json(temporary / METADATA, {"id": dataset, "title": title, "licenses": [{"name": "other"}]})
    return [file["name"] for file in files]


def _unused(folder: str, file: str, taken: Collection[str]) -> str:
    """Return a name in the dataset for a checkpoint's file; `taken` are in small letters. Folders may have equal names
    in different places.
    """
    prefixes = itertools.chain([folder], (f"{folder}-{number}" for number in itertools.count(2)))
    return next(name for prefix in prefixes if (name := f"{prefix}--{file}").lower() not in taken)


def upload(folder: Path, patience: Patience, poll_s: float = 10.0) -> str:
    """Create the private dataset in `folder`, or a new version of it, wait until it can be used, and return its page.

    Raises PipelineError if a file failed to upload (nothing is created then), Kaggle refuses, or a file is missing
    from what it lists afterwards. A second call goes on with what was uploaded.
    """
    dataset = read_json(folder / METADATA)["id"]
    expected = {path.name for path in folder.iterdir()} - {METADATA}
    api = connect(patience)
    sent = _complete_or_not_at_all(api, expected)
    exists = _status(api, dataset, patience) is not None
    largest = max((folder / name).stat().st_size for name in expected)

    def send() -> Any:
        if exists:
            return api.dataset_create_version(str(folder), "Made by python -m pipeline kernel dataset", quiet=True)
        return api.dataset_create_new(str(folder), quiet=True)

    limit_s = _START_LIMIT_S + largest / _SLOWEST_UPLOAD_BYTES_S
    answer = call(send, "", f"upload the dataset {dataset}", limit_s, lambda: len(sent))
    page = f"https://www.kaggle.com/datasets/{dataset}"
    if answer.error or str(answer.status).lower() not in ("ok", ""):
        raise PipelineError(
            f"Kaggle did not take the dataset {dataset}: {masked(str(answer.error or answer.status))}\n"
            "Check kernel.dataset in params.yaml: your user name, a slash, 6 to 50 letters, digits and dashes."
        )
    _wait_until_ready(api, dataset, patience, poll_s, page)
    if missing := sorted(expected - _listed(api, dataset, patience)):
        raise PipelineError(
            f"Kaggle lists {len(missing)} files less in {page} than were sent: {', '.join(missing[:5])}. "
            "Run again: python -m pipeline kernel dataset"
        )
    return page


def _needed(requirements: Path, keep: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Return (version, whether there is a wheel) by name of all packages that the flow needs, without `keep`."""
    with tempfile.TemporaryDirectory() as folder:
        flow, report = Path(folder, "requirements.txt"), Path(folder, "report.json")
        flow.write_text(flow_requirements(requirements), encoding="utf-8")
        _pip("install", "--dry-run", "--quiet", "--ignore-installed", f"--report={report}", f"--requirement={flow}")
        items = read_json(report)["install"]
    packages: dict[str, Any] = {canonicalize_name(item["metadata"]["name"]): item for item in items}
    kept = {canonicalize_name(name) for name in keep}
    reached: set[str] = set()
    waiting = [name for name, item in packages.items() if item.get("requested")]
    while waiting:
        name = waiting.pop()
        if name in reached or name in kept or name not in packages:
            continue
        reached.add(name)
        # Whatever the conditions (extras, platforms) say: a wheel too many costs little.
        needs = packages[name]["metadata"].get("requires_dist", [])
        waiting += [canonicalize_name(re.split(r"[\s;\[\](<>=!~@]", need, maxsplit=1)[0]) for need in needs]
    return {
        name: (packages[name]["metadata"]["version"], packages[name]["download_info"]["url"].endswith(".whl"))
        for name in sorted(reached)
    }


def _fetch_wheels(packages: Mapping[str, tuple[str, bool]], python: str, folder: Path) -> None:
    target = [f"--python-version={python}", "--implementation=cp", *(f"--platform={name}" for name in _PLATFORMS)]
    ready = [f"{name}=={version}" for name, (version, is_wheel) in packages.items() if is_wheel]
    if ready:
        _pip("download", "--quiet", "--no-deps", "--only-binary=:all:", *target, f"--dest={folder}", *ready)
    for name, (version, is_wheel) in packages.items():
        if not is_wheel:
            before = set(folder.glob("*.whl"))
            _pip("wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", f"{name}=={version}")
            if bound := [path.name for path in set(folder.glob("*.whl")) - before if not _PURE.search(path.name)]:
                raise PipelineError(
                    f"{name} {version} comes as source, and its wheel fits this machine only: {bound[0]}.\n"
                    "Name another version in requirements.txt, or set kernel.internet: true in params.yaml."
                )


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-_LINES_OF_A_FAILURE:])
        raise PipelineError(
            f"pip {arguments[0]} failed:\n{last}\n"
            "Check the network; where a package has no wheel for kernel.python (params.yaml), take another Python."
        )


def _complete_or_not_at_all(api: Any, expected: set[str]) -> list[str]:
    """Make `api` stop before it creates a dataset that lacks a file, as it would; return the names as they arrive."""
    from kaggle.api.kaggle_api_extended import ResumableUploadResult

    put, upload_files = api.upload_complete, api.upload_files
    sent: list[str] = []

    def put_and_count(path: str, *arguments: Any, **options: Any) -> Any:
        result = put(path, *arguments, **options)
        if result == ResumableUploadResult.COMPLETE:
            sent.append(Path(path).name)
        return result

    def upload_all(request: Any, *arguments: Any, **options: Any) -> None:
        upload_files(request, *arguments, **options)
        if len(request.files) < len(expected):
            raise PipelineError(
                f"{len(expected) - len(request.files)} of {len(expected)} files failed to upload, among "
                f"{', '.join(sorted(expected - set(sent))[:5])}. Nothing was created. Check the network and run again: "
                "it goes on with what was uploaded."
            )

    api.upload_complete, api.upload_files = put_and_count, upload_all
    return sent


def _status(api: Any, dataset: str, patience: Patience) -> str | None:
    """Return the dataset's status in lower case, None if there is no such dataset."""
    try:
        return persist(lambda: api.dataset_status(dataset), "", f"look for the dataset {dataset}", patience)
    except KaggleError as error:
        if error.status in (403, 404):  # both for a name that is free
            return None
        raise


def _wait_until_ready(api: Any, dataset: str, patience: Patience, poll_s: float, page: str) -> None:
    end = time.monotonic() + _READY_LIMIT_S
    while (state := _status(api, dataset, patience)) != "ready":
        if state in ("failed", "deleted"):
            raise PipelineError(f"Kaggle could not make the dataset {dataset} ({state}). See {page} and run again.")
        if time.monotonic() > end:
            raise PipelineError(f"Kaggle still works on the dataset {dataset} ({state}). See {page} later.")
        time.sleep(poll_s)


def _listed(api: Any, dataset: str, patience: Patience) -> set[str]:
    names: set[str] = set()
    token = None
    while True:

        def ask(token: str | None = token) -> Any:
            return api.dataset_list_files(dataset, page_token=token, page_size=200)

        page = persist(ask, "", f"list the files of {dataset}", patience)
        names |= {file.name for file in page.files or []}
        token = page.next_page_token
        if not token:
            return names
