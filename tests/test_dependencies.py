"""Each stage of dvc.yaml watches what it reads of params.yaml: the stages are run, and what they ask for is noted."""

import importlib
from pathlib import Path

import pytest
import yaml

from pipeline import params

DVC = yaml.safe_load((Path(__file__).resolve().parents[1] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TREE = {
    "seed": 7,
    "folds": [0, 1],
    "download": {"source": "demo"},
    "prepare": {"folds": 2},
    "encode": {},
    "train": {"training": {"epochs": 1}},
    "runs": {"net": {"model": "linear", "parameters": {"frames": 10}}},
    "students": {"pupil": {"like": "net"}},
    "second_students": {"heir": {"like": "net"}},
    "vote": {},
    "decide": {"rule": "none"},
    "ensemble": {"weights": "equal"},
}
# In the order of the flow, as the verbs run them: (stage of dvc.yaml, module, arguments).
STEPS = [
    *(("download", "download", ()), ("prepare", "prepare", ()), ("encode", "encode", ())),
    *(("encoder_digest", "encoder_digest", ()), ("train", "train", ("net", 0)), ("train", "train", ("net", 1))),
    *(("predict", "predict", ("net",)), ("vote", "vote", ()), ("pseudo_label", "pseudo_label", ("pupil",))),
    *(("train_student", "train", ("pupil", 0)), ("train_student", "train", ("pupil", 1))),
    *(("predict_student", "predict", ("pupil",)), ("vote_second", "vote", ("heir",))),
    *(("pseudo_label_second", "pseudo_label", ("heir",)), ("train_second", "train", ("heir", 0))),
    *(("train_second", "train", ("heir", 1)), ("predict_second", "predict", ("heir",))),
    *(("decide", "decide", ("net",)), ("decide_student", "decide", ("pupil",))),
    *(("decide_second", "decide", ("heir",)), ("ensemble", "ensemble", ()), ("score", "score", ())),
    ("report", "report", ()),
]
# `check` reads all; it starts over for what only it can tell before long work, since the stages after it tell the rest.
# `resolve` reads all, and depends on the whole file.
OF_ALL = {"check", "resolve"}
# What resolve makes of the sections that name runs: a stage that reads them depends on a part of these.
OF_RUNS = {"runs", "students", "second_students", "tasks", "models", "code_of_predict"}
VOTES = {"vote", "vote_second"}


class Noted(dict):  # type: ignore[type-arg]
    """A parameter tree that notes which sections are asked for by name."""

    def __init__(self, values, asked):
        super().__init__(values)
        self.asked = asked

    def get(self, key, default=None):
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)


@pytest.fixture(scope="module")
def asked(finished, tmp_path_factory):
    """The sections that each stage asked for."""
    project = finished.copy(tmp_path_factory.mktemp("dependencies") / "project")
    project.configure(lambda tree: tree.update({**TREE, "download": tree["download"]}))
    asked: dict[str, set[str]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        read = params.read
        for stage, module, arguments in STEPS:
            noted = asked.setdefault(stage, set())
            patch.setattr(params, "read", lambda path, noted=noted: Noted(read(path), noted))
            importlib.import_module(f"pipeline.stages.{module}").main(project.layout, *arguments)
    return asked


def test_all_stages_of_the_graph_were_run(asked):
    assert asked.keys() | OF_ALL == DVC.keys()
    assert asked["prepare"] >= {"seed", "prepare"}
    assert asked["ensemble"] >= {"seed", "runs", "decide", "ensemble"}


@pytest.mark.parametrize("stage", sorted(DVC.keys() - OF_ALL))
def test_a_stage_watches_what_it_reads(asked, stage):
    told = {**DVC[stage], **DVC[stage].get("do", {})}
    keys = {key.split(".")[0] for file in told["params"] for key in file["artifacts/params.json"]}
    of_runs = {"runs", "students", "second_students", "train"}
    if asked[stage] & of_runs:
        assert keys & OF_RUNS
    # Of decide, the vote reads the prior alone: tests/test_code.py.
    wanted = {"prior" if stage in VOTES and section == "decide" else section for section in asked[stage] - of_runs}
    assert wanted <= keys


def test_the_graph_has_no_circle_and_no_round_reads_a_later_one():
    rounds = {**dict.fromkeys(("vote", "pseudo_label", "train_student", "predict_student", "decide_student"), 2)}
    rounds |= dict.fromkeys(
        ("vote_second", "pseudo_label_second", "train_second", "predict_second", "decide_second"), 3
    )
    for name, stage in DVC.items():
        told = {**stage, **stage.get("do", {})}
        read = [path.split("/")[2:3] for path in told.get("deps", []) if path.startswith("artifacts/rounds")]
        if name in ("ensemble", "report"):
            assert read == [[]]  # all of them
        else:
            assert all(int(number) <= rounds.get(name, 1) for (number,) in read), name
