"""Encoding a corpus of tones, and probes from there to figures; refused early where it cannot work."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from pipeline.clips.corpus import Corpus
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.errors import PipelineError
from pipeline.features import hidden_states
from pipeline.features.hidden_states import HiddenStates
from pipeline.files import read_json, write_json
from pipeline.jobs import encoding, fitting, launching
from pipeline.layout import Layout
from pipeline.learners.encoder import Encoder
from pipeline.stages import check, decide, encode, predict, train

WORDS = {"high": 900, "low": 300}  # Hz
SPEAKERS = {"ann": 0.9, "bob": 0.3, "cat": 0.1}  # how loud; front ends that normalise leave the overtones
ROOMS = {"ann": "small", "bob": "small", "cat": "large"}


def tone(word, speaker, rng):
    time = np.arange(16_000) / 16_000
    loudness = SPEAKERS[speaker]
    wave = np.sin(2 * np.pi * WORDS[word] * time) + loudness * np.sin(2 * np.pi * 3_000 * time)
    return (6_000 * wave + 200 * rng.normal(size=16_000)).astype(np.int16)


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """A project with a corpus of 90 tones: two words, three speakers."""
    layout = Layout(tmp_path_factory.mktemp("tones"))
    layout.prepare.mkdir(parents=True)
    rng = np.random.default_rng(2)
    with CorpusWriter(layout.prepare) as writer:
        for number in range(90):
            word, speaker = list(WORDS)[number % 2], list(SPEAKERS)[number // 2 % 3]
            facts = {"room": ROOMS[speaker], "sex": "f"}
            clip = f"{word}_{speaker}_{number}.wav"
            writer.add(tone(word, speaker, rng), clip=clip, part="train", word=word, speaker=speaker, metadata=facts)
        splits = np.array((["train"] * 6 + ["validation"] * 6 + ["holdout"] * 3) * 6)
        folds = np.where(splits == "validation", 0, -1)
        writer.finish(splits, folds, source="demo", seed=1, commands=tuple(WORDS))
    (layout.prepare / "sample.csv").write_text("fname\n")
    return layout


@pytest.fixture
def project(tones, tmp_path):
    """`project(encode=..., runs=...)`: write params.yaml beside the tones, return the layout."""
    layout = Layout(tmp_path / "project")
    shutil.copytree(tones.root, layout.root)

    def configure(**sections):
        runs = {"speaker": {"model": "probes", "target": "speaker"}}
        tree = {"seed": 3, "download": {"source": "demo"}, "runs": runs, **sections}
        layout.params.write_text(yaml.safe_dump(tree))
        return layout

    return configure


@pytest.fixture
def checkpoint(publish, tmp_path):
    return str(publish("wav2vec2", tmp_path / "published"))


def stored(layout):
    return HiddenStates.open(layout.encode, Corpus.open(layout.prepare).fingerprint)


@pytest.mark.parametrize("section", [{}, None])
def test_nothing_asked_is_one_file_that_is_always_the_same(section, project, tones):
    encode.main(project(encode=section))
    first = {path.name: path.read_bytes() for path in project().encode.iterdir()}
    encode.main(project(encode=section, seed=9))
    assert {path.name: path.read_bytes() for path in project().encode.iterdir()} == first
    assert list(first) == ["nothing"]


def test_nothing_asked_does_not_wait_for_torch(project):
    layout = project(encode={})
    code = "import sys; from pipeline.__main__ import app; app(['encode'], standalone_mode=False);"
    code += "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=layout.root,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(encode.__file__).split("/pipeline/")[0]},
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("layers", "numbers"), [(None, (1,)), ([1, 0], (1, 0))])
def test_each_clip_has_its_row_of_hidden_states(layers, numbers, project, checkpoint, monkeypatch):
    monkeypatch.setattr(hidden_states, "STRETCH_CLIPS", 40)
    layout = project(encode={"checkpoint": checkpoint, "layers": layers, "batch_size": 16})
    encode.main(layout)
    states = stored(layout)
    assert states.layers == numbers
    expected = Encoder.open(layout.root / checkpoint, numbers, "mean", 90)
    corpus = Corpus.open(layout.prepare)
    np.testing.assert_allclose(states(np.arange(90)), expected(corpus.samples(np.arange(90))), atol=1e-5)
    assert states.about["weights"].keys() == {"model.safetensors"}
    assert not layout.encoding.joinpath("states").exists()


def test_two_processes_write_the_same_bytes_as_one(project, checkpoint, monkeypatch):
    monkeypatch.setattr(hidden_states, "STRETCH_CLIPS", 40)
    layout = project(encode={"checkpoint": checkpoint, "batch_size": 16})
    encode.main(layout)
    expected = {path.name: path.read_bytes() for path in layout.encode.iterdir()}
    encoded = []

    def launch(processes, *verb):
        """Both processes in this one; tests/stages/test_predict.py launches real ones."""
        for rank in range(processes):
            with pytest.MonkeyPatch.context() as patch:
                for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", processes)):
                    patch.setenv(name, str(value))
                encode.main(layout)
            encoded.append(np.load(layout.encoding / "states" / "done.npy").tolist())

    monkeypatch.setattr(launching, "launch", launch)
    project(encode={"checkpoint": checkpoint, "batch_size": 16, "processes": 2})
    encode.main(layout)
    assert encoded == [[1, 0, 1], [1, 1, 1]]
    assert {path.name: path.read_bytes() for path in layout.encode.iterdir()} == expected


def fit_section(tiny_params):
    config = {**tiny_params["runs"]["wav2vec2"]["parameters"]["config"], "num_hidden_layers": 2}
    training = {"epochs": 1, "batch_size": 16, "learning_rate": 0.003}
    return {"model": "wav2vec2", "vocabulary": "words", "parameters": {"config": config}, "training": training}


def test_an_encoder_is_trained_once_and_then_read(project, tiny_params, monkeypatch):
    trained = []
    learn = fitting.Work.learn
    monkeypatch.setattr(fitting.Work, "learn", lambda *arguments: trained.append(1) or learn(*arguments))
    section = {"fit": fit_section(tiny_params)}

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    layout = project(encode=section)
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "__call__", killed)
        with pytest.raises(Killed):
            encode.main(layout)
    encode.main(layout)
    assert stored(layout).layers == (1, 2)
    encode.main(project(encode={**section, "layers": [2]}))
    assert stored(layout).layers == (2,)
    assert trained == [1]

    corpus = Corpus.open(layout.prepare)
    about = read_json(layout.encode / "encoder" / "run.json")
    assert (about["labels"], about["corpus"]) == (["high", "low", "silence"], corpus.fingerprint)
    again = Encoder.open(layout.encode / "encoder", (2,), "mean", 32)
    np.testing.assert_allclose(stored(layout)(np.arange(9)), again(corpus.samples(np.arange(9))), atol=1e-5)
    assert "best_balanced_accuracy" in read_json(layout.encode / "live" / "metrics.json")

    section["fit"]["training"]["epochs"] = 2
    encode.main(project(encode=section))
    assert trained == [1, 1]


@pytest.fixture
def learnt(monkeypatch):
    """The trainings that encoding began, each with an encoder in place of what it would have learnt."""
    learnt = []

    def learn(work):
        learnt.append(work)
        work.to.model.mkdir(parents=True, exist_ok=True)
        work.to.live.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(fitting.Work, "learn", learn)
    return learnt


@pytest.mark.parametrize("changed", ["code", "version"])
def test_an_encoder_is_trained_anew_by_other_code_or_versions(changed, project, tiny_params, learnt, monkeypatch):
    section = encoding.Encode(fit=fit_section(tiny_params))
    layout = project()
    corpus = Corpus.open(layout.prepare)
    for _ in range(2):
        assert encoding._fitted(layout, section, 3, corpus) == layout.encoding / "fit" / "model"
    assert len(learnt) == 1
    what, name = (fitting.code, "digest") if changed == "code" else (fitting.metadata, "version")
    monkeypatch.setattr(what, name, lambda *_: "another")
    encoding._fitted(layout, section, 3, corpus)
    assert len(learnt) == 2


def test_an_encoder_s_own_seed_is_added_to_the_project_s(project, tiny_params, learnt):
    corpus = Corpus.open(project().prepare)
    for own in (0, 5):
        encoding._fitted(project(), encoding.Encode(fit={**fit_section(tiny_params), "seed": own}), 3, corpus)
    assert [work.seed for work in learnt] == [work.about["seed"] for work in learnt] == [3, 8]


def test_probes_go_from_hidden_states_to_figures_of_each_layer(project, checkpoint):
    runs = {
        "speaker": {"model": "probes", "target": "speaker", "parameters": {"classifier": "svm_rbf"}},
        "room": {"model": "probes", "target": "room", "parameters": {"layers": [0]}},
        "word": {"model": "probes"},
    }
    layout = project(encode={"checkpoint": checkpoint, "layers": [0, 1]}, runs=runs, decide={"rule": "none"})
    encode.main(layout)
    for run in runs:
        train.main(layout, run)
        predict.main(layout, run)
    for run in ("speaker", "room"):
        decide.main(layout, run)
        figures = read_json(layout.submission(run) / "metrics.json")
        names = ["layer-00", "layer-01"] if run == "speaker" else ["layer-00"]
        assert list(figures["parts"]) == [*names, "vote"]
        assert figures["parts"]["vote"] == {
            "estimate": figures["estimate"]["accuracy"],
            "holdout": figures["holdout"]["accuracy"],
        }
        assert figures["estimate"]["accuracy"] > 0.8, run
        live = read_json(layout.run(run).live(0) / "metrics.json")
        assert live["accuracy_of_the_vote"] == pytest.approx(figures["estimate"]["accuracy"], abs=1e-5)
        shares = [figures["parts"][name]["estimate"] for name in names]
        assert live["accuracy_of_the_mean_layer"] == pytest.approx(np.mean(shares), abs=1e-5)
    labels = read_json(layout.run("word").model(0) / "run.json")["labels"]
    assert labels == ["high", "low", "unknown", "silence"]
    assert read_json(layout.run("word").model(0) / "run.json")["hidden_states"]["layers"] == [0, 1]


def test_an_encoder_that_learnt_from_the_judges_of_a_fold_has_no_probes_there(project, checkpoint):
    layout = project(encode={"checkpoint": checkpoint})
    corpus = Corpus.open(layout.prepare)
    write_json(layout.root / checkpoint / "run.json", {"corpus": corpus.fingerprint, "fold": 1})
    encode.main(layout)
    with pytest.raises(
        PipelineError, match=r"runs\.speaker: its checkpoint was trained here, for fold 1, .* judge fold 0"
    ):
        train.main(layout, "speaker")


@pytest.mark.parametrize(
    ("target", "message"),
    [("age", "does not tell the 'age' of its clips; it tells: word, speaker, room, sex"), ("sex", "the label 'f'")],
)
def test_a_target_that_the_data_do_not_have_is_refused(target, message, project, checkpoint):
    layout = project(encode={"checkpoint": checkpoint}, runs={"it": {"model": "probes", "target": target}})
    encode.main(layout)
    with pytest.raises(PipelineError, match=message):
        train.main(layout, "it")


@pytest.mark.parametrize(
    ("section", "run", "message"),
    [
        ({}, {}, "Run 'it': it reads hidden states, and the section encode in params.yaml asks for none"),
        ({"checkpoint": "./nowhere"}, {}, r"Section encode: The checkpoint '\./nowhere' is not here"),
        ({"checkpoint": "HERE", "layers": [1, 7]}, {}, "Section encode: The encoder .* has the layers 1 to 1 .* for 7"),
        ({"checkpoint": "HERE"}, {"parameters": {"layers": [1, 2]}}, "Run 'it': it reads layer 2; stored are 1"),
        ({"fit": "FIT", "layers": [3]}, {}, "'encode.fit' has the layers 1 to 2 .* asks for 3"),
        ({"fit": {"model": "ast"}}, {}, "encode.fit trains an encoder: `model` must be wav2vec2"),
        (
            {"fit": {"model": "wav2vec2", "training": {"epoch": 1}}},
            {},
            "section encode.fit.training:\n  epoch: unknown",
        ),
    ],
)
def test_check_says_what_could_not_be_encoded(section, run, message, project, checkpoint, tiny_params):
    section = {
        key: {"HERE": checkpoint, "FIT": fit_section(tiny_params)}.get(value, value)
        if isinstance(value, str)
        else value
        for key, value in section.items()
    }
    layout = project(encode=section, runs={"it": {"model": "probes", **run}})
    with pytest.raises(PipelineError, match=message):
        check.main(layout)
    assert not layout.checked.exists()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"checkpoint": "a/b", "fit": {"model": "wav2vec2"}}, "not both"),
        ({"layers": [1]}, "layers need an encoder"),
        ({"checkpoint": "a/b", "layers": [1, 1]}, "each once"),
        ({"checkpoint": "a/b", "layers": [-1]}, "from 0 up"),
        ({"checkpoint": "a/b", "pooling": "max"}, "pooling"),
    ],
)
def test_bad_values_are_refused(section, message, project):
    with pytest.raises(PipelineError, match=message):
        encode.main(project(encode=section))


def test_embeddings_cannot_be_encoded(project, checkpoint):
    layout = project(encode={"checkpoint": checkpoint})
    with CorpusWriter(layout.prepare) as writer:
        writer.add(np.zeros((10, 128), np.uint8), clip="a", part="train", word="high")
        writer.add(np.zeros((10, 128), np.uint8), clip="b", part="train", word="low")
        splits, folds = np.array(["train", "validation"]), np.array([-1, 0])
        writer.finish(splits, folds, source="audioset", seed=1, commands=("high", "low"))
    with pytest.raises(PipelineError, match="holds embeddings and no audio"):
        encode.main(layout)
