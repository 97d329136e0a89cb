import io
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pandas
import pyarrow
import pytest
import soundfile
import yaml

from pipeline.clips.corpus import Corpus
from pipeline.clips.labels import COMMANDS
from pipeline.clips.recording import Recording
from pipeline.clips.waveform import decode
from pipeline.errors import PipelineError
from pipeline.layout import Layout
from pipeline.sources import SourceFile, superb
from pipeline.sources.superb import Params, answers, fetch, read
from pipeline.stages import download, prepare

ROOT = Path(__file__).parents[2]
LABELS = ["yes", "no", "_silence_", "_unknown_"]
ROWS = {
    "train": [
        ("/cache/yes/0a_nohash_0.wav", "yes"),
        ("/cache/bed/0a_nohash_0.wav", "_unknown_"),
        ("/cache/_background_noise_/pink_noise.wav", "_silence_"),
    ],
    "validation": [("/cache/no/0b_nohash_1.wav", "no")],
    "test": [("/cache/yes/0c_nohash_0.wav", "yes"), ("/cache/_unknown_/0c_nohash_0.wav", "_unknown_"),
             ("/cache/_silence_/0.wav", "_silence_")],
}  # fmt: skip


def tone(value: int, seconds: float = 0.001) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(16_000 * seconds), value, dtype=np.int16), 16_000, format="WAV")
    return file.getvalue()


def stored(folder: Path, keep_folders: bool = True, rows_of=ROWS, labels=LABELS, sound=tone) -> Path:
    """Write the rows as `datasets` writes them, in the hub's layout; clip i of a split holds `sound(i)`."""
    features = datasets.Features(
        {
            "file": datasets.Value("string"),
            "audio": datasets.Audio(decode=False),
            "label": datasets.ClassLabel(names=labels),
        }
    )
    for split, rows in rows_of.items():
        table = {
            "file": [path if keep_folders else Path(path).name for path, _ in rows],
            "audio": [{"bytes": sound(i), "path": Path(path).name} for i, (path, _) in enumerate(rows)],
            "label": [labels.index(label) for _, label in rows],
        }
        (folder / "ks" / split).mkdir(parents=True)
        datasets.Dataset(pyarrow.table(table, features.arrow_schema)).to_parquet(folder / "ks" / split / "0000.parquet")
    return folder


def test_parquet_copy(tmp_path):
    params = Params(path=stored(tmp_path / "superb"), folder=tmp_path / "cache")
    files = fetch(params, seed=0)
    assert [file.role for file in files] == ["train", "train", "test"]
    assert all(Path(file.path).is_relative_to(tmp_path / "cache") for file in files)

    recordings = list(read(files))
    assert recordings[:4] == [
        Recording("train", "yes/0a_nohash_0.wav", tone(0), "yes", "0a", "train"),
        Recording("train", "bed/0a_nohash_0.wav", tone(1), "bed", "0a", "train"),
        Recording("train", "_background_noise_/train_2_pink_noise.wav", tone(2), is_noise=True),
        Recording("train", "no/0b_nohash_1.wav", tone(0), "no", "0b", "validation"),
    ]
    assert decode(recordings[1].data).samples.tolist() == [1] * 16
    tests = recordings[4:]
    assert [(clip.part, clip.word, clip.speaker, clip.data) for clip in tests] == [
        ("test", None, None, tone(i)) for i in range(3)
    ]

    table = answers(files)
    assert dict(zip(table["fname"], table["label"], strict=True)) == dict(
        zip([clip.name for clip in tests], ["yes", "unknown", "silence"], strict=True)
    )


def test_a_dataset_with_a_hyphen_in_its_name_keeps_its_splits(tmp_path):
    params = Params(dataset=str(stored(tmp_path / "superb-copy")), folder=tmp_path / "cache", config="default")
    params = params.model_copy(update={"revision": None})
    folder = Path(params.dataset) / "ks"
    for split in ROWS:  # the layout that `datasets` finds by itself
        (folder / split / "0000.parquet").rename(Path(params.dataset) / f"{split}.parquet")
    files = fetch(params, seed=0)
    assert any("superb-copy" in Path(file.path).name for file in files)
    assert [clip.split for clip in read(files) if clip.part == "train" and not clip.is_noise] == [
        *["train"] * 2,
        "validation",
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("parquet-train.arrow", "train"),
        ("superb-validation-00000-of-00002.arrow", "validation"),
        ("my-test-copy-validation.arrow", "validation"),
    ],
)
def test_the_split_stands_at_the_end_of_the_name(name, split):
    assert superb._split(SourceFile("train", f"/cache/{name}", 1, "")) == split


