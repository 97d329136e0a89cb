"""Trainings by name, and those that go on beside one: what is learnt already is left alone."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.files import sha256_of
from pipeline.jobs import fitting, launching
from pipeline.jobs.trainings import Trainings
from pipeline.layout import Layout
from pipeline.learners import checkpoints
from pipeline.stages import train
from tests.tones import sounds

WORDS = ["yes", "no", "cat"]
RESNET = {"num_mel_bins": 8, "stem_channels": 2, "channels": [2, 4], "strides": [1, 2]}


@pytest.fixture
def layout(tmp_path):
    """A project with a corpus of 18 tones, and two nets to train at once."""
    layout = Layout(tmp_path)
    layout.prepare.mkdir(parents=True)
    clips = sounds(18, seed=1).read(np.arange(18))
    with CorpusWriter(layout.prepare) as writer:
        for number, clip in enumerate(clips):
            about = {"word": WORDS[number % 3], "speaker": f"speaker-{number // 3}"}
            writer.add(clip, clip=f"{number}.wav", part="train", **about)
        splits = np.repeat(["train", "validation", "holdout"], [9, 6, 3])
        writer.finish(splits, np.where(splits == "validation", 0, -1), source="demo", seed=1, commands=("yes", "no"))
    net = {"model": "resnet", "parameters": RESNET, "training": {"epochs": 1, "batch_size": 8}, "at_once": 2}
    runs = {"one": net, "other": {**net, "seed": 1}}
    layout.params.write_text(yaml.safe_dump({"seed": 3, "download": {"source": "demo"}, "runs": runs}))
    return layout


def test_what_is_published_is_not_learnt_again_beside_another(layout):
    trainings = Trainings(layout)
    assert list(trainings._left("one", 0)) == [("other", 0)]
    trainings.work("other", 0).learn()
    assert trainings.work("other", 0).is_published  # though JSON has no tuples, such as the net's `channels`
    assert list(trainings._left("one", 0)) == []
    assert not trainings.work("one", 0).is_published


def test_how_many_clips_a_net_only_hears_at_a_time_does_not_train_it_again(layout):
    before = Trainings(layout).work("one", 0)
    before.learn()
    tree = yaml.safe_load(layout.params.read_text())

    def work(**training):
        changed = {**tree["runs"]["one"], "training": {**tree["runs"]["one"]["training"], **training}}
        layout.params.write_text(yaml.safe_dump({**tree, "runs": {**tree["runs"], "one": changed}}))
        return Trainings(layout).work("one", 0)

    for same in (work(eval_batch_size=2), work(workers=1)):
        assert same.is_published
        assert same.identity == before.identity
    other = work(batch_size=4)
    assert not other.is_published
    assert other.identity != before.identity


def test_what_is_to_be_told_of_its_clips_is_told_as_it_begins(layout, capsys):
    work = Trainings(layout).work("one", 0)
    assert work.data.note == ""
    work = replace(work, data=replace(work.data, note="fewer clips than asked for"))
    work.learn_ahead()
    work.learn()
    told = capsys.readouterr().out
    assert told.startswith("fewer clips than asked for\n")
    assert told.count("fewer clips") == 1


def test_probes_never_learn_in_several_processes(layout, monkeypatch):
    probe = {"model": "probes", "processes": 2, "training": {"batch_size": 8}}
    layout.params.write_text(yaml.safe_dump({"seed": 3, "runs": {"probe": probe}}))
    learnt = []
    monkeypatch.setattr(launching, "launch", lambda *verb: pytest.fail(f"launched {verb}"))
    monkeypatch.setattr(Trainings, "work", lambda *_: Mock(learn=lambda **_: learnt.append(1)))
    train.main(layout, "probe")
    assert learnt == [1]


def test_what_other_code_has_learnt_is_neither_published_nor_gone_on_with(layout, monkeypatch):
    before = Trainings(layout).work("one", 0)
    before.learn()
    assert Trainings(layout).work("one", 0).is_published
    monkeypatch.setattr(fitting.code, "digest", lambda modules: "other code")
    after = Trainings(layout).work("one", 0)
    assert not after.is_published
    assert after.identity != before.identity
    assert after.folder != before.folder


def test_beside_the_last_one_go_those_before_it_and_no_student(layout):
    tree = yaml.safe_load(layout.params.read_text())
    tree["runs"]["third"] = {**tree["runs"]["one"], "seed": 2}
    layout.params.write_text(yaml.safe_dump({**tree, "students": {"pupil": tree["runs"]["one"]}}))
    trainings = Trainings(layout)
    assert list(trainings._left("one", 0)) == [("other", 0), ("third", 0)]
    assert list(trainings._left("third", 0)) == [("one", 0), ("other", 0)]


def test_other_weights_of_a_checkpoint_are_another_training(layout, publish, tmp_path, monkeypatch):
    folder = publish("wav2vec2", tmp_path / "published")
    tuned = {"model": "wav2vec2", "parameters": {"checkpoint": str(folder)}}
    tree = yaml.safe_load(layout.params.read_text())
    tree["runs"] |= {"tuned": tuned, "apart": {**tree["runs"]["one"], "at_once": 1, "detector": tuned}}
    layout.params.write_text(yaml.safe_dump(tree))
    read = Mock(side_effect=checkpoints.sha256_of)
    monkeypatch.setattr(checkpoints, "sha256_of", read)

    def works():
        return {name: Trainings(layout).work(name, 0) for name in ("one", "tuned", "apart", "tuned")}

    before, again = works(), works()
    assert read.call_count == 1  # large files take seconds
    assert "checkpoint_weights" not in before["one"].about  # so what was published without one stays what it was
    weights = folder / "model.safetensors"
    assert before["tuned"].about["checkpoint_weights"] == {weights.name: sha256_of(weights)}
    assert before["apart"].about["detector"]["checkpoint_weights"] == {weights.name: sha256_of(weights)}
    values = {name: value + 1 for name, value in load_file(weights).items()}
    save_file(values, weights, metadata={"format": "pt"})
    after = works()
    same = {name: before[name].identity == again[name].identity for name in before}
    assert same == dict.fromkeys(before, True)
    same = {name: before[name].identity == after[name].identity for name in before}
    assert same == {"one": True, "tuned": False, "apart": False}
