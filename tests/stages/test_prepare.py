import os
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest

from pipeline import sources
from pipeline.clips.corpus import Corpus
from pipeline.clips.recording import Recording, SplitList
from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.layout import Layout
from pipeline.sources import SourceFile
from pipeline.stages import download, prepare
from tests.wavs import coded

MINI = Path(__file__).parents[2] / ".." / "shared" / "data" / "mini-competition"


def training_clips():
    for speaker in range(8):
        for word in ("yes", "no", "cat"):
            data = coded(np.full(16_000, speaker, np.int16))
            yield Recording("train", f"{word}/s{speaker}_nohash_0.wav", data, word, f"s{speaker}")


def list_of(split, speaker):
    return SplitList(split, frozenset(f"{word}/s{speaker}_nohash_0.wav" for word in ("yes", "no", "cat", "go")))


NOISE = Recording("train", "noise/hum.wav", coded(np.full(160_000, 9000, np.int16)), is_noise=True)
TEST = [Recording("test", f"clip_{number}.wav", coded(np.full(16_000, 50 + number, np.int16))) for number in range(3)]
ODD = [
    Recording("test", "corrupt.wav", b"RIFF" + bytes(90)),
    Recording("test", "empty.wav", b""),
    Recording("test", "stereo.wav", coded(np.full((44_100, 2), 1000, np.int16), 44_100)),
    Recording("test", "long.wav", coded(np.full(48_000, 1000, np.int16))),
]
# The lists come last, as they do in some archives.
EVERYTHING = [*training_clips(), NOISE, *TEST, *ODD, list_of("validation", 0), list_of("testing", 1)]
FNAMES = sorted(item.name for item in [*TEST, *ODD])


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Run `prepare` on an in-memory source: project(items, sample, answers, **section) -> layout."""
    layout = Layout(tmp_path)
    (tmp_path / "train.7z").write_bytes(b"12345")
    files = [SourceFile("train", str(tmp_path / "train.7z"), 5, "0" * 64)]

    def run(items=EVERYTHING, sample=None, answers=None, **section):
        fake = SimpleNamespace(read=lambda _: iter(items), sample=lambda _: sample, answers=lambda _: answers)
        monkeypatch.setattr(sources, "find", lambda name: fake)
        write_json(
            layout.params, {"seed": 3, "prepare": {"commands": ["yes", "no"], "max_lost_share": 0.5, **section}}
        )  # JSON is YAML
        if not layout.manifest.exists():
            write_json(layout.manifest, {"source": "fake", "files": [asdict(file) for file in files]})
        prepare.main(layout)
        return layout

    run.layout = layout
    return run


def quarantine(layout):
    return pandas.read_csv(layout.prepare / "quarantine.csv")


def test_a_corpus_with_splits_silence_and_lists(project, capsys):
    layout = project()
    corpus = Corpus.open(layout.prepare)
    counts = corpus.description["counts"]
    # Speaker 0 validates; speaker 1, on the testing list, trains.
    assert counts["train"] == {"yes": 7, "no": 7, "unknown": 7, "silence": 7}
    assert counts["validation"] == {"yes": 1, "no": 1, "unknown": 1, "silence": 1}
    assert counts["test"] == {"all": 7}
    assert set(corpus.rows.loc[corpus.select("validation"), "speaker"].dropna()) == {"s0"}
    silence = corpus.rows[corpus.rows["word"] == "_silence_"]
    assert silence["noise_source"].isin(["noise/hum.wav", "digital"]).all()
    for row in corpus.rows[corpus.rows["word"] == "cat"].itertuples():
        assert (corpus.samples(np.array([row.Index])) == int(row.speaker[1:])).all()
    printed = capsys.readouterr().out
    assert "validation" in printed
    assert "test clips silenced: 2" in printed


def test_every_test_clip_has_a_row_and_the_odd_ones_a_line(project):
    layout = project(sample=["lost.wav", *reversed(FNAMES)])
    rows = Corpus.open(layout.prepare).rows.query("split == 'test'")
    assert sorted(rows["clip"]) == sorted(["lost.wav", *FNAMES])
    assert set(rows.loc[~rows["readable"], "clip"]) == {"lost.wav", "corrupt.wav", "empty.wav"}
    assert dict(quarantine(layout)[["clip", "action"]].values) == {
        "corrupt.wav": "silenced",
        "empty.wav": "silenced",
        "lost.wav": "silenced",
        "stereo.wav": "converted",
        "long.wav": "converted",
    }
    assert pandas.read_csv(layout.prepare / "sample.csv")["fname"].tolist() == ["lost.wav", *reversed(FNAMES)]
    assert pandas.read_csv(layout.prepare / "answers.csv").columns.tolist() == ["fname", "label", "usage"]


def test_validation_silence_is_made_of_noise_that_never_trains(project):
    hum = np.full(160_000, 100, np.int16)
    hum[-28_000:] = -100  # inside the last fifth, which validates
    noise = Recording("train", "hum", coded(hum), is_noise=True)
    section = {"train": 5, "validation": 20, "digital_share": 0}
    layout = project([*EVERYTHING[:24], noise, *EVERYTHING[-2:]], silence=section)
    corpus = Corpus.open(layout.prepare)
    silence = corpus.rows["word"] == "_silence_"
    train, validation = (
        corpus.samples(np.flatnonzero(silence & (corpus.rows["split"] == split))) for split in ("train", "validation")
    )
    assert len(train) == 35
    assert (train > 0).all()
    assert len(validation) == 20
    assert (validation < 0).all()


def test_prepare_is_a_function_of_its_input_and_seed(project):
    first = Corpus.open(project().prepare).fingerprint
    assert Corpus.open(project().prepare).fingerprint == first
    assert Corpus.open(project(silence={"max_level_db": -20}).prepare).fingerprint != first


def test_a_holdout_is_neither_trained_nor_validated_on(project):
    corpus = Corpus.open(project(testing_list="holdout").prepare)
    assert set(corpus.rows.loc[corpus.select("holdout"), "speaker"]) == {"s1"}
    assert corpus.description["counts"]["holdout"] == {"yes": 1, "no": 1, "unknown": 1, "silence": 0}


def test_folds_deal_all_labelled_clips_by_their_speakers(project):
    corpus = Corpus.open(project(folds=3).prepare)
    assert corpus.folds == 3
    labelled = corpus.rows[corpus.rows["part"] == "train"]
    assert set(labelled["fold"]) == {0, 1, 2}
    assert set(corpus.rows.loc[corpus.select("test"), "fold"]) == {-1}
    for fold in range(3):
        judged, taught = corpus.rows.iloc[corpus.judged_rows(fold)], corpus.rows.iloc[corpus.training_rows(fold)]
        assert {"yes", "no", "cat", "_silence_"} == set(judged["word"]) == set(taught["word"])
        assert not set(judged["speaker"].dropna()) & set(taught["speaker"].dropna())


def test_answers_are_put_in_order_and_words_become_labels(project):
    answers = pandas.DataFrame({"fname": FNAMES, "label": "cat", "usage": "Private"})
    answers.loc[0, ["label", "usage"]] = ["yes", "Public"]
    answers.loc[1, "label"] = "_silence_"
    layout = project(sample=FNAMES[::-1], answers=answers)
    written = pandas.read_csv(layout.prepare / "answers.csv")
    assert written["fname"].tolist() == FNAMES[::-1]
    assert written["label"].tolist() == ["unknown"] * 5 + ["silence", "yes"]
    assert written["usage"].tolist() == ["Private"] * 6 + ["Public"]


@pytest.mark.parametrize(
    ("fnames", "label", "message"),
    [(FNAMES[1:], "yes", "do not match"), ([*FNAMES, "more.wav"], "yes", r"more\.wav"), (FNAMES, "yess", "yess")],
)
def test_answers_that_do_not_match_are_refused(project, fnames, label, message):
    with pytest.raises(PipelineError, match=message):
        project(answers=pandas.DataFrame({"fname": fnames, "label": label, "usage": "Public"}))


@pytest.mark.parametrize(
    ("items", "section", "message"),
    [
        (TEST, {}, "gave no training clip that can be read"),
        ([*EVERYTHING[:24], *EVERYTHING[-2:]], {}, r"no background noise.*\n.*\nprepare:\n  silence: \{train: 0"),
        (EVERYTHING, {"commands": ["yes", "stop"]}, "stop"),
        (EVERYTHING, {"commands": ["yes", "yes"]}, "named twice"),
        ([*EVERYTHING, Recording("train", "go/s0_nohash_0.wav", NOISE.data, "go", "s0")], {"commands": ["go"]}, "go"),
        (EVERYTHING, {"splits": "at random"}, "section prepare"),
    ],
)
def test_what_cannot_be_prepared_says_why_and_leaves_the_old_corpus(project, items, section, message):
    layout = project()
    before = Corpus.open(layout.prepare).fingerprint
    with pytest.raises(PipelineError, match=message):
        project(items, **section)
    assert Corpus.open(layout.prepare).fingerprint == before
    assert sorted(os.listdir(layout.artifacts)) == ["download", "prepare"]  # and no half-made one


@pytest.mark.parametrize(
    "test",
    [
        [Recording("test", item.name, item.data) for item in training_clips()],  # train.7z given as test.7z
        [Recording("test", f"more/{item.name}", item.data) for item in TEST],  # a folder deeper
        [Recording("test", item.name.removesuffix(".wav"), item.data) for item in TEST],
        [],
    ],
    ids=["training clips", "a folder deeper", "without suffix", "empty"],
)
def test_a_wrong_test_archive_stops_it(project, test):
    items = [item for item in EVERYTHING if not (isinstance(item, Recording) and item.part == "test")]
    with pytest.raises(
        PipelineError, match=r"(?s)3 cannot be used.*max_lost_share.*'clip_0\.wav': in the sample"
    ) as error:
        project([*items, *test], sample=[item.name for item in TEST], max_lost_share=0.02)
    assert all(f"'{item.name}': not in the sample submission" in str(error.value) for item in test[:1])
    assert not project.layout.prepare.exists()


def test_a_validation_set_without_a_command_is_told(project, capsys):
    lists = [SplitList("validation", frozenset({"yes/s0_nohash_0.wav", "cat/s0_nohash_0.wav"}))]
    only = Recording("train", "no/s9_nohash_0.wav", NOISE.data[:32_044], "no", "s9")
    items = [item for item in training_clips() if item.name != "no/s0_nohash_0.wav"]
    project([*items, only, NOISE, *TEST, *lists])
    assert (
        "Warning: no validation clip is no, silence, so nothing tells how well that is heard."
        in capsys.readouterr().out
    )


def test_words_match_however_their_accents_are_written(project):
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    items = [
        Recording("train", f"{decomposed}/{item.speaker}_nohash_0.wav", item.data, decomposed, item.speaker)
        if isinstance(item, Recording) and item.word == "no"
        else item
        for item in EVERYTHING
    ]
    corpora = [
        Corpus.open(project(items, commands=["yes", command], splits="grouped").prepare)
        for command in (composed, decomposed)
    ]
    assert {corpus.vocabulary.commands for corpus in corpora} == {("yes", composed)}
    assert len({corpus.fingerprint for corpus in corpora}) == 1


def test_no_noise_is_needed_where_no_silence_is_asked(project):
    silence = {"train": 0, "validation": 0}
    layout = project([*EVERYTHING[:24], *EVERYTHING[-2:]], silence=silence, without=["silence"])
    assert Corpus.open(layout.prepare).description["counts"]["train"]["silence"] == 0


def test_files_that_changed_since_the_download_are_refused(project):
    layout = project()
    archive = layout.root / "train.7z"
    archive.write_bytes(b"123456")
    with pytest.raises(PipelineError, match=r"6 bytes; 5 bytes.*download"):
        project()
    archive.unlink()
    with pytest.raises(PipelineError, match="gone"):
        project()


def test_prepare_before_download_says_so(project):
    project.layout.manifest.parent.mkdir(parents=True)
    (project.layout.root / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(PipelineError, match="dvc repro download"):
        prepare.main(project.layout)


@pytest.mark.skipif(not MINI.exists(), reason="the mini-competition lies outside the project")
def test_real_archives_become_a_corpus(tmp_path):
    layout = Layout(tmp_path)
    write_json(layout.params, {"seed": 1, "download": {"source": "archives", "folder": str(MINI)}})
    download.main(layout)
    prepare.main(layout)
    corpus = Corpus.open(layout.prepare)
    assert len(corpus.select("test")) == 1720
    assert corpus.rows["word"].value_counts().drop("_silence_").sum() == 3344
    assert len(corpus.vocabulary.labels("words")) == 31
    assert len(corpus.training_noises(0)) == 6
    validation = corpus.rows.loc[corpus.select("validation"), "speaker"].dropna()
    assert not set(validation) & set(corpus.rows.loc[corpus.select("train"), "speaker"].dropna())
    assert quarantine(layout).empty
