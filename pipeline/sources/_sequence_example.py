"""TensorFlow's `SequenceExample` message, without TensorFlow.

The descriptor is made here, field by field as in tensorflow/core/example/{example,feature}.proto, and protobuf's own
runtime parses by it. Generated code would be tied to one version of that runtime.
"""

from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

_Field = descriptor_pb2.FieldDescriptorProto

# Message: its fields as (name, number, type, is it a list). A type with a dot in front is another message.
_BYTES, _FLOAT, _INT64 = _Field.TYPE_BYTES, _Field.TYPE_FLOAT, _Field.TYPE_INT64
_MESSAGES: dict[str, list[tuple[str, int, int | str, bool]]] = {
    "BytesList": [("value", 1, _BYTES, True)],
    "FloatList": [("value", 1, _FLOAT, True)],
    "Int64List": [("value", 1, _INT64, True)],
    "Feature": [
        ("bytes_list", 1, ".BytesList", False),
        ("float_list", 2, ".FloatList", False),
        ("int64_list", 3, ".Int64List", False),
    ],
    "Features": [("feature", 1, ".Features.FeatureEntry", True)],
    "FeatureList": [("feature", 1, ".Feature", True)],
    "FeatureLists": [("feature_list", 1, ".FeatureLists.FeatureListEntry", True)],
    "SequenceExample": [("context", 1, ".Features", False), ("feature_lists", 2, ".FeatureLists", False)],
}
_MAPS = {"Features": ("FeatureEntry", ".Feature"), "FeatureLists": ("FeatureListEntry", ".FeatureList")}


class MalformedMessage(Exception):  # noqa: N818 (it names a finding about one record, which ends on the quarantine list)
    """The bytes are no such message; the exception's text is the reason."""


def parse(data: bytes) -> Any:
    """Return the message in `data`: `.context.feature[name]`, `.feature_lists.feature_list[name].feature`.

    Asking a map for a name that it lacks gives an empty feature. Raises MalformedMessage.
    """
    try:
        return _SEQUENCE_EXAMPLE.FromString(data)
    except message.DecodeError:
        raise MalformedMessage("no tf.train.SequenceExample") from None


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sequence_example.proto", package="tensorflow", syntax="proto3")
    for name, fields in _MESSAGES.items():
        described = file.message_type.add(name=name)
        for field in fields:
            _add(described, *field)
        if name == "Feature":
            described.oneof_decl.add(name="kind")
            for member in described.field:
                member.oneof_index = 0
        if name in _MAPS:
            entry_name, value_type = _MAPS[name]
            entry = described.nested_type.add(name=entry_name)
            entry.options.map_entry = True
            _add(entry, "key", 1, _Field.TYPE_STRING, False)
            _add(entry, "value", 2, value_type, False)
    # A pool of its own: the default one has the same names where TensorFlow is loaded too.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.SequenceExample"))


def _add(described: descriptor_pb2.DescriptorProto, name: str, number: int, kind: int | str, many: bool) -> None:
    label = _Field.LABEL_REPEATED if many else _Field.LABEL_OPTIONAL
    field = described.field.add(name=name, number=number, label=label)
    if isinstance(kind, str):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".tensorflow{kind}"
    else:
        field.type = cast(Any, kind)


_SEQUENCE_EXAMPLE = _message_class()
