"""One self-contained notebook: the template with the project packed into it, and the metadata that Kaggle wants."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from slugify import slugify

from pipeline.delivery import commit
from pipeline.delivery.kernel_session import DATA
from pipeline.delivery.settings import Kernel
from pipeline.delivery.terminal import note
from pipeline.errors import PipelineError
from pipeline.files import replacing_folder, write_json, yaml_text

NOTEBOOK = "kernel.ipynb"
METADATA = "kernel-metadata.json"

# Kaggle refuses larger sources, outputs not counted.
_SOURCE_LIMIT_BYTES = 1_000_000
_TITLE_CHARACTERS = (5, 50)
_DVC_CONFIG = "[core]\n    analytics = false\n    check_update = false\n    no_scm = true\n"
_PACKED = (".py", ".html", ".css", ".js", ".json")  # code, and what the page is made of
_TESTS = "# Tests and checks"
# Sections of params.yaml that the flow does not read.
_OUTSIDE = ("submit", "kernel", "fleet")
# Sources of download.extra that are there on Kaggle too: made where they are wanted, or downloaded from the public.
_MADE, _DOWNLOADED = ("demo",), ("mswc", "speech_commands")


def make(
    folder: Path, root: Path, tree: Mapping[str, Any], settings: Kernel, competition: str, runs: Sequence[str]
) -> dict[str, Any]:
    """Write notebook and metadata of the project in `root` with the parameters `tree` to `folder`; return the metadata.

    Raises PipelineError for a run that is none of `runs`, for checkpoints and sources that the kernel could not have,
    and as `collect` and `notebook` do.
    """
    if settings.run not in runs:
        raise PipelineError(f"params.yaml: kernel.run is '{settings.run}', which is none of: {', '.join(runs)}.")
    _refuse_sources(_extra(tree), settings.internet)
    names = sorted({name for name, _ in checkpoints(tree)})
    absent = [name for name in names if not settings.internet or (root / name).is_dir()]
    if absent and not settings.dataset:
        raise PipelineError(
            f"The runs need checkpoints that the kernel cannot fetch: {', '.join(absent)}.\n"
            "Set kernel.dataset: <user>/<name> in params.yaml and run: python -m pipeline kernel dataset; "
            "or, for published ones, set kernel.internet: true."
        )
    if not settings.internet and not settings.dataset:
        note("Without internet and without kernel.dataset, nothing can be installed on Kaggle.")
    described = metadata(
        name_of(settings),
        settings.title,
        competition=competition,
        dataset=settings.dataset,
        private=settings.private,
        accelerator=settings.accelerator if settings.gpu else None,
        internet=settings.internet,
    )
    made = notebook(
        root / "notebooks" / NOTEBOOK,
        collect(root, yaml_text(on_kaggle(tree))),
        {
            "competition": competition,
            "run": settings.run,
            "internet": settings.internet,
            "keep": settings.keep,
            "dataset": settings.dataset,
        },
    )
    write(folder, made, described)
    return described


def on_kaggle(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the flow with the competition's mounted files in the place of the first source."""
    kept = {key: value for key, value in tree.items() if key not in _OUTSIDE}
    extra = {"extra": _extra(tree)} if _extra(tree) else {}
    return kept | {"download": {"source": "archives", "folder": DATA, **extra}}


def _extra(tree: Mapping[str, Any]) -> Any:
    """Return the sources that only train, as they stand in params.yaml."""
    download = tree.get("download")
    return download.get("extra") if isinstance(download, Mapping) else None


def _refuse_sources(extra: Any, internet: bool) -> None:
    """Raise PipelineError for sources that are not on Kaggle: without them, it would train on another corpus."""
    if not isinstance(extra or [], list):
        raise PipelineError(f"params.yaml, download.extra: expected a list of sources; found {extra!r}.")
    known = (*_MADE, *_DOWNLOADED) if internet else _MADE
    named = [entry.get("source") if isinstance(entry, Mapping) else None for entry in extra or []]
    if absent := sorted({str(name) for name in named if name not in known}):
        raise PipelineError(
            f"params.yaml, download.extra names sources that the kernel cannot have: {', '.join(absent)}.\n"
            f"Delete them from download.extra; it may have: {', '.join(sorted(known))}"
            + ("." if internet else f" (and {', '.join(_DOWNLOADED)} with kernel.internet: true).")
        )


def checkpoints(values: Any) -> set[tuple[str, str | None]]:
    """Return every (checkpoint, revision) that the parameters name, wherever they do."""
    if not isinstance(values, Mapping):
        return set()
    found = {(str(values["checkpoint"]), values.get("revision"))} if values.get("checkpoint") else set()
    return found.union(*(checkpoints(value) for value in values.values()))