def test_silence_of_validation_judges_and_that_of_training_trains(tmp_path):
    rows = {**ROWS, "validation": [*ROWS["validation"], ("/cache/_background_noise_/hum.wav", "_silence_")]}
    files = fetch(Params(path=stored(tmp_path / "superb", rows_of=rows), folder=tmp_path / "cache"), seed=0)
    assert [(clip.name, clip.split) for clip in read(files) if clip.is_noise] == [
        ("_background_noise_/train_2_pink_noise.wav", "train"),
        ("_background_noise_/validation_1_hum.wav", "validation"),
    ]


def test_the_profile_trains_and_judges_all_twelve_labels(tmp_path):
    """The hub's copy has silence as a few long recordings, in training alone."""
    clips = [(f"/cache/{word}/{{}}_nohash_0.wav", word) for word in COMMANDS]
    clips.append(("/cache/bed/{}_nohash_0.wav", "_unknown_"))
    rows = {
        split: [(path.format(speaker), label) for speaker in speakers for path, label in clips]
        for split, speakers in {"train": ["0a", "0b"], "validation": ["0c", "0d"], "test": ["0e"]}.items()
    }
    rows["train"].append(("/cache/_background_noise_/pink_noise.wav", "_silence_"))
    rows["test"].append(("/cache/_silence_/0.wav", "_silence_"))
    labels = [*COMMANDS, "_silence_", "_unknown_"]

    layout = Layout(tmp_path / "project")
    layout.root.mkdir()
    tree = yaml.safe_load((ROOT / "profiles" / "superb.yaml").read_text())
    path = stored(tmp_path / "superb", rows_of=rows, labels=labels, sound=lambda i: tone(i + 1, seconds=4))
    tree["download"].update(path=str(path), folder=str(tmp_path / "cache"))
    layout.params.write_text(yaml.safe_dump(tree))
    download.main(layout)
    prepare.main(layout)

    corpus = Corpus.open(layout.prepare)
    twelve = set(corpus.vocabulary.submission_labels)
    assert len(twelve) == 12
    for split in ("train", "validation"):
        words = corpus.rows["word"].to_numpy()[corpus.select(split)]
        assert {corpus.vocabulary.label_of(word, "commands") for word in words} == twelve
    assert set(pandas.read_csv(layout.prepare / "answers.csv")["label"]) == twelve


def test_without_folders_the_label_is_the_word(tmp_path):
    files = fetch(Params(path=stored(tmp_path / "superb", keep_folders=False), folder=tmp_path / "cache"), seed=0)
    assert [(clip.name, clip.word, clip.speaker) for clip in list(read(files))[:2]] == [
        ("yes/train_0_0a_nohash_0.wav", "yes", "0a"),
        ("_unknown_/train_1_0a_nohash_0.wav", "_unknown_", "0a"),
    ]


def test_a_split_without_files(tmp_path):
    folder = stored(tmp_path / "superb")
    (folder / "ks/validation/0000.parquet").unlink()
    with pytest.raises(PipelineError, match="no Parquet file of the split 'validation'"):
        fetch(Params(path=folder, folder=tmp_path / "cache"), seed=0)


def test_other_columns_are_refused(tmp_path):
    for split in ROWS:
        datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / f"{split}.parquet")
    with pytest.raises(PipelineError, match="must have the columns audio and label"):
        fetch(Params(path=tmp_path, folder=tmp_path / "cache"), seed=0)


def test_offline_says_what_to_do(tmp_path):
    script = (
        "import sys\nfrom pipeline.errors import PipelineError\nfrom pipeline.sources.superb import Params, fetch\n"
        "try:\n    fetch(Params(folder=sys.argv[1]), 0)\nexcept PipelineError as error:\n    print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "cache")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("superb/ks (revision refs/convert/parquet) cannot be loaded")
    assert "HF_HUB_OFFLINE is set" in done.stdout
    assert "profiles/speech-commands.yaml" in done.stdout
