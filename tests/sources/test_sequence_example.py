"""The messages are real, serialised by TensorFlow: see tests/sources/test_audioset.py."""

from pathlib import Path

import pytest

from pipeline.sources._sequence_example import MalformedMessage, parse
from pipeline.sources._tfrecord import records

MESSAGES = list(records(Path(__file__).parents[1] / "sources/audioset_by_tensorflow.tfrecord"))


def test_features_of_every_type():
    message = parse(MESSAGES[1])
    context = message.context.feature
    assert list(context["video_id"].bytes_list.value) == [b"0FMdORf5iGs"]
    assert list(context["start_time_seconds"].float_list.value) == [2.5]
    assert list(context["labels"].int64_list.value) == [137, 0, 137]
    frames = message.feature_lists.feature_list["audio_embedding"].feature
    assert [[len(value) for value in frame.bytes_list.value] for frame in frames] == [[128]] * 3


def test_what_is_lacking_is_empty():
    message = parse(b"")
    assert not message.context.feature["video_id"].bytes_list.value
    assert not message.feature_lists.feature_list["audio_embedding"].feature


def test_negative_and_unpacked_integers():
    # Written by hand from the encoding's documentation: an Int64List [-1, 5], each value with its own tag.
    values = b"\x08" + b"\xff" * 9 + b"\x01" + b"\x08\x05"
    feature = b"\x1a" + bytes([len(values)]) + values
    entry = b"\x0a\x01n" + b"\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    message = parse(b"\x0a" + bytes([len(features)]) + features)
    assert list(message.context.feature["n"].int64_list.value) == [-1, 5]


def test_a_message_cut_anywhere_is_malformed_or_shorter():
    message = MESSAGES[1]
    malformed = 0
    for length in range(len(message)):
        try:
            assert parse(message[:length]).ByteSize() <= length
        except MalformedMessage:
            malformed += 1
    assert malformed > len(message) - 10


@pytest.mark.parametrize("data", [MESSAGES[14], b"\x0a\x05abc", b"\x0b", b"\x0a\x03\x0a\x01\xff"])
def test_bytes_that_are_no_message(data):
    with pytest.raises(MalformedMessage, match=r"no tf\.train\.SequenceExample"):
        parse(data)
