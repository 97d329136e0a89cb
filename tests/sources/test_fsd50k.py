import csv
import io
import tracemalloc
from pathlib import Path

import numpy as np
import pandas
import pytest
import soundfile

from pipeline.clips.recording import Recording, Rejected
from pipeline.clips.waveform import decode
from pipeline.errors import PipelineError
from pipeline.sources.fsd50k import Params, fetch, read

VOCABULARY = [(0, "Bell", "/m/0395lw"), (1, "Music", "/m/04rlf"), (2, "Electric_guitar", "/m/02sgy")]
DEV = [
    ("64760", "Electric_guitar,Music", "/m/02sgy,/m/04rlf", "train"),
    ("16399", "Bell", "/m/0395lw", "val"),
]
EVAL = [("37199", "Music", "/m/04rlf")]


def tone(seconds: float, value: float = 0.5) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(seconds * 44_100), value), 44_100, format="WAV", subtype="PCM_16")
    return file.getvalue()


def table(path: Path, rows: list[tuple], header: tuple[str, ...] | None) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows] if header else rows)


def published(folder: Path, dev=DEV, evaluation=EVAL, seconds: float = 1.5) -> Path:
    """Write the data set in its published form, with the audio of DEV and EVAL at 44.1 kHz."""
    truth = folder / "FSD50K.ground_truth"
    table(truth / "vocabulary.csv", VOCABULARY, None)
    table(truth / "dev.csv", dev, ("fname", "labels", "mids", "split"))
    table(truth / "eval.csv", evaluation, ("fname", "labels", "mids"))
    for part, rows in (("dev", DEV), ("eval", EVAL)):
        (folder / f"FSD50K.{part}_audio").mkdir()
        for row in rows:
            (folder / f"FSD50K.{part}_audio" / f"{row[0]}.wav").write_bytes(tone(seconds))
    return folder


def items(folder: Path) -> list[Recording | Rejected]:
    return list(read(fetch(Params(folder=folder), seed=0)))


def test_published_form(tmp_path):
    files = fetch(Params(folder=published(tmp_path)), seed=0)
    assert [(file.role, Path(file.path).name) for file in files] == [
        ("train", "vocabulary.csv"),
        ("train", "dev.csv"),
        ("train", "eval.csv"),
        ("train", "FSD50K.dev_audio"),
        ("train", "FSD50K.eval_audio"),
    ]
    assert files[3].bytes == 2 * len(tone(1.5))
    assert list(read(files)) == [
        Recording("train", "64760.wav", tone(1.5), split="train", tags=("Electric_guitar", "Music")),
        Recording("train", "16399.wav", tone(1.5), split="validation", tags=("Bell",)),
        Recording("train", "37199.wav", tone(1.5), split="holdout", tags=("Music",)),
    ]
    assert len(decode(next(read(files)).data).samples) == 24_000


def test_tables_as_pandas_writes_them(tmp_path):
    published(tmp_path)
    frame = pandas.DataFrame(DEV, columns=["fname", "labels", "mids", "split"])
    frame.to_csv(tmp_path / "FSD50K.ground_truth/dev.csv", index=False)
    assert [clip.tags for clip in items(tmp_path)] == [("Electric_guitar", "Music"), ("Bell",), ("Music",)]


def test_a_change_of_content_changes_the_manifest(tmp_path):
    before = fetch(Params(folder=published(tmp_path)), seed=0)
    table(tmp_path / "FSD50K.ground_truth/eval.csv", [("37199", "Bell_", "/m/0")], ("fname", "labels", "mids"))
    (tmp_path / "FSD50K.dev_audio/16399.wav").write_bytes(tone(2))
    after = fetch(Params(folder=tmp_path), seed=0)
    assert [a.sha256 == b.sha256 for a, b in zip(before, after, strict=True)] == [True, True, False, False, True]


def test_without_the_evaluation_audio_nothing_is_for_testing(tmp_path):
    published(tmp_path)
    for path in (tmp_path / "FSD50K.eval_audio").iterdir():
        path.unlink()
    with pytest.raises(PipelineError, match=r"FSD50K\.eval_audio/\*\.wav"):
        fetch(Params(folder=tmp_path), seed=0)
    (tmp_path / "FSD50K.eval_audio").rmdir()
    assert [clip.split for clip in items(tmp_path)] == ["train", "validation"]


def test_what_does_not_fit_is_rejected_with_its_reason(tmp_path):
    wrong = [
        ("1", "Bell", "/m/0395lw", "train"),
        ("../FSD50K.eval_audio/37199", "Music", "/m/04rlf", "train"),
        ("16399", "", "", "val"),
        ("64760", "Bell,Whistle,Gong", "x", "train"),
        ("64760", "Bell", "/m/0395lw", "test"),
        ("64760", "Bell", "/m/0395lw"),
    ]
    published(tmp_path, dev=wrong)
    (tmp_path / "FSD50K.dev_audio/77.wav").write_bytes(tone(1))
    assert items(tmp_path)[:-1] == [
        Rejected("train", "1.wav", "in dev.csv, but not in FSD50K.dev_audio"),
        Rejected("train", "../FSD50K.eval_audio/37199.wav", "in dev.csv, but not in FSD50K.dev_audio"),
        Rejected("train", "16399.wav", "no labels in dev.csv"),
        Rejected("train", "64760.wav", "labels that are not in vocabulary.csv: Whistle, Gong"),
        Rejected("train", "64760.wav", "split 'test' in dev.csv; expected train or val"),
        Rejected("train", "64760.wav", "dev.csv: expected 4 values in this row; found 3"),
        Rejected("train", "FSD50K.dev_audio/77.wav", "not in dev.csv"),
    ]


def test_missing_files_are_all_named(tmp_path):
    with pytest.raises(PipelineError) as error:
        fetch(Params(folder=tmp_path), seed=0)
    for part in ("vocabulary.csv", "dev.csv", "FSD50K.dev_audio/*.wav", "https://zenodo.org/record/4060432"):
        assert part in str(error.value)
    assert "eval" not in str(error.value)


def test_tables_of_another_form_are_refused(tmp_path):
    files = fetch(Params(folder=published(tmp_path)), seed=0)
    truth = tmp_path / "FSD50K.ground_truth"
    table(truth / "dev.csv", EVAL, ("fname", "labels", "mids"))
    with pytest.raises(PipelineError, match=r"the first line must be 'fname,labels,mids,split'; found 'fname,labels,m"):
        list(read(files))
    table(truth / "vocabulary.csv", [("Bell",)], None)
    with pytest.raises(PipelineError, match=r"must have lines of index,label,mid and no header"):
        list(read(files))


def test_one_clip_at_a_time_is_in_memory(tmp_path):
    published(tmp_path, seconds=30)
    files = fetch(Params(folder=tmp_path), seed=0)
    tracemalloc.start()
    for clip in read(files):
        del clip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * len(tone(30))
