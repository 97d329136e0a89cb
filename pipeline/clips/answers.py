"""The answers of a test set, where a source knows them."""

import pandas

from pipeline.clips.labels import SILENCE_WORD, UNKNOWN_WORD, Vocabulary, composed
from pipeline.errors import PipelineError

COLUMNS = ["fname", "label", "usage"]


def in_order(answers: pandas.DataFrame | None, fnames: list[str], vocabulary: Vocabulary) -> pandas.DataFrame:
    """Return the answers in the order of `fnames`, words turned into labels; no rows where they are unknown.

    Raises PipelineError if they are of other clips, or hold labels that are no words of the corpus.
    """
    if answers is None:
        return pandas.DataFrame(columns=COLUMNS)
    spelt = {composed(name): name for name in fnames}
    answers = answers.assign(
        fname=[spelt.get(composed(name), name) for name in answers["fname"]], label=answers["label"].map(composed)
    )
    differing = sorted(set(answers["fname"]).symmetric_difference(fnames))
    if differing or len(answers) != len(fnames):
        raise PipelineError(
            f"The answers do not match the test clips: {len(answers)} answers, {len(fnames)} clips, "
            f"{len(differing)} names in only one of them ({', '.join(differing[:3])}).\nMend or remove the answers."
        )
    known = {*vocabulary.words, *vocabulary.submission_labels, UNKNOWN_WORD, SILENCE_WORD}
    strange = sorted(set(answers["label"]) - known)
    if strange:
        raise PipelineError(f"The answers hold labels that are no words of the corpus: {', '.join(strange[:5])}.")
    answers = answers.set_index("fname").loc[fnames].reset_index()[COLUMNS]
    answers["label"] = [vocabulary.label_of(word, "commands") for word in answers["label"]]
    return answers
