"""A Ray cluster: stages go out, reports come back. Nothing else here knows Ray."""

import importlib.util
import os
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import PipelineError
from pipeline.fleet import remote_stage
from pipeline.fleet.settings import Needs

_LOOPBACK = ("127.0.0.1", "localhost")
_SILENT_S = 15.0  # of the cluster's head, before it counts as lost; Ray itself ends this process after a minute


@dataclass(frozen=True)
class StageOutcome:
    """What came of a stage on a machine. `times` are the files in which it noted how long it took, by path."""

    stage: str
    done: bool
    host: str = "?"
    seconds: float = 0.0
    log: str = ""
    was_there: bool = False
    times: Mapping[str, Any] = field(default_factory=dict)


class Cluster:
    """A connection to the cluster at `address`; `folder` is where its machines keep their copies.

    Raises PipelineError if Ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str, folder: str, retries: int) -> None:
        require_ray()
        import ray
        import ray.cloudpickle
        from ray.exceptions import RayError

        self._ray, self._folder, self._retries = ray, folder, retries
        ray.cloudpickle.register_pickle_by_value(remote_stage)
        options: dict[str, Any] = {"_node_ip_address": "127.0.0.1"} if address.split(":")[0] in _LOOPBACK else {}
        if address == "local":
            options = {"include_dashboard": False}
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        except (RayError, ConnectionError, RuntimeError, ValueError) as error:
            why = (str(error).strip() or repr(error)).splitlines()[-1]  # some bring a whole traceback
            raise PipelineError(
                f"No Ray cluster answers at '{address}': {why}\n"
                "Start one: `ray start --head --port=6379` here, `ray start --address=HOST:6379` on the others. "
                "Then: python -m pipeline fleet --address HOST:6379 (`local` is this machine alone). "
                "All of them need the same token (~/.ray/auth_token) and RAY_AUTH_MODE, or none."
            ) from None
        self._head = ray.get_runtime_context().gcs_address
        self._board = ray.remote(num_cpus=0)(remote_stage.Board).remote()
        self._stage_of: dict[Any, str] = {}
        self._kept_at = self._survey()
        self._answered = time.monotonic()

    def can(self, needs: Needs) -> bool:
        """Return whether some machine that is there now has what a stage needs, idle or not."""
        for node in self._ray.nodes():
            has = node["Resources"] if node["Alive"] else {}
            if has.get("CPU", 0) >= needs.cpus and has.get("GPU", 0) >= needs.gpus:
                return True
        return False

    def gpus(self) -> float:
        """Return how many GPUs the cluster has."""
        return float(self._ray.cluster_resources().get("GPU", 0))

    def put(self, files: Mapping[str, bytes]) -> Any:
        """Return a reference to the files of a working copy: each machine fetches them once."""
        return self._ray.put(dict(files))

    def hand_out(self, stage: str, needs: Needs, files: Any, lock: bytes, settings: str, patience_s: float) -> None:
        """Let Ray find a machine for a stage, by preference one that has begun it before; again if it is lost."""
        kept: dict[str, Any] = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "name": stage}
        if node := self._kept_at.pop(stage, None):
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            kept["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=True)
        task = self._ray.remote(max_retries=self._retries, **kept)(remote_stage.run)
        self._stage_of[task.remote(stage, files, lock, settings, patience_s, self._folder, self._board)] = stage

    def reports(self, timeout_s: float) -> list[StageOutcome]:
        """Return what has come back, waiting for it so long. Raises PipelineError if the cluster's head is lost."""
        from ray.exceptions import RayError

        back, _ = self._ray.wait(list(self._stage_of), num_returns=1, timeout=timeout_s)
        if not back:
            self._check_head()
        found = []
        for reference in back:
            stage = self._stage_of.pop(reference)
            try:
                found.append(StageOutcome(stage, **self._ray.get(reference)))
            except RayError as error:
                found.append(StageOutcome(stage, done=False, log=f"error: Ray gave it up: {error}"))
        return found

    def lines(self) -> dict[str, tuple[str, str]]:
        """Return the machine and the last line of output of each stage that has begun."""
        from ray.exceptions import RayError

        try:
            lines: dict[str, tuple[str, str]] = self._ray.get(self._board.read.remote(), timeout=5)
        except (RayError, TimeoutError):  # only told, never relied on
            return {}
        return lines

    def close(self) -> None:
        """Leave the cluster; what is under way there ends."""
        self._ray.shutdown()

    def _survey(self) -> dict[str, str]:
        """Return the node for each stage that was begun on some machines and not delivered."""
        from ray.exceptions import RayError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        ask = self._ray.remote(num_cpus=0, max_retries=0)(remote_stage.survey)
        nodes = [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(self._folder)
            for node in nodes
        ]
        begun: dict[str, list[str]] = {}
        for node, reference in zip(nodes, asked, strict=True):
            try:
                begun[node] = self._ray.get(reference, timeout=60)
            except (RayError, TimeoutError):  # it is asked for a preference only
                begun[node] = []
        return keepers(begun)

    def _check_head(self) -> None:
        host, _, port = self._head.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            self._answered = time.monotonic()
        except OSError as error:
            if time.monotonic() - self._answered > _SILENT_S:
                raise PipelineError(
                    f"The cluster's head at {self._head} is lost: {error}\nWhat was finished is kept. Start the "
                    "cluster again, and then: python -m pipeline fleet"
                ) from None


def keepers(begun: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the node that should go on with each stage, of the stages that were begun on each node.

    What all nodes know lies on shared storage, and any of them will do. Of several that know a stage, the one that
    keeps fewest others is taken.
    """
    load: Counter[str] = Counter()
    chosen: dict[str, str] = {}
    for stage in dict.fromkeys(stage for stages in begun.values() for stage in stages):
        having = [node for node, stages in begun.items() if stage in stages]
        if len(having) < len(begun):
            chosen[stage] = min(having, key=lambda node: load[node])
            load[chosen[stage]] += 1
    return chosen


def require_ray() -> None:
    """Raise PipelineError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise PipelineError(
            "Handing stages to other machines needs Ray, here and on each of them:\n"
            "pip install -r requirements-cluster.txt"
        )
