"""Typical mistakes in params.yaml: each is told before any work, with its section, its key and what is allowed."""

import copy
from pathlib import Path

import pytest

from pipeline.jobs.checking import problems_of
from pipeline.jobs.recipes import Run

RUN = {"model": "convs2s"}


class Gone:
    def __repr__(self) -> str:
        return "gone"  # the same in each process, since tests are called by it


GONE = Gone()


@pytest.fixture
def told(tiny_params, tmp_path):
    """`told({"decide.rule": "tunned"})`: what is told of the tiny parameters after these changes."""

    def told(changes):
        tree = copy.deepcopy(tiny_params)
        for path, value in changes.items():
            *above, last = path.split("/")
            inside = tree
            for key in above:
                inside = inside.setdefault(key, {})
            if value is GONE:
                del inside[last]
            else:
                inside[last] = value
        return problems_of(tree, tmp_path)

    return told


MISTAKES = [
    # seed, folds
    ({"seed": 2**70}, ["'seed' must be a whole number from 0 to 4294967295", "found 1180591620717411303424"]),
    ({"runs/ast/seed": 2**32 - 1}, ["Run 'ast': its seed and the project's are 4294967295 together at most"]),
    ({"report/clip": 3}, ["section report", "Do you mean clips?"]),
    ({"runs/ast/search": 5}, ["Run 'ast'", "found 5"]),
    ({"seed": -1}, ["'seed'", "from 0", "found -1"]),
    ({"seed": True}, ["'seed'", "found True"]),
    ({"seed": "one"}, ["'seed'", "found 'one'"]),
    ({"folds": [0, 1]}, ["'folds' lists 1, but prepare.folds is 1: they are numbered from 0 to 0"]),
    ({"folds": [0, 7], "prepare/folds": 5}, ["'folds' lists 7, but prepare.folds is 5", "from 0 to 4"]),
    ({"folds": [0, 0]}, ["'folds' must list the folds to train, each once", "found [0, 0]"]),
    ({"folds": []}, ["'folds' must list the folds to train", "found []"]),
    ({"folds": 5}, ["'folds' must list the folds to train", "found 5"]),
    ({"folds": [True]}, ["'folds' must list the folds to train", "found [True]"]),
    ({"folds": None}, ["'folds' must list the folds to train", "found None"]),
    ({"folds": GONE}, ["'folds' is missing, which DVC reads. List the folds to train: folds: [0]"]),
    # download
    (
        {"download": GONE},
        ["section download: 'source' must name a data source; found None", "Known sources: archives,"],
    ),
    ({"download/source": "kagle"}, ["download.source is 'kagle'", "Known sources: archives, audiomnist"]),
    ({"download/source": ["demo"]}, ["section download: 'source' must name a data source", "Known sources"]),
    ({"download/train_voises": 3}, ["section download", "train_voises: unknown key. Do you mean train_voices?"]),
    ({"download/train_voices": 1}, ["section download", "train_voices: ", "greater than or equal to 2; found 1"]),
    ({"download": {"source": "archives"}}, ["section download", "folder: missing, and it has no default"]),
    ({"download": "demo"}, ["section download", "found 'demo'"]),
    # prepare
    ({"prepare": ["yes"]}, ["section prepare: expected keys and values, found ['yes']"]),
    ({"prepare/comands": ["yes"]}, ["section prepare", "comands: unknown key. Do you mean commands?"]),
    ({"prepare/commands": "yes"}, ["section prepare", "commands: ", "found 'yes'"]),
    (
        {"prepare/commands": ["yes", True]},
        ["section prepare", "commands: Input should be no truth value; found ['yes'"],
    ),
    ({"prepare/commands": ["yes", "yes"]}, ["prepare.commands", "named twice: yes"]),
    ({"prepare/commands": ["yes", "silence"]}, ["prepare.commands", "reserved: silence"]),
    ({"prepare/commands": []}, ["section runs.ast", "target: it learns the word, but prepare.commands is empty"]),
    ({"prepare/splits": "speaker"}, ["section prepare", "splits: ", "'auto', 'lists', 'hash', 'grouped'", "'speaker'"]),
    ({"prepare/testing_list": "test"}, ["section prepare", "testing_list: ", "'train', 'validation' or 'holdout'"]),
    ({"prepare/folds": 0}, ["section prepare", "folds: ", "greater than or equal to 1; found 0"]),
    ({"prepare/folds": 2.5}, ["section prepare", "folds: ", "found 2.5"]),
    (
        {"prepare/silence/train": 1e9},
        ["section prepare", "silence.train: ", "less than or equal to 100; found 1000000"],
    ),
    ({"prepare/silence/train": True}, ["section prepare", "silence.train: Input should be no truth value; found True"]),
    ({"prepare/silence/digital": 0.1}, ["section prepare", "silence.digital: unknown key. Do you mean digital_share?"]),
    ({"prepare/silence/max_level_db": 3}, ["section prepare", "silence.max_level_db: ", "found 3"]),
    ({"prepare/silence/min_level_db": float("nan")}, ["section prepare", "silence.min_level_db: ", "finite", "nan"]),
    ({"prepare/without": ["yes"]}, ["section prepare", "without.0: ", "'unknown' or 'silence'; found 'yes'"]),
    ({"prepare/segments": "all"}, ["section prepare", "segments: ", "boolean", "found 'all'"]),
    # encode
    ({"encode/checkpoint": "./nowhere"}, ["Section encode: The checkpoint './nowhere' is not here"]),
    ({"encode/layers": [1]}, ["section encode", "layers need an encoder: set checkpoint or fit"]),
    ({"encode/revision": "main"}, ["section encode", "revision main is of a checkpoint: set it, or leave both out"]),
    ({"encode/polling": "mean"}, ["section encode", "polling: unknown key. Do you mean pooling?"]),
    (
        {"encode/fit": {"model": "wav2vec2"}, "encode/checkpoint": "x"},
        ["section encode", "a checkpoint or fit an encod"],
    ),
    ({"encode/fit": {"model": "ast"}}, ["encode.fit trains an encoder: `model` must be wav2vec2"]),
    ({"encode/fit": {"model": "wav2vec2"}, "prepare/folds": 2}, ["encode.fit trains one encoder", "prepare.folds: 1"]),
    # train
    ({"train": [1]}, ["section train: expected keys and values, found [1]"]),
    ({"train/augmentatoin": []}, ["section train", "augmentatoin: unknown key. Do you mean augmentation?"]),
    ({"train/augmentation": {"Gain": {}}}, ["section train", "augmentation: ", "valid list"]),
    (
        {"train/augmentation": [{"Gian": {}}]},
        ["section train", "augmentation.0: 'Gian' is no transform", "Do you mean Gain?"],
    ),
    ({"train/training/epoch": 3}, ["train.training: no run's model knows the key epoch"]),
    (
        {"train/training/epochs": True},
        ["section runs.ast.training", "epochs: Input should be no truth value; found True"],
    ),
    ({"train/training/epochs": 0}, ["section runs.ast.training", "epochs: ", "greater than or equal to 1; found 0"]),
    ({"train/training/learning_rate": "fast"}, ["section runs.ast.training", "learning_rate: ", "found 'fast'"]),
    ({"train/training/learning_rate": float("inf")}, ["section runs.ast.training", "learning_rate: ", "found inf"]),
    ({"train/rebalancing/unknown": "some"}, ["section train", "rebalancing.unknown: ", "'all'; found 'some'"]),
    (
        {"train/pseudo_labels/minimum": 50},
        ["section train", "pseudo_labels.minimum: ", "less than or equal to 1; found 50"],
    ),
    # runs
    ({"runs": {}}, ["'runs' must list runs by name; found {}"]),
    ({"runs": GONE}, ["'runs' must list runs by name; found None"]),
    ({"runs": ["ast"]}, ["'runs' must list runs by name; found ['ast']"]),
    ({"runs/ensemble": RUN}, ["a run cannot be called 'ensemble': submissions/ensemble is not a run's"]),
    ({"runs/kernel": RUN}, ["a run cannot be called 'kernel'"]),
    ({"runs/v1.2": RUN}, ["'v1.2' under 'runs' cannot be a run's name", "Take letters, digits, - and _"]),
    ({"runs/a b": RUN}, ["'a b' under 'runs' cannot be a run's name", "Take letters"]),
    ({"runs/ast": None}, ["section runs.ast: expected keys and values, found None"]),
    ({"runs/ast": "convs2s"}, ["section runs.ast: expected keys and values, found 'convs2s'"]),
    ({"runs/ast": {"parameters": {}}}, ["section runs.ast", "model: missing, and it has no default"]),
    ({"runs/ast/model": "hubert"}, ["A run asks for the model 'hubert'", "Known models: ast, bag_of_codes"]),
    ({"runs/ast/model": 3}, ["section runs.ast", "model: ", "valid string; found 3"]),
    ({"runs/ast/trainings": {}}, ["section runs.ast", "trainings: unknown key. Do you mean training?"]),
    ({"runs/ast/target": "speakr"}, ["section runs.ast", "target: ", "found 'speakr'. It tells: word, speaker"]),
    ({"runs/ast/target": "tags"}, ["section runs.ast", "target: ", "found 'tags'. It tells: word, speaker"]),
    (
        {"runs/ast/vocabulary": "letters"},
        ["section runs.ast", "vocabulary: ", "'commands' or 'words'; found 'letters'"],
    ),
    ({"runs/ast/presence": {"of": "all"}}, ["section runs.ast", "presence.name: missing"]),
    ({"runs/ast/presence": True}, ["section runs.ast", "presence: Input should be no truth value; found True"]),
    ({"runs/ast/parameters/confg": {}}, ["section runs.ast.parameters", "confg: unknown key. Do you mean config?"]),
    ({"runs/ast/parameters/config/max_length": 2}, ["Run 'ast': ASTForAudioClassification cannot be built"]),
    (
        {"runs/ast/parameters/spec_augment": {"time_mask": 1}},
        ["runs.ast.parameters", "spec_augment.time_mask: unknown key"],
    ),
    ({"runs/ast/parameters/checkpoint": "./nowhere"}, ["Run 'ast': The checkpoint './nowhere' is not here"]),
    (
        {"runs/ast/training": {"optimizer": "adamm"}},
        ["section runs.ast.training", "there is no 'adamm'; take one of adamw"],
    ),
    ({"runs/ast/training": 3}, ["section runs.ast", "training: ", "found 3"]),
    ({"runs/ast/training": {"workers": -1}}, ["section runs.ast.training", "workers: ", "found -1"]),
    ({"runs/ast/training": {"precision": "fp8"}}, ["section runs.ast.training", "precision: ", "'fp16'; found 'fp8'"]),
    ({"runs/ast/detector": "ast"}, ["section runs.ast", "detector: ", "found 'ast'"]),
    ({"runs/ast/detector": {"model": "asd"}}, ["A run asks for the model 'asd'", "Known models"]),
    ({"runs/ast/detector": {"model": "probes"}}, ["do not take the same inputs"]),
    ({"runs/ast/pseudo_labels": {}}, ["section runs.ast: only runs under 'students' or 'second_students' learn"]),
    ({"runs/b": {"like": "a"}}, ["lists no run 'a'. 'b' is like 'a', but it should be one of: ast, wav2vec2, b"]),
    ({"runs/b": {"like": "b"}}, ["runs are like each other in a circle: b -> b"]),
    ({"runs/b": {"like": ["ast"]}}, ["section runs.b: `like` must be the name of another run; found ['ast']"]),
    (
        {"runs/probe": {"model": "probes"}},
        ["Run 'probe': it reads hidden states, and the section encode", "asks for none"],
    ),
    # students
    ({"students": None}, ["'students' is empty, which DVC cannot read. Delete the line, or write students: {}."]),
    ({"second_students": None}, ["'second_students' is empty, which DVC cannot read", "write second_students: {}."]),
    ({"students": ["s"]}, ["'students' must list runs by name; found ['s']"]),
    ({"students/ast": RUN}, ["ast is both under 'runs' and under 'students'"]),
    (
        {"students/s": {**RUN, "pseudo_labels": {"share": -1}}},
        ["section students.s", "pseudo_labels.share: ", "found -1"],
    ),
    ({"students/s": {**RUN, "target": "speaker"}}, ["Run 's': it learns 'speaker', and the teachers vote on 'word'"]),
    ({"students/s": {**RUN, "detector": RUN}}, ["Run 's': a student learns from soft labels", "without a detector"]),
    (
        {"students/s": {**RUN, "vocabulary": "words"}, "vote/runs": ["ast"]},
        ["Run 's': it learns words, and no teacher that votes does"],
    ),
    (
        {"second_students/s": {**RUN, "vocabulary": "words"}, "students/p": {"like": "ast"}, "second_vote/runs": ["p"]},
        ["Run 's': it learns words, and no teacher that votes does"],
    ),
    ({"second_students": {"s": {**RUN, "detector": RUN}}}, ["Run 's': a student learns from soft labels"]),
    # decide
    ({"decide/rule": "tunned"}, ["section decide", "rule: ", "'none', 'published' or 'tuned'; found 'tunned'"]),
    ({"decide/unknown_below": 50}, ["section decide", "unknown_below: ", "less than or equal to 1; found 50"]),
    ({"decide/silence_below": 0.7}, ["decide: silence_below (0.7) is above unknown_below (0.5)"]),
    ({"decide/prior": {"yes": 0.5, "cat": 0.5}}, ["decide.prior: cat is no label of the submission. Labels: yes, no,"]),
    ({"decide/prior": {"yes": 0.5}}, ["section decide", "prior: ", "the shares must sum to 1; they sum to 0.5"]),
    ({"decide/prior": "flat"}, ["section decide", "prior: ", "'uniform' or 'estimated'; found 'flat'"]),
    ({"decide/overrides/asd": {"rule": "none"}}, ["decide.overrides: asd is no run. Runs: ast, wav2vec2, ensemble"]),
    ({"decide/overrides/ast": {"rule": "non"}}, ["section decide", "overrides.ast.rule: ", "found 'non'"]),
    (
        {"decide/overrides/ast": {"silence_below": 0.6}},
        ["decide.overrides.ast: silence_below (0.6) is above unknown_below (0.5)"],
    ),
    (
        {"decide/overrides/ensemble": {"prior": {"dog": 1.0}}},
        ["decide.overrides.ensemble.prior: dog is no label of the submission"],
    ),
    # vote, ensemble
    ({"ensemble/weights": "acuracy"}, ["section ensemble", "weights: ", "'greedy' or 'stacking'; found 'acuracy'"]),
    ({"ensemble/weights": {"ast": 0}}, ["section ensemble: no run that votes has a weight above 0"]),
    ({"ensemble/weights": {"asd": 1}}, ["section ensemble: asd is no run that may vote", "ast, wav2vec2"]),
    ({"ensemble/weights": {"ast": -1}}, ["section ensemble", "weights.ast: ", "found -1"]),
    ({"ensemble/runs": ["asd"]}, ["section ensemble: asd is no run that may vote", "ast, wav2vec2"]),
    ({"ensemble/runs": []}, ["section ensemble"]),
    ({"ensemble/sharpness": 1000}, ["section ensemble", "sharpness: ", "less than or equal to 100; found 1000"]),
    (
        {"ensemble/runs": ["ast", "who"], "runs/who": {**RUN, "target": "speaker"}},
        ["section ensemble: ", "answer one question", "unknown: who"],
    ),
    ({"vote/runs": ["asd"]}, ["section vote: asd is no run that may vote", "under 'runs'"]),
    ({"vote/runs": ["s"], "students/s": RUN}, ["section vote: s is no run that may vote. Those under 'runs' may: ast"]),
    ({"second_vote/runs": ["s"], "second_students/s": RUN}, ["section second_vote: s is no run that may vote."]),
    # what would be told after the training only
    (
        {"runs/ast/rebalancing": {"synthetic": 0.5}},
        ["Run 'ast': its rebalancing asks for synthetic clips", "Set prepare"],
    ),
    (
        {"runs/ast/rebalancing": {"synthetic": 0.5}, "runs/ast/target": "speaker", "prepare/synthetic": {"clips": 9}},
        ["Run 'ast': its rebalancing asks for synthetic clips, of which the word alone is known", "'speaker'"],
    ),
    (
        {"runs/ast": {"model": "gru", "training": {"layer_decay": 0.9}}},
        ["Run 'ast': RecurrentNet is no stack of layers", "Take `training.layer_decay` out"],
    ),
    (
        {"runs/ast/presence": {"name": "speech"}, "runs/ast/detector": {"model": "linear"}},
        ["Run 'ast': A detector tells words from unknown and silence; this run's labels are other, speech"],
    ),
    (
        {"runs/ast/engine": "onnx", "runs/ast/detector": {"model": "linear"}},
        ["Run 'ast': engine: onnx is for one network over audio, without a detector"],
    ),
    # submit, kernel
    ({"submit/competition": 3}, ["section submit", "competition: ", "found 3"]),
    ({"submit/poll_s": 0}, ["section submit", "poll_s: ", "found 0"]),
    ({"kernel": {"run": "ast"}}, ["section kernel", "user: missing"]),
    ({"kernel": {"user": "me", "run": "asd"}}, ["kernel.run: 'asd' is no run. Runs: ast, wav2vec2, ensemble"]),
    ({"kernel": {"user": "a b"}}, ["section kernel", "user: ", "found 'a b'"]),
]


