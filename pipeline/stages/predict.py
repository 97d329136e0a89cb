"""predict: one run's probabilities: out of fold for the training archive, the mean over folds for the test clips."""

from pathlib import Path
from typing import Any

from pipeline import params, runs
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.target import Target, target_of
from pipeline.export.runtime import OnnxClassifier
from pipeline.files import replacing_folder, write_json
from pipeline.jobs import sharing
from pipeline.jobs.epoch_choice import nested_tables
from pipeline.jobs.prediction import SPLITS, Predictor, average, processes_for
from pipeline.jobs.recipes import Run, read_run, reader_of, trained
from pipeline.jobs.sharing import Share
from pipeline.layout import Layout


def main(layout: Layout, name: str) -> None:
    """Write out_of_fold.parquet, nested/<block>.parquet, holdout.parquet and test.parquet; test/ has each fold's own.

    Each clip of the training archive is judged by nets that never heard its speaker. Of a vote, parts/ has the same.
    The run's `processes`, or as many as train `at_once` where there are clips enough, share the clips; their number
    changes nothing that is written.
    Raises PipelineError if the run is not listed, not trained, was trained on another corpus, or cannot be computed by
    the engine that it names.
    """
    tree = params.read(layout.params)
    run, corpus = read_run(tree, name), Corpus.open(layout.prepare)
    paths, target = runs.paths(layout, tree, name), target_of(corpus, run)
    part = sharing.part_of_this_process()
    if part is not None:
        _tables(part.folder, layout, tree, name, run, corpus, target, part)
        return
    processes = processes_for(run, corpus, params.folds(tree))
    with (
        sharing.together(paths.unfinished / "predict", processes, "predict", name) as share,
        replacing_folder(paths.probabilities) as folder,
    ):
        predictor = _tables(folder, layout, tree, name, run, corpus, target, share)
        for split in SPLITS:
            average(folder, split)
        nested_tables(folder, corpus, target, run, {fold: paths.model(fold) for fold in params.folds(tree)})
    timing = {"seconds": round(predictor.seconds, 2), "clips": predictor.clips}
    write_json(layout.timing(name, "predict"), timing)


def _tables(
    folder: Path,
    layout: Layout,
    tree: dict[str, Any],
    name: str,
    run: Run,
    corpus: Corpus,
    target: Target,
    share: Share | None,
) -> Predictor:
    paths, read = runs.paths(layout, tree, name), reader_of(layout.encode, corpus, run.model)
    with Predictor(folder, corpus, name, target.labels, target.exclusive, run.looks, share) as predictor:
        for fold in params.folds(tree):
            classifier, about = trained(paths.model(fold), tree, name)
            if about["corpus"] != corpus.fingerprint or about["fold"] != fold:
                raise PipelineError(f"{paths.model(fold)} was trained on another corpus. Run: dvc repro")
            if run.engine == "onnx":
                classifier = OnnxClassifier.of(classifier, about)
            predictor.judge(classifier, read, corpus.judged_rows(fold), fold)
            for split in SPLITS:
                rows = corpus.select(split)
                # A test split that is not there has a table too, of no clips, for what comes after.
                if len(rows) or split == "test":
                    predictor.write(classifier, read, rows, split, fold)
    return predictor
