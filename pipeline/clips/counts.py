"""How many clips a corpus has of what."""

import pandas

from pipeline.clips.labels import Vocabulary


def clips_by_label(rows: pandas.DataFrame, vocabulary: Vocabulary, source: str) -> dict[str, dict[str, int]]:
    """Return clips per split and label; the test split has no labels, so it is counted as a whole.

    Clips of other sources than `source` are in "train" too; "extra" tells how many each brought.
    """
    counts = {}
    for split in ("train", "validation", "holdout"):
        labels = rows.loc[rows["split"] == split, "word"].map(lambda word: vocabulary.label_of(word, "commands"))
        found = labels.value_counts()
        counts[split] = {label: int(found.get(label, 0)) for label in vocabulary.submission_labels}
    counts["synthetic"] = {"all": int((rows["split"] == "synthetic").sum())}
    extra = rows["source"][rows["source"] != source].value_counts()
    counts["extra"] = {str(name): int(extra[name]) for name in sorted(extra.index)}
    counts["test"] = {"all": int((rows["split"] == "test").sum())}
    return counts
