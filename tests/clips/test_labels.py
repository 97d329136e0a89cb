import pytest

from pipeline.clips.labels import COMMANDS, SILENCE_WORD, UNKNOWN_WORD, Vocabulary, check_commands
from pipeline.errors import PipelineError

VOCABULARY = Vocabulary(("yes", "no"), ("no", "bird", "yes", "cat", SILENCE_WORD))


def test_labels_are_in_the_order_of_the_competition():
    assert VOCABULARY.labels("commands") == ["yes", "no", "unknown", "silence"] == VOCABULARY.submission_labels
    assert VOCABULARY.labels("words") == ["bird", "cat", "no", "yes", "silence"]
    assert len(Vocabulary(COMMANDS, (*COMMANDS, *"abcdefghijklmnopqrst")).labels("words")) == 31


@pytest.mark.parametrize(
    ("word", "command", "label"),
    [("yes", "yes", "yes"), ("cat", "unknown", "cat"), (SILENCE_WORD, "silence", "silence")],
)
def test_each_word_has_a_label_of_either_kind(word, command, label):
    assert VOCABULARY.label_of(word, "commands") == command
    assert VOCABULARY.label_of(word, "words") == label


def test_a_folder_of_unknown_clips_is_a_word_called_unknown():
    vocabulary = Vocabulary(("yes",), ("yes", UNKNOWN_WORD))
    assert vocabulary.labels("words") == ["unknown", "yes", "silence"]
    assert vocabulary.label_of(UNKNOWN_WORD, "words") == "unknown" == vocabulary.label_of(UNKNOWN_WORD, "commands")


def test_another_language_works():
    vocabulary = Vocabulary(("да", "нет"), ("нет", "да", "дом"))
    assert vocabulary.labels("commands") == ["да", "нет", "unknown", "silence"]


def test_a_word_of_no_training_clip_has_no_label_among_words():
    assert VOCABULARY.label_of("zebra", "commands") == "unknown"
    with pytest.raises(ValueError, match="zebra"):
        VOCABULARY.label_of("zebra", "words")


def test_a_command_without_clips_is_refused():
    with pytest.raises(PipelineError, match=r"(?s)stop.*prepare\.commands"):
        Vocabulary(("yes", "stop"), ("yes", "no"))


@pytest.mark.parametrize("commands", [(), ("yes", "yes"), ("yes", "silence"), ("_unknown_",)])
def test_bad_lists_of_commands_are_refused(commands):
    with pytest.raises(PipelineError, match=r"prepare\.commands"):
        check_commands(commands)
