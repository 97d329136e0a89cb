"""A project as DVC sees it: its graph, what is out of date, and what goes to and comes from the remote.

`dvc` is called as a library: its commands tell neither which stages a stage needs nor whether the remote has what a
stage would write, without running the stage.
"""

import re
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from pipeline.errors import PipelineError
from pipeline.fleet.dvc_warnings import DvcWarnings, collected

if TYPE_CHECKING:
    from dvc.stage import Stage

T = TypeVar("T")

# All that a working copy needs beside what stages depend on.
_FRAME = ("dvc.yaml", "dvc.lock", "params.yaml", ".dvcignore", ".dvc/config")
_VERB = re.compile(r"python -m pipeline (\w+)")


class Project:
    """The project in the folder `root`, with the DVC remote `remote` (DVC's default where it is None).

    Raises PipelineError if there is no project or no such remote. What goes wrong with the remote is tried again for
    `patience_s` seconds.
    """

    def __init__(self, root: Path, remote: str | None, patience_s: float) -> None:
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo
        from dvc.scm import SCMError

        try:
            self.repo = Repo(str(root), remote=remote)
        except (NotDvcRepoError, SCMError) as error:
            raise PipelineError(f"{error}\nRun it in the project's folder; without Git, set core.no_scm.") from None
        self.root, self.patience_s = root, patience_s
        name, known = self.repo.config["core"].get("remote"), self.repo.config["remote"]
        if name not in known:
            wanted = f"there is none called '{name}'" if name else "no default one is set"
            raise PipelineError(
                f"Stages travel through a DVC remote, and {wanted}. Remotes: {', '.join(known) or 'none'}.\n"
                "Add one that all machines reach, for example: dvc remote add --default storage /mnt/shared/storage"
            )
        self.remote: str = name
        # A folder that is given relative to .dvc/config is absolute here, as it has to be for another folder.
        self.remote_url: str = known[name]["url"]

    def graph(self) -> dict[str, set[str]]:
        """Return each stage's direct predecessors."""
        with self._locked():
            graph = self.repo.index.graph
            return {each.addressing: {other.addressing for other in graph.successors(each)} for each in graph}

    def verbs(self) -> dict[str, str]:
        """Return the verb of `python -m pipeline` that each stage calls, "" for a stage that calls another command."""
        with self._locked():
            return {each.addressing: _verb(each) for each in self.repo.index.stages}

    def changed(self, stages: Iterable[str]) -> list[str]:
        """Return those of `stages` that are not up to date, as far as their present inputs tell."""
        with self._locked(), collected():
            return [name for name in stages if self._stage(name).changed()]

    def packed(self) -> dict[str, bytes]:
        """Return the files that make a working copy, by path: what no stage writes, and some stage depends on."""
        with self._locked():
            made = [Path(out.fs_path) for out in self.repo.index.outs]
            read = {
                Path(dep.fs_path) for each in self.repo.index.stages for dep in each.deps if dep.protocol == "local"
            }
        top = Path(self.repo.root_dir)
        ours = [path for path in read if top in path.parents and not any(_overlap(path, other) for other in made)]
        files = {top / name for name in _FRAME}
        for path in ours:
            files |= {each for each in path.rglob("*") if "__pycache__" not in each.parts} if path.is_dir() else {path}
        return {path.relative_to(top).as_posix(): path.read_bytes() for path in sorted(files) if path.is_file()}

    def check_remote(self) -> None:
        """Raise PipelineError if the remote does not answer, or can keep no run cache."""
        from dvc.config import RemoteConfigError

        try:
            odb = self._remote_odb()
        except RemoteConfigError as error:
            raise PipelineError(f"The remote '{self.remote}' will not do for a fleet: {error}") from None
        except ImportError as error:
            raise PipelineError(f"The remote '{self.remote}': {error}") from None
        if odb.fs.protocol in ("http", "https"):
            raise PipelineError(
                f"The remote '{self.remote}' speaks HTTP, over which DVC keeps no run cache, so what a machine has "
                "finished could not be found. Take a folder that all machines share, SSH, or a bucket."
            )
        self._patiently("answer", lambda _: list(_runs(odb)))

    def bring_inputs(self, stage: str) -> None:
        """Fetch and check out all that a stage depends on. Raises PipelineError if the remote has it not."""
        names = sorted(self.graph()[stage])
        if names:
            self._patiently(f"give the inputs of {stage}", lambda _: self.repo.pull(targets=names, force=True))

    def give(self, stages: Iterable[str]) -> None:
        """Push what stages wrote, and then the note in the run cache that they wrote it."""
        names = sorted(stages)

        def push(_: DvcWarnings) -> None:
            if names:
                self.repo.push(targets=names)
            _copy_runs(self.repo.cache.legacy, self._remote_odb())

        self._patiently("take what is done", push)

    def take(self, stage: str) -> bool:
        """Check out what a stage wrote here or elsewhere from the same inputs; return whether there is such a thing.

        Then the stage is up to date, as after `dvc repro`.
        """
        from dvc.stage.cache import RunCacheNotFoundError

        def take(warnings: DvcWarnings) -> bool:
            _copy_runs(self._remote_odb(), self.repo.cache.legacy)
            with self._locked():
                found = self._stage(stage)
                found.remove_outs(ignore_remove=False, force=False)  # as `dvc repro` does: they are out of date
                try:
                    self.repo.stage_cache.restore(found, pull=True)
                except RunCacheNotFoundError:
                    if warnings.errors:  # it is there, and did not come
                        raise warnings.errors[-1] from None
                    return False
                found.save()
                found.dump(update_pipeline=False)
            return True

        return self._patiently(f"give what {stage} wrote", take)

    def run(self, stage: str) -> None:
        """Run one stage here, and none before it. Raises DVC's own error if it fails, as its output tells."""
        self.repo.reproduce(targets=[stage], single_item=True)

    def _stage(self, name: str) -> "Stage":
        path, _, own = name.rpartition(":")
        return self.repo.stage.load_one(path or None, own)

    def _remote_odb(self) -> Any:
        return self.repo.cloud.get_remote_odb(self.remote, "fleet", hash_name="md5-dos2unix")

    def _locked(self) -> Any:
        from dvc.repo import lock_repo

        return lock_repo(self.repo)

    def _patiently(self, what: str, work: Callable[[DvcWarnings], T]) -> T:
        """Return what `work` does with the remote; try again while it fails, unless the disk is full.

        Raises PipelineError with what the remote was asked for, and what DVC says.
        """
        from dvc.lock import LockError

        with collected() as warnings:

            def is_passing(error: BaseException) -> bool:
                known = isinstance(error, LockError | PipelineError | KeyboardInterrupt)
                return isinstance(error, Exception) and not known and warnings.disk_full(error) is None

            def say(state: RetryCallState) -> None:
                if state.attempt_number == 1:
                    why = state.outcome.exception() if state.outcome else None
                    print(f"The remote '{self.remote}' does not {what}, and is asked again: {why}", flush=True)

            def attempt() -> T:
                warnings.clear()
                return work(warnings)

            retrying = Retrying(
                stop=stop_after_delay(self.patience_s),
                wait=wait_exponential(multiplier=1, max=60),
                retry=retry_if_exception(is_passing),
                before_sleep=say,
                reraise=True,
            )
            try:
                return retrying(attempt)
            except PipelineError:
                raise
            except Exception as error:
                if full := warnings.disk_full(error):
                    raise full from None
                if isinstance(error, LockError):
                    raise PipelineError(f"Another `dvc` works in {self.root.resolve()}. Wait for it.") from None
                said = "\n".join(f"  {line}" for line in dict.fromkeys([*warnings.said[-3:], str(error)]))
                raise PipelineError(
                    f"The remote '{self.remote}' does not {what}, asked from {socket.gethostname()}:\n{said}\n"
                    "What was finished is kept. When the remote answers again: python -m pipeline fleet"
                ) from None


def _verb(stage: "Stage") -> str:
    found = _VERB.match(str(stage.cmd))
    return found[1] if found else ""


def _overlap(path: Path, other: Path) -> bool:
    return path == other or path in other.parents or other in path.parents


def _runs(odb: Any) -> Iterator[str]:
    """Yield the paths of all notes in a run cache, from its root."""
    top = odb.fs.join(odb.path, "runs")
    if odb.fs.exists(top):
        yield from (odb.fs.relpath(path, odb.path) for path in odb.fs.find(top))


def _copy_runs(source: Any, target: Any) -> None:
    """Copy the notes of a run cache that the other has not. (DVC's own way copies all, and hides what fails.)"""
    from dvc.fs import generic

    there = {name.replace("\\", "/") for name in _runs(target)}
    for name in _runs(source):
        parts = name.replace("\\", "/").split("/")
        if "/".join(parts) not in there:
            generic.copy(source.fs, source.fs.join(source.path, *parts), target.fs, target.fs.join(target.path, *parts))
