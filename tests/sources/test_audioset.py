"""The records are real: `audioset_by_tensorflow.tfrecord` was written by TensorFlow 2.21, through `written` below."""

import re
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.clips.recording import Recording, Rejected
from pipeline.errors import PipelineError
from pipeline.sources import _tfrecord as tfrecord
from pipeline.sources import audioset
from pipeline.sources.audioset import Params, fetch, read

STORED = Path(__file__).with_name("audioset_by_tensorflow.tfrecord")
LABELS = 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n137,/m/04rlf,"Music"\n'
FRAMES = np.random.default_rng(5).integers(0, 256, (11, 128), np.uint8)
FULL = [[frame.tobytes()] for frame in FRAMES[:10]]

# What each record of the stored file holds: video_id, start_time_seconds, labels, values of each second.
CLIPS = [
    ([b"-0RWZT-miFs"], [420.0], [0, 1], FULL),
    ([b"0FMdORf5iGs"], [2.5], [137, 0, 137], FULL[:3]),
    ([b"no_labels"], [0.0], [], FULL[:1]),
    ([b"unknown_label"], [0.0], [0, 999], FULL[:1]),
    ([b"eleven"], [0.0], [0], [[frame.tobytes()] for frame in FRAMES]),
    ([b"a_byte_short"], [0.0], [0], [[FRAMES[0].tobytes()], [FRAMES[1].tobytes()[:127]]]),
    ([b"no_seconds"], [0.0], [0], []),
    ([b"empty_second"], [0.0], [0], [[]]),
    ([b"two_in_a_second"], [0.0], [0], [[FRAMES[0].tobytes()] * 2]),
    ([], [0.0], [0], FULL[:1]),
    ([b"../escaping"], [0.0], [0], FULL[:1]),
    ([b"no_start"], [], [0], FULL[:1]),
    ([b"endless"], [float("inf")], [0], FULL[:1]),
    ([b"labels_as_text"], [0.0], [b"Speech"], FULL[:1]),
    None,  # no message at all
    ([b"1_DouJRW3PM"], [30.0], [0], FULL[:1]),
]
GOOD = {0: "-0RWZT-miFs_420", 1: "0FMdORf5iGs_2.5", 15: "1_DouJRW3PM_30"}
REASONS = {
    2: "no labels",
    3: r"labels \[999\] are not in class_labels_indices\.csv",
    4: r"embedding of 11 seconds with \[128\] bytes",
    5: r"embedding of 2 seconds with \[127, 128\] bytes",
    6: "embedding of 0 seconds",
    7: r"embedding of 1 seconds with \[\] bytes",
    8: "embedding of 1 seconds",
    9: "video_id is ''",
    10: r"video_id is '\.\./escaping'",
    11: r"video_id is 'no_start', start_time_seconds \[\]",
    12: r"video_id is 'endless', start_time_seconds \[inf\]",
    13: "no labels",
    14: r"no tf\.train\.SequenceExample",
}


def written(path: Path) -> None:
    """Write CLIPS with TensorFlow itself."""
    import tensorflow as tf

    def feature(values):
        kinds = {
            bytes: lambda v: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)),
            float: lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
            int: lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
        }
        return kinds[type(values[0])](values) if values else tf.train.Feature()

    with tf.io.TFRecordWriter(str(path)) as writer:
        for clip in CLIPS:
            if clip is None:
                writer.write(b"\xff\xffno message")
                continue
            videos, starts, labels, seconds = clip
            context = {"video_id": videos, "start_time_seconds": starts, "labels": labels}
            embedding = tf.train.FeatureList(feature=[feature(values) for values in seconds])
            message = tf.train.SequenceExample(
                context=tf.train.Features(feature={name: feature(values) for name, values in context.items()}),
                feature_lists=tf.train.FeatureLists(feature_list={"audio_embedding": embedding}),
            )
            writer.write(message.SerializeToString(deterministic=True))


def published(folder: Path, *sets: str) -> Path:
    """Lay the stored records out as published, 1b.tfrecord in each of the sets."""
    for name in sets:
        (folder / "audioset_v1_embeddings" / name).mkdir(parents=True)
        shutil.copy(STORED, folder / "audioset_v1_embeddings" / name / "1b.tfrecord")
    (folder / "class_labels_indices.csv").write_text(LABELS)
    return folder


def clips_of(folder: Path, *sets: str) -> list[Recording | Rejected]:
    return list(read(fetch(Params(folder=folder, sets=sets), seed=0)))


def test_tensorflow_writes_the_stored_file(tmp_path):
    pytest.importorskip("tensorflow")
    written(tmp_path / "new.tfrecord")
    assert (tmp_path / "new.tfrecord").read_bytes() == STORED.read_bytes()


def test_records_of_every_kind(tmp_path):
    items = clips_of(published(tmp_path, "bal_train"), "bal_train")
    assert len(items) == len(CLIPS)
    for index, name in GOOD.items():
        assert items[index].name == name
    for index, reason in REASONS.items():
        assert items[index].name == f"bal_train/1b.tfrecord, record {index + 1}"
        assert re.match(reason, items[index].reason), (index, items[index])

    whole, short = items[0], items[1]
    assert (whole.part, whole.word, whole.data, whole.metadata) == ("train", None, b"", {"seconds": "10"})
    assert whole.tags == ("Speech", "Male speech, man speaking")
    assert short.tags == ("Music", "Speech")
    assert short.metadata == {"seconds": "3"}
    assert whole.embedding.dtype == short.embedding.dtype == np.uint8
    np.testing.assert_array_equal(whole.embedding, FRAMES[:10])
    np.testing.assert_array_equal(short.embedding, FRAMES[[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]])


