"""What is true of the clips that are judged: the one place that tells it, for every report and every choice."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.target import Target
from pipeline.scoring.probabilities import Probabilities

# The two kinds of clips that are judged: each by a net that never heard its speaker, or held out from all nets.
JudgedSplit = Literal["out_of_fold", "holdout"]
PARTS = "parts"  # of a vote (layers of an encoder): a folder each of tables like the run's own


def names_of(corpus: Corpus) -> NDArray[Any]:
    """Return what each row is called in the tables, str [rows]: a segment by its recording's name."""
    return corpus.rows["recording"].fillna(corpus.rows["clip"]).to_numpy()


def judged_rows(corpus: Corpus, judged: JudgedSplit) -> dict[str, int]:
    """Return the row of each clip that is judged, by its name in the tables, in the corpus's order.

    A recording that was cut into segments is judged once, by its own name; the row is that of one of its segments,
    which all have the recording's speaker and labels.
    """
    rows = corpus.rows
    is_judged = rows["fold"] >= 0 if judged == "out_of_fold" else rows["split"] == "holdout"
    names = names_of(corpus)
    return {names[row]: int(row) for row in np.flatnonzero(is_judged.to_numpy())}


def rows_of(corpus: Corpus, judged: JudgedSplit, probabilities: Probabilities) -> NDArray[np.int64]:
    """Return the row of each clip of a table, int64 [clips].

    Of a fold, the table must have all clips or, where its nets are not trained, none. A clip that could not be decoded
    may be in it or not. Raises PipelineError if the table is of another corpus, lacks another judged clip, or has one
    that is not judged.
    """
    rows = judged_rows(corpus, judged)
    readable, folds = corpus.rows["readable"].to_numpy(), corpus.rows["fold"].to_numpy()
    there = {folds[rows[name]] for name in probabilities.clips if name in rows} or {*folds}
    needed = {name for name, row in rows.items() if readable[row] and folds[row] in there}
    if probabilities.corpus != corpus.fingerprint or not needed <= set(probabilities.clips) <= rows.keys():
        raise PipelineError(
            f"The {judged} probabilities of run '{probabilities.run}' are not of the corpus in {corpus.folder} "
            f"({len(probabilities.clips)} clips in the table, {len(rows)} there). Run `dvc repro` to predict anew."
        )
    return np.array([rows[clip] for clip in probabilities.clips], np.int64)


def truth_of(corpus: Corpus, judged: JudgedSplit, probabilities: Probabilities, target: Target) -> NDArray[Any]:
    """Return the target's values of a table's clips: int64 [clips], index of the label, or float32 [clips, labels].

    Where the corpus does not tell the target of a clip, the value is -1 or NaN: the clip is not judged. The labels are
    the target's; the table may have finer ones (words where the target is the submission's labels).
    Raises PipelineError as `rows_of` does, and where the target is known of none of the clips.
    """
    rows = rows_of(corpus, judged, probabilities)
    known = target.known[rows]
    if not known.any():
        raise PipelineError(
            f"The target of run '{probabilities.run}' is known of none of the {judged} clips. See prepare.splits."
        )
    values = target.values[rows]
    return np.where(known[:, None], values, np.nan) if not target.exclusive else np.where(known, values, -1)


def without_unreadable(corpus: Corpus, test: Probabilities) -> Probabilities:
    """Return a table of test clips without those that could not be decoded: what a net says of them tells nothing."""
    rows = corpus.rows
    lost = set(names_of(corpus)[((rows["split"] == "test") & ~rows["readable"]).to_numpy()])
    return test.select(np.array([clip not in lost for clip in test.clips], bool)) if lost else test


def speakers_of(corpus: Corpus, rows: NDArray[np.int64]) -> list[str]:
    """Return the speaker of each row; a recording whose speaker is not known stands for itself."""
    table = corpus.rows.iloc[rows]
    names = table["speaker"].fillna(table["recording"]).fillna(table["clip"])
    return [str(name) for name in names]
