"""What an archive's own lists say of its clips: which are for validation, which for testing."""

import numpy as np

from pipeline.clips.recording import SplitList
from pipeline.errors import PipelineError


def named_by(clips: np.ndarray, lists: list[SplitList]) -> np.ndarray:
    """Return str [clips], the split of the list that names each, "" for none; names that are no clip are told.

    Raises PipelineError if a list names no clip at all, or a clip is in both.
    """
    found = np.full(len(clips), "", object)
    for given in lists:
        listed = np.array([clip in given.names for clip in clips], bool)
        if given.names and not listed.any():
            raise PipelineError(
                f"The archive's {given.split} list names none of its clips (such as {min(given.names)}; the clips are "
                f"called like {clips[0]}).\nSet prepare.splits: hash or grouped in params.yaml."
            )
        if (twice := listed & (found != "") & (found != given.split)).any():
            raise PipelineError(
                f"{twice.sum()} clips are both in the archive's validation list and in its testing list, such as "
                f"{clips[twice][0]}.\nTake them out of one of the lists."
            )
        if strange := given.names.difference(clips):
            print(
                f"Of {len(given.names)} names in the archive's {given.split} list, {len(strange)} are no clip that can "
                f"be used, such as {min(strange)}."
            )
        found[listed] = given.split
    return found
