"""DVCLive, for curves that are written whatever the repository around them is like."""

import logging
from pathlib import Path

from dvclive import Live


def live_of(folder: Path) -> Live:
    """Return a DVCLive that writes to `folder` alone: no dvc.yaml, no experiment, no messages about Git."""
    # Those do not concern a run that DVC drives.
    logging.getLogger("dvclive").setLevel(logging.ERROR)
    return _Live(dir=str(folder), dvcyaml=False, save_dvc_exp=False)


class _Live(Live):
    def _init_dvc(self) -> None:
        """Ask DVC and Git for what an experiment is called; go on without where they cannot tell.

        DVCLive (3.49) lets through what Git says of a repository without a commit, or of another user's.
        """
        try:
            super()._init_dvc()
        except Exception as error:
            logging.getLogger(__name__).debug("DVCLive without DVC: %s", error)
