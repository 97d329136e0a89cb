import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.labels import check_commands
from pipeline.clips.noise import NEVER_JUDGED
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.examples.task import Presence, Task

# word, speaker, split, metadata, tags
CLIPS = [
    ("yes", "ann", "train", {"accent": "german"}, ("Speech", "Dog")),
    ("no", "bob", "train", {"accent": "dutch"}, ("Dog",)),
    ("cat", "bob", "train", {}, ()),
    ("_silence_", None, "train", {}, ("Wind",)),
    ("yes", "ann", "validation", {"accent": "dutch"}, ("Dog", "Bell")),
    ("_silence_", None, "validation", {}, ("Speech",)),
]


@pytest.fixture
def corpus(tmp_path):
    def make(clips=CLIPS, commands=("yes", "no")):
        with CorpusWriter(tmp_path) as writer:
            for number, (word, speaker, _, metadata, tags) in enumerate(clips):
                samples = np.full(16_000, number, np.int16)
                writer.add(
                    samples, clip=f"{number}", part="train", word=word, speaker=speaker, metadata=metadata, tags=tags
                )
            writer.add(np.zeros(16_000, np.int16), clip="t.wav", part="test")
            splits = np.array([*(clip[2] for clip in clips), "test"])
            writer.finish(
                splits, np.where(splits == "validation", 0, NEVER_JUDGED), source="demo", seed=1, commands=commands
            )
        return Corpus.open(tmp_path)

    return make


def test_words_are_told_by_the_labels_of_the_vocabulary(corpus):
    target = target_of(corpus(), Task())
    assert target.labels == ["yes", "no", "unknown", "silence"]
    assert target.values.tolist() == [0, 1, 2, 3, 0, 3, -1]
    assert target.known.tolist() == [True] * 6 + [False]
    assert target_of(corpus(), Task(vocabulary="words")).labels == ["cat", "no", "yes", "silence"]
    assert target.exclusive


def test_a_fact_is_told_by_its_values_and_clips_without_it_are_not_learnt(corpus):
    target = target_of(corpus(), Task(target="accent"))
    assert target.labels == ["dutch", "german"]
    assert target.known.tolist() == [True, True, False, False, True, False, False]
    assert target.values[target.known].tolist() == [1, 0, 0]
    assert target_of(corpus(), Task(target="speaker")).labels == ["ann", "bob"]


def test_tags_are_told_all_at_once(corpus):
    target = target_of(corpus(), Task(target="tags"))
    assert not target.exclusive
    assert target.labels == ["Dog", "Speech", "Wind"]  # no training clip has the Bell
    assert target.values.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert target.known.tolist() == [True] * 6 + [False]


def test_presence_asks_for_one_of_some_tags_or_for_any_word(corpus):
    heard = target_of(corpus(), Task(target="tags", presence=Presence(name="speech", of=["Speech", "Chatter"])))
    assert heard.labels == ["other", "speech"]
    assert heard.values.tolist() == [1, 0, 0, 0, 0, 1, 0]
    anything = target_of(corpus(), Task(presence=Presence(name="speech")))
    assert anything.values.tolist() == [1, 1, 1, 0, 1, 0, 0]
    any_tag = Task(target="tags", presence=Presence(name="x", of="all"))
    assert target_of(corpus(), any_tag).values.tolist() == [1, 1, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("column", ["age", "clip", "split", "fold", "recording"])
def test_what_the_corpus_does_not_tell_is_refused_with_what_it_tells(corpus, column):
    with pytest.raises(PipelineError, match=rf"does not tell the '{column}'.*it tells: word, speaker, tags, accent"):
        target_of(corpus(), Task(target=column))


def test_a_value_of_no_training_clip_is_refused(corpus):
    clips = [*CLIPS, ("yes", "cid", "validation", {}, ())]
    with pytest.raises(
        PipelineError, match=r"1 values of 'speaker' occur in no training clip, such as cid.*\n.*random"
    ):
        target_of(corpus(clips), Task(target="speaker"))


def test_names_of_a_presence_that_no_training_clip_has_are_named(corpus):
    clips = [*CLIPS, ("wow", "bob", "synthetic", {}, ()), ("bed", "ann", "validation", {}, ())]
    words = Task(presence=Presence(name="it", of=["yes", "yess", "wow", "bed"]))
    assert target_of(corpus(clips), words).absent == ("yess", "bed")  # synthetic clips train, too
    tags = Task(target="tags", presence=Presence(name="speech", of=["Speech", "Bell"]))
    assert target_of(corpus(), tags).absent == ("Bell",)
    assert target_of(corpus(), Task(presence=Presence(name="speech"))).absent == ()


def test_of_synthetic_clips_the_word_alone_is_known(corpus):
    clips = [*CLIPS, ("yes", "voice-1", "synthetic", {"accent": "none"}, ("Robot",))]
    assert target_of(corpus(clips), Task()).known[6]
    for column in ("speaker", "accent", "tags"):
        target = target_of(corpus(clips), Task(target=column))
        assert not target.known[6]
        assert target.labels == target_of(corpus(), Task(target=column)).labels


@pytest.mark.parametrize(("of", "meaning"), [(["Bell"], "has"), (["Dog", "Wind", "Speech"], "lacks")])
def test_a_presence_that_cannot_be_learnt_is_refused(corpus, of, meaning):
    clips = [clip for clip in CLIPS if clip[4]]
    with pytest.raises(PipelineError, match=f"No training clip {meaning} 'it'"):
        target_of(corpus(clips), Task(target="tags", presence=Presence(name="it", of=of)))


def test_what_no_table_of_probabilities_can_hold_is_refused_before_any_training(corpus):
    clips = [*CLIPS, ("clip", "eve", "train", {"accent": "clip"}, ("clip",))]
    for task in (Task(vocabulary="words"), Task(target="tags"), Task(target="accent")):
        with pytest.raises(PipelineError, match=f"target '{task.target}' is called 'clip'"):
            target_of(corpus(clips), task)
    for name in ("clip", "other"):
        with pytest.raises(ValidationError, match="must be another name"):
            Presence(name=name)
    with pytest.raises(PipelineError, match=r"(?s)other than unknown, silence and clip; found.*clip"):
        check_commands(["yes", "clip"])


def test_without_commands_there_is_no_word_to_learn(corpus):
    with pytest.raises(PipelineError, match=r"prepare\.commands.*is empty"):
        target_of(corpus(commands=()), Task())
    assert target_of(corpus(commands=()), Task(target="accent")).labels == ["dutch", "german"]