@pytest.mark.parametrize(("changes", "fragments"), MISTAKES, ids=lambda value: str(value)[:60])
def test_a_mistake_is_told_in_one_paragraph(told, changes, fragments):
    problems = told(changes)
    meant = [problem for problem in problems if all(fragment in problem for fragment in fragments)]
    assert meant, "\n\n".join(problems) or "nothing was told"
    assert "\n\n" not in meant[0]
    assert len(problems) <= 2, "\n\n".join(problems)  # of both runs where the mistake concerns both


def test_good_parameters_are_told_nothing_of(told, capsys):
    assert told({}) == []
    assert capsys.readouterr().out == "ast: ready to train\nwav2vec2: ready to train\n"
    assert (
        told({"prepare/folds": 3, "folds": [0, 2], "students/s": {"like": "ast"}, "vote": {"weights": "equal"}}) == []
    )
    assert told({"runs/wav2vec2/training": {"layer_decay": 0.9}}) == []
    words = {"like": "ast", "vocabulary": "words"}
    assert told({"runs/words": words, "students/s": words, "second_students/t": words, "second_vote/runs": ["s"]}) == []


def test_a_loss_that_tags_cannot_have_is_told():
    tree = {
        "seed": 1,
        "folds": [0],
        "download": {"source": "fsd50k", "folder": "x"},
        "prepare": {"commands": []},
        "runs": {"net": {"model": "gru", "target": "tags", "training": {"loss": "cross_entropy"}}},
    }
    (problem,) = problems_of(tree, Path())
    assert "Run 'net': The loss cross_entropy needs exactly one label a clip" in problem


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ({"model": "gru", "detector": {"model": "gru"}}, "Run 'net': a detector tells silence from words"),
        ({"model": "probes"}, "Run 'net': probes tell one label a clip"),
    ],
)
def test_who_tells_one_label_a_clip_learns_no_tags(run, told):
    tree = {
        "seed": 1,
        "folds": [0],
        "download": {"source": "fsd50k", "folder": "x"},
        "prepare": {"commands": []},
        "runs": {"net": {**run, "target": "tags"}},
    }
    (problem,) = problems_of(tree, Path())
    assert problem.startswith(told)


def test_sections_that_are_absent_or_empty_mappings_are_read_by_dvc(told):
    assert told({"students": GONE}) == told({"students": {}, "second_students": {}}) == []


def test_a_mistake_in_one_vote_does_not_hide_the_other_s(told):
    problems = told({"vote/runs": ["asd"], "second_vote/runs": ["asd"]})
    sections = [problem.split(":")[0] for problem in problems]
    assert sections == ["params.yaml, section vote", "params.yaml, section second_vote"]


def test_all_mistakes_are_told_at_once(told):
    changes = {"seed": -1, "prepare/splits": "x", "decide/rule": "y", "runs/ast/model": "z", "submit/poll_s": -1}
    assert len(told(changes)) == 5


def test_keys_of_the_shared_section_are_those_of_a_run():
    assert {"augmentation", "rebalancing", "training", "detector", "target"} <= set(Run.model_fields)
