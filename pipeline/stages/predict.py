"""predict: one run's probabilities: out of fold for the training archive, the mean over folds for the test clips."""

from pipeline import params, runs
from pipeline.clips.corpus import Corpus, Split
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.export.runtime import OnnxClassifier
from pipeline.files import replacing_folder, write_json
from pipeline.jobs.epoch_choice import nested_tables
from pipeline.jobs.prediction import Predictor, average
from pipeline.jobs.recipes import read_run, reader_of, trained
from pipeline.layout import Layout

SPLITS: tuple[Split, ...] = ("holdout", "test")


def main(layout: Layout, name: str) -> None:
    """Write out_of_fold.parquet, nested/<block>.parquet, holdout.parquet and test.parquet; test/ has each fold's own.

    Each clip of the training archive is judged by nets that never heard its speaker. Of a vote, parts/ has the same.
    Raises PipelineError if the run is not listed, not trained, was trained on another corpus, or cannot be computed by
    the engine that it names.
    """
    tree = params.read(layout.params)
    run, corpus, folds = read_run(tree, name), Corpus.open(layout.prepare), params.folds(tree)
    paths = layout.run(name, name in runs.students(tree))
    read, target = reader_of(layout.encode, corpus, run.model), target_of(corpus, run)
    with replacing_folder(paths.probabilities) as folder:
        with Predictor(folder, corpus, name, target.labels, target.exclusive, run.looks) as predictor:
            for fold in folds:
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
        for split in SPLITS:
            average(folder, split)
        nested_tables(folder, corpus, target, run, {fold: paths.model(fold) for fold in folds})
    timing = {"seconds": round(predictor.seconds, 2), "clips": predictor.clips}
    write_json(layout.timing(name, "predict"), timing)
