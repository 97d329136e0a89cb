"""pseudo_label: the vote of a student's teachers on the test clips, as soft labels to learn from."""

import numpy as np

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import SILENCE
from pipeline.errors import PipelineError
from pipeline.examples import pseudo_labels
from pipeline.examples.from_corpus import judged_labels
from pipeline.examples.target import target_of
from pipeline.files import replacing_folder, write_json
from pipeline.jobs.recipes import read_run
from pipeline.layout import Layout
from pipeline.learners.judging import summed_into
from pipeline.scoring.probabilities import Probabilities


def main(layout: Layout, name: str) -> None:
    """Write <fold>.parquet: the clips that the student trusts, and what the teachers' nets of that fold say of them.

    Those nets never heard the speakers that judge the student's own fold. counts.json tells how many clips of each
    label came out. Raises PipelineError if the vote has not the labels that the student learns.
    """
    tree = params.read(layout.params)
    run, corpus, round_ = read_run(tree, name), Corpus.open(layout.prepare), runs.round_of(tree, name)
    if run.pseudo_labels is None:
        raise PipelineError(f"'{name}' is no student. List it under 'students' or 'second_students' in params.yaml.")
    labels = target_of(corpus, run).labels
    is_unknown = np.isin(labels, [*corpus.vocabulary.commands, SILENCE], invert=True)
    group = judged_labels(corpus, labels) if run.is_submitted else np.arange(len(labels))
    vote = layout.vote(name if round_ > 2 else None)
    counts = {}
    with replacing_folder(layout.pseudo_labels(name, round_)) as folder:
        for fold in params.folds(tree):
            table = Probabilities.read(vote / "test" / f"{fold}.parquet")
            if run.is_submitted and run.vocabulary == "commands":
                table = table.to_submission_labels(corpus.vocabulary.commands)
            if set(table.labels) != set(labels):
                raise PipelineError(
                    f"The student '{name}' learns {len(labels)} labels, the teachers' vote has {len(table.labels)}.\n"
                    "Give it the teachers' vocabulary and target in params.yaml, or let a run with words vote."
                )
            values = table.values[:, [table.labels.index(label) for label in labels]]
            values = pseudo_labels.swayed(values, is_unknown, run.pseudo_labels)
            together = summed_into(values, group)
            kept = pseudo_labels.trusted(together, run.pseudo_labels)
            soft = pseudo_labels.learnt(values[kept], together[kept].argmax(axis=1), group, run.pseudo_labels)
            pseudo_labels.write(folder / f"{fold}.parquet", [table.clips[row] for row in kept], labels, soft)
            found = np.bincount(soft.argmax(axis=1), minlength=len(labels))
            counts[str(fold)] = {label: int(count) for label, count in zip(labels, found, strict=True)}
            print(f"{name}, fold {fold}: {len(kept)} of {len(values)} test clips: {_told(counts[str(fold)])}")
        write_json(folder / "counts.json", counts)


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{label} {count}" for label, count in counts.items())
