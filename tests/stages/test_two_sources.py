"""Two sources from params.yaml to tables and a submission: what the second brings trains and nothing else."""

import pandas
import pytest

from pipeline.clips.corpus import Corpus
from pipeline.files import write_json
from pipeline.layout import Layout
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import check, decide, download, predict, prepare, train
from tests.mswc_archives import ENGLISH, GERMAN, SPEAKERS, write

LINEAR = {"model": "linear", "parameters": {"frames": 8}, "training": {"epochs": 1, "batch_size": 32}}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    write(folder / "mswc", "en", ENGLISH)
    write(folder / "mswc", "de", GERMAN, levels=SPEAKERS)
    return folder


@pytest.fixture
def demo(archives):
    return {
        "source": "demo",
        "folder": str(archives / "demo"),
        "train_voices": 3,
        "validation_share": 0.3,
        "test_voices": 1,
        "clips_per_command": 3,
        "clips_per_other_word": 1,
        "test_clips_per_label": 2,
        "background_seconds": 3,
    }


def finished(root, **sections):
    layout = Layout(root)
    write_json(layout.params, {"seed": 1, "folds": [0], "runs": {"net": LINEAR}, "students": {}, **sections})
    check.main(layout)
    download.main(layout)
    prepare.main(layout)
    train.main(layout, "net", 0)
    predict.main(layout, "net")
    decide.main(layout, "net")
    return layout, Corpus.open(layout.prepare)


def test_another_language_as_unknown_beside_a_competition(archives, demo, tmp_path):
    german = {"source": "mswc", "folder": str(archives / "mswc"), "languages": {"de": {"words": GERMAN}}}
    layout, corpus = finished(tmp_path, download={**demo, "extra": [{**german, "unknown": True}]})
    extra = corpus.rows[corpus.rows["source"] == "mswc"]
    assert len(extra) == len(GERMAN) * SPEAKERS
    assert set(extra["word"]) == {"_unknown_"}
    assert set(extra.index) <= set(corpus.training_rows(0))
    tables = {path.name: Probabilities.read(path) for path in layout.run("net").probabilities.glob("*.parquet")}
    assert set(tables) == {"out_of_fold.parquet", "test.parquet"}
    for table in tables.values():
        assert table.clips
        assert not set(table.clips) & set(extra["clip"])
    submitted = pandas.read_csv(layout.submission("net") / "submission.csv")
    assert sorted(submitted["fname"]) == sorted(tables["test.parquet"].clips)
    assert set(corpus.rows["source"].iloc[corpus.select("test")]) == {"demo"}


def test_thirty_five_words_of_two_languages_and_noise_from_elsewhere(archives, demo, tmp_path):
    languages = {"en": {"words": ["yes", "no"], "other_words": 23, "min_clips": 2}, "de": {"words": GERMAN}}
    mswc = {"source": "mswc", "folder": str(archives / "mswc"), "languages": languages}
    layout, corpus = finished(
        tmp_path,
        download={**mswc, "extra": [{**demo, "take": "noise"}]},
        prepare={"commands": ["yes", "no", "ja", "nein"], "splits": "grouped"},
    )
    assert set(corpus.vocabulary.words) == {*ENGLISH, *GERMAN}
    assert set(corpus.rows["source"].dropna()) == {"mswc"}
    assert set(corpus.rows["language"].dropna()) == {"en", "de"}
    assert corpus.description["counts"]["validation"]["silence"] > 0
    assert (layout.submission("net") / "metrics.json").exists()