def collect(root: Path, parameters: str) -> dict[str, str]:
    """Return text by relative name of what a kernel needs of the project in `root`, with `parameters` as params.yaml.

    The requirements lose their part for tests, DVC is told to do without Git, and the commit is written down, since
    Git stays here. Raises PipelineError if a file is missing or no UTF-8 text.
    """
    files = {"params.yaml": parameters, ".dvc/config": _DVC_CONFIG}
    if known := commit.commit_of(root):
        files[commit.FILE] = known + "\n"
    files["requirements.txt"] = flow_requirements(root / "requirements.txt")
    packed = [path for path in (root / "pipeline").rglob("*") if path.suffix in _PACKED and path.is_file()]
    for path in [root / "dvc.yaml", root / ".dvcignore", *packed]:
        files[path.relative_to(root).as_posix()] = _read(path)
    return files


def flow_requirements(path: Path) -> str:
    """Return the part of a requirements.txt that the flow needs: all before the tests' part."""
    return _read(path).partition(_TESTS)[0]


def notebook(template: Path, files: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template's notebook with `settings` and the packed `files` in its cells; equal inputs, equal bytes.

    Raises PipelineError for a file name that leads out of the project, for a template without the cells `settings`
    and `payload`, and for a notebook that is too large for Kaggle.
    """
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise PipelineError(f"'{name}' leads out of the project and cannot be packed.")
    data = zlib.compress(json.dumps(dict(sorted(files.items())), ensure_ascii=False).encode(), 9)
    code = base64.b64encode(data).decode()
    text = "\n".join(code[start : start + 120] for start in range(0, len(code), 120))
    sources = {
        "settings": f"SETTINGS = {_literal(settings)}",
        "payload": f'PAYLOAD = """\n{text}\n"""\nSHA256 = "{hashlib.sha256(data).hexdigest()}"',
    }
    made: dict[str, Any] = json.loads(_read(template))
    if missing := sorted(set(sources) - {cell.get("id") for cell in made["cells"]}):
        raise PipelineError(f"{template} has no cell with the id {', '.join(missing)}. Restore it from Git.")
    for cell in made["cells"]:
        cell["source"] = sources.get(cell["id"], "".join(cell["source"]))
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    size = len(json.dumps(made).encode())
    if size > _SOURCE_LIMIT_BYTES:
        raise PipelineError(
            f"The notebook has {size:,} bytes; Kaggle takes {_SOURCE_LIMIT_BYTES:,}. Largest files: "
            + ", ".join(sorted(files, key=lambda name: -len(files[name]))[:5])
        )
    return made


def name_of(settings: Kernel) -> str:
    """Return USER/SLUG, the kernel's id. Raises PipelineError as `name` does."""
    return name(settings.user, settings.title, settings.slug)


def name(user: str, title: str, slug: str | None) -> str:
    """Return USER/SLUG, the kernel's id.

    Raises PipelineError for a title that Kaggle refuses, or one whose slug is not `slug`: Kaggle would make a second
    notebook under a name of its own.
    """
    least, most = _TITLE_CHARACTERS
    given = slugify(title)
    if not least <= len(title) <= most or len(given) < least:
        raise PipelineError(
            f"kernel.title in params.yaml must have {least} to {most} characters, and at least {least} letters or "
            f"digits; found {title!r} with {len(title)}."
        )
    if slug is not None and slug != given:
        raise PipelineError(
            f"kernel.slug is '{slug}', but Kaggle makes '{given}' of the title {title!r}. They must agree: "
            f"set kernel.slug: {given} in params.yaml (or leave it out), or change kernel.title."
        )
    return f"{user}/{given}"


def metadata(
    kernel: str,
    title: str,
    *,
    competition: str,
    dataset: str | None,
    private: bool,
    accelerator: str | None,
    internet: bool,
) -> dict[str, Any]:
    """Return the content of kernel-metadata.json of `kernel` (USER/SLUG).

    `accelerator` is Kaggle's name of a machine with a GPU, None for one without.
    """
    made: dict[str, Any] = {
        "id": kernel,
        "title": title,
        "code_file": NOTEBOOK,
        "language": "python",
        "kernel_type": "notebook",
        "is_private": private,
        "enable_gpu": accelerator is not None,
        "enable_tpu": False,
        "enable_internet": internet,
        "competition_sources": [competition],
        "dataset_sources": [dataset] if dataset else [],
        "kernel_sources": [],
        "model_sources": [],
    }
    return made | ({"machine_shape": accelerator} if accelerator else {})


def write(folder: Path, made: Mapping[str, Any], described: Mapping[str, Any]) -> None:
    """Write notebook and metadata into `folder`, in the place of what was there."""
    with replacing_folder(folder) as temporary:
        (temporary / NOTEBOOK).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_json(temporary / METADATA, dict(described))


def _literal(settings: Mapping[str, Any]) -> str:
    lines = [f"    {key!r}: {value!r},\n" for key, value in sorted(settings.items())]
    return "{\n" + "".join(lines) + "}"


def _read(path: Path) -> str:
    try:
        # Bytes, since text mode would change line ends.
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise PipelineError(f"There is no {path}. Run from the project's folder, whole as it was cloned.") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path} is no UTF-8 text: {error}. It cannot be packed.") from None
