"""Hands stages out and takes their results in, until nothing is left that could be done."""

import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.delivery.masking import masked
from pipeline.errors import PipelineError
from pipeline.files import replacing, write_json
from pipeline.fleet.cluster import Cluster, StageOutcome
from pipeline.fleet.plan import Plan
from pipeline.fleet.project import Project
from pipeline.fleet.settings import Fleet

_GLANCE_S = 1.0
_TAIL_LINES = 12

# A worker's own part of DVC's configuration. Its cache serves all copies on the machine, by links: stages only read
# what they are given, and rename what they write.
_CONFIG = """[core]
    no_scm = true
    remote = {remote}
    site_cache_dir = {{home}}/state
[cache]
    dir = {{home}}/cache
    type = "reflink,hardlink,copy"
['remote "{remote}"']
    url = {url}
"""


class Dispatch:
    """The stages of `project` on `cluster`: those that call one of `verbs` are handed out, the others run here.

    What each said on another machine goes to the folder `logs`.
    """

    def __init__(self, project: Project, cluster: Cluster, settings: Fleet, verbs: Collection[str], logs: Path) -> None:
        self._project, self._cluster, self._settings, self._logs = project, cluster, settings, logs
        self._verbs = project.verbs()
        self._needs = project.graph()
        self.plan = Plan(self._needs, [stage for stage, verb in self._verbs.items() if verb in verbs])
        self._console, self._start = Console(soft_wrap=True, highlight=False), time.monotonic()
        self._files = cluster.put(project.packed())
        self._given: set[str] = set()
        self._worked = 0
        self._warned: set[str] = set()

    def run(self) -> None:
        """Work until nothing is left. Raises PipelineError at the end if a stage failed; the others are done then."""
        plan = self.plan
        if not self._settings.train.gpus and (gpus := self._cluster.gpus()):
            self._say(f"The cluster has {gpus:g} GPUs, and trainings are given none: set fleet.train.gpus.")
        while True:
            for stage in plan.to_hand_out():
                self._begin(stage)
            if here := plan.to_run_here():
                self._run_here(here)
            elif plan.out:
                for report in self._waited():
                    self._settle(report)
            elif not plan.to_hand_out():
                break
        self._say(f"{self._worked} stages were run on the fleet in {_clock(time.monotonic() - self._start)}.")
        if plan.failed:
            waiting = f"\nNot begun, since they depend on these: {', '.join(plan.blocked)}" if plan.blocked else ""
            raise PipelineError(
                f"Failed: {', '.join(sorted(plan.failed))}. What they said is in {self._logs}.{waiting}\n"
                "All else is done. Mend it, and start it again: python -m pipeline fleet"
            )

    def _begin(self, stage: str) -> None:
        """Hand a stage out, unless it is up to date, or the remote has what it would write."""
        if not self._project.changed([stage]) or self._project.take(stage):
            self.plan.done.add(stage)
            return
        inputs = self._needs[stage] - self._given
        self._project.give(inputs)
        self._given |= inputs
        needs = getattr(self._settings, self._verbs[stage])
        if not self._cluster.can(needs) and self._verbs[stage] not in self._warned:
            self._warned.add(self._verbs[stage])
            asked = f"{needs.cpus} CPUs" + (f" and {needs.gpus:g} GPUs" if needs.gpus else "")
            self._say(f"No machine of the cluster has {asked} (fleet.{self._verbs[stage]}): waiting for one.")
        lock = (self._project.root / "dvc.lock").read_bytes()
        settings = _CONFIG.format(remote=self._project.remote, url=self._project.remote_url)
        self._cluster.hand_out(stage, needs, self._files, lock, settings, self._project.patience_s)
        self.plan.out.add(stage)

    def _settle(self, report: StageOutcome) -> None:
        """Bring a stage's results here, and say how it ended."""
        stage, took = report.stage, _clock(report.seconds)
        done = report.done
        with replacing(self._logs / f"{stage}.log") as temporary:
            temporary.write_text(masked(report.log), encoding="utf-8")
        if done:
            if not self._project.take(stage):
                raise PipelineError(
                    f"{stage} is done on {report.host}, but from the remote '{self._project.remote}' it did not come.\n"
                    "Were files changed here meanwhile? Start it again: python -m pipeline fleet"
                )
            for path, times in report.times.items():
                write_json(self._project.root / path, times)
            self._given.add(stage)
            self._worked += not report.was_there
        self.plan.out.discard(stage)
        (self.plan.done if done else self.plan.failed).add(stage)
        how = "was done already" if report.was_there else f"done in {took}" if done else f"failed after {took}"
        away = self.plan.away
        self._say(f"{stage}: {how} on {report.host} ({len(self.plan.done.intersection(away))} of {len(away)})")
        if not done:
            tail = masked(report.log).rstrip().splitlines()[-_TAIL_LINES:]
            self._say("\n".join(f"  {line}" for line in tail or ["it said nothing: killed, or out of memory?"]))

    def _run_here(self, stages: list[str]) -> None:
        """Run stages on this machine with DVC's own command, which skips what is up to date."""
        command = [sys.executable, "-m", "dvc", "repro", "--keep-going", *stages]
        sys.stdout.flush()
        status = subprocess.run(command, cwd=self._project.root, check=False).returncode
        changed = self._project.changed(stages) if status else []
        self.plan.note_here(stages, changed)
        if status and not changed:
            raise PipelineError("`dvc repro` failed, as said above. Mend it, and run: python -m pipeline fleet")

    def _waited(self) -> list[StageOutcome]:
        """Return the next reports, at least one, showing meanwhile what goes on."""
        if not self._console.is_terminal:
            while not (reports := self._cluster.reports(_GLANCE_S)):
                pass
            return reports
        with Live(progress(self.plan, {}), console=self._console, transient=True, refresh_per_second=4) as live:
            while not (reports := self._cluster.reports(_GLANCE_S)):
                live.update(progress(self.plan, self._cluster.lines()))
        return reports

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False)


def progress(plan: Plan, lines: Mapping[str, tuple[str, str]]) -> Group:
    """Return the progress of all: a bar over the stages of the fleet, and a line for each that is under way.

    The bar stands above, and those that wait are one line: a terminal cuts off what is below its last line.
    """
    away, table = plan.away, Table.grid(padding=(0, 2))
    at_work = sorted(plan.out.intersection(lines))
    for stage in at_work:
        host, line = lines[stage]
        table.add_row(stage, host, Text(line, overflow="ellipsis", no_wrap=True))
    if waiting := len(plan.out) - len(at_work):
        table.add_row(f"{waiting} more", "", "waiting for a machine")
    done = len(plan.done.intersection(away))
    bar = Table.grid(padding=(0, 2))
    bar.add_row("fleet", ProgressBar(len(away), done, width=40), f"{done} of {len(away)}")
    return Group(bar, table)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
