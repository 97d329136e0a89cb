"""vote: what the teachers say together, of the clips out of fold and, fold by fold, of the test clips."""

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.files import replacing_folder, write_json
from pipeline.jobs.voting import Election, folds_of
from pipeline.layout import Layout


def main(layout: Layout, student: str | None = None) -> None:
    """Write out_of_fold.parquet and nested/, test.parquet, test/<fold>.parquet and weights.json of the vote.

    How the nets of a fold vote on the test clips is chosen on the clips of the other folds, so that a student of this
    fold learns nothing, not even a weight, from the speakers that judge it; with one fold the choice has seen them,
    which weights.json says. The finest labels of any member are kept: words, where a member has them.
    With `student`, teachers and students vote, as the section second_vote asks.
    Raises PipelineError if it is no second student, or a table of a member is missing.
    """
    tree = params.read(layout.params)
    if student is not None and runs.round_of(tree, student) != 3:
        raise PipelineError(
            f"'{student}' is no second student. List it under 'second_students' in params.yaml; the vote that teaches "
            "those under 'students' is: python -m pipeline vote"
        )
    corpus, folds = Corpus.open(layout.prepare), params.folds(tree)
    election = Election.read(layout, tree, corpus, "second_vote" if student else "vote")
    vote = election.fit()
    if report := vote.report():
        print(report)
    of_folds = {fold: vote.combination for fold in folds}
    if len(folds) > 1:
        fold_of = folds_of(corpus, vote.out_of_fold.table.clips)
        of_folds = {fold: election.combination_without(fold_of == fold) for fold in folds}
    with replacing_folder(layout.vote(student)) as folder:
        vote.out_of_fold.write(folder)
        for fold, own in of_folds.items():
            election.finest("test", own, fold).write(folder / "test" / f"{fold}.parquet")
        election.finest("test", vote.combination).write(folder / "test.parquet")
        saw = election.settings.is_fitted and len(folds) == 1
        by_fold = {fold: own.to_dict() for fold, own in of_folds.items()}
        about = {"by_fold": by_fold, "weights_saw_the_judged_clips": saw}
        write_json(folder / "weights.json", {**vote.to_dict(), **about})