def test_sets_and_splits(tmp_path):
    folder = published(tmp_path, "bal_train", "unbal_train", "eval")
    files = fetch(Params(folder=folder), seed=0)
    assert [Path(file.path).name for file in files] == ["class_labels_indices.csv", "bal_train", "eval"]
    assert {file.role for file in files} == {"train"}

    def splits(name):
        return {clip.name: clip.split for clip in clips_of(folder, name) if isinstance(clip, Recording)}

    assert set(splits("eval").values()) == {"holdout"}
    assert splits("bal_train") == splits("unbal_train")
    assert set(splits("bal_train").values()) <= {"train", "validation"}


def test_a_fifth_of_the_videos_validates_whatever_the_others():
    found = [audioset._split_of(f"video{i}") for i in range(10_000)]
    assert 0.19 < found.count("validation") / len(found) < 0.21
    assert set(found) == {"train", "validation"}
    assert [audioset._split_of(video) for video in ("-0RWZT-miFs", "0FMdORf5iGs")] == ["train", "train"]


def test_the_sets_may_lie_in_the_folder_itself_and_the_labels_elsewhere(tmp_path):
    root = published(tmp_path, "eval") / "audioset_v1_embeddings"
    labels = (tmp_path / "class_labels_indices.csv").rename(tmp_path / "labels.csv")
    assert len(fetch(Params(folder=root, sets=["eval"], labels=labels), seed=0)) == 2


def test_damage_costs_a_record_and_strays_are_told(tmp_path):
    folder = published(tmp_path, "eval")
    path = folder / "audioset_v1_embeddings/eval/1b.tfrecord"
    data = bytearray(STORED.read_bytes())
    data[100] ^= 1
    path.write_bytes(data[:-1])
    (path.parent / "notes.txt").write_text("stray")
    items = clips_of(folder, "eval")
    assert items[0] == Rejected("train", "eval/1b.tfrecord, record 1", "wrong checksum of the data")
    assert items[1].name == GOOD[1]
    assert items[-2].name == f"eval/1b.tfrecord, record {len(CLIPS)}"
    assert items[-2].reason.startswith("cut off in a record of")
    assert items[-1] == Rejected("train", "eval/notes.txt", "no .tfrecord file")
    assert len(items) == len(CLIPS) + 1


def test_no_byte_of_a_record_makes_it_crash(tmp_path):
    """With right checksums, so that the damage reaches the parser and the checks behind it."""
    folder = published(tmp_path, "eval")
    message = list(tfrecord.records(STORED))[1]
    changed = [
        message[:i] + bytes([message[i] ^ flip]) + message[i + 1 :] for i in range(len(message)) for flip in (1, 255)
    ]
    changed += [message[:i] for i in range(len(message))]
    (folder / "audioset_v1_embeddings/eval/1b.tfrecord").write_bytes(b"".join(map(framed, changed)))
    items = clips_of(folder, "eval")
    assert len(items) == len(changed)
    for item in items:
        assert isinstance(item, Rejected) or (item.embedding.shape == (10, 128) and item.tags)
    assert sum(isinstance(item, Rejected) for item in items) > len(message)


def framed(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    sums = (struct.pack("<I", tfrecord.masked_crc32c(part)) for part in (length, data))
    return length + next(sums) + data + next(sums)


def test_memory_does_not_grow_with_the_file(tmp_path):
    folder = published(tmp_path, "eval")
    path = folder / "audioset_v1_embeddings/eval/1b.tfrecord"
    path.write_bytes(STORED.read_bytes() * 200)  # records of one file after those of another are a file as well
    files = fetch(Params(folder=folder, sets=["eval"]), seed=0)
    tracemalloc.start()
    count = sum(1 for _ in read(files))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 200 * len(CLIPS)
    assert peak < 500_000 < path.stat().st_size


def test_missing_files_are_all_named(tmp_path):
    with pytest.raises(PipelineError) as error:
        fetch(Params(folder=tmp_path), seed=0)
    for part in ("bal_train/*.tfrecord", "eval/*.tfrecord", "class_labels_indices.csv (download.labels)", "https://"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "index,mid,display_name\n", "mid,name\n1,a\n", LABELS + "0,/m/x,Again\n", LABELS + "x,/m/x,Sound\n"]
)
def test_labels_that_are_not_as_published(tmp_path, text):
    (published(tmp_path, "eval") / "class_labels_indices.csv").write_text(text)
    with pytest.raises(PipelineError, match=r"must have the columns index,mid,display_name, each index once"):
        clips_of(tmp_path, "eval")


@pytest.mark.parametrize("sets", [[], ["train"]])
def test_unknown_sets_are_refused(sets):
    with pytest.raises(ValidationError):
        Params(folder="x", sets=sets)
