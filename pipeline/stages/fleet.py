"""fleet: hand the trainings and predictions that are not up to date to the machines of a Ray cluster."""

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.fleet.cluster import Cluster, require_ray
from pipeline.fleet.dispatch import Dispatch
from pipeline.fleet.project import Project
from pipeline.fleet.settings import Fleet
from pipeline.layout import Layout
from pipeline.locks import held_or_refused

AWAY = ("train", "predict", "encode")  # the verbs whose stages other machines run


def main(layout: Layout, address: str | None = None) -> None:
    """Work until `dvc repro` has nothing to do; what is neither trained nor predicted runs on this machine.

    `address` stands in the place of fleet.address. Raises PipelineError for bad parameters; without Ray, a cluster or a
    remote; if a stage failed, when the others are done; if the cluster's head or the remote is lost, or it is
    interrupted: what was finished is kept, and the next call goes on.
    """
    tree = params.read(layout.params)
    settings = params.section(tree, "fleet", Fleet)
    # Without its section, encode has nothing to do.
    verbs = [verb for verb in AWAY if verb != "encode" or params.mapping(tree, "encode")]
    require_ray()
    cure = "Wait for it, or stop it with Ctrl-C."
    with held_or_refused(layout.fleet / "lock", "Another fleet of this project", cure):
        project = Project(layout.root, settings.remote, settings.patience_min * 60)
        project.check_remote()
        cluster = Cluster(address or settings.address, settings.folder_of(project.remote_url), settings.retries)
        try:
            Dispatch(project, cluster, settings, verbs, layout.fleet).run()
        except KeyboardInterrupt:
            raise PipelineError(
                "Interrupted; what is under way ends. What was finished is kept, and trainings go on from their last "
                "epoch: python -m pipeline fleet"
            ) from None
        finally:
            cluster.close()
