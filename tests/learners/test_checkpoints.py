"""Where a published checkpoint is looked for, and what is refused. No test has a network."""

import multiprocessing
import shutil
import sys
import time

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import (
    ASTForAudioClassification,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
)

from pipeline.errors import PipelineError
from pipeline.files import replacing_folder
from pipeline.learners import checkpoints

NAME = "someone/small-ast"


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub's, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def cached(folder, hub, name=NAME, commit="0123abc", ref="main"):
    """Put `folder` into the hub's cache, as `hf download` does."""
    repository = hub / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / ref).write_text(commit)
    return repository / "snapshots" / commit


def test_a_folder_is_taken_as_it_is(publish, tmp_path, store):
    folder = publish("ast", tmp_path / "mine")
    assert checkpoints.resolve(str(folder), None, store) == folder


def test_the_store_comes_before_the_cache_and_knows_revisions(publish, tmp_path, store, hub):
    folder = publish("ast", tmp_path / "mine")
    in_cache = cached(folder, hub)
    assert checkpoints.resolve(NAME, None, store) == in_cache
    stored = shutil.copytree(folder, store / "someone--small-ast")
    assert checkpoints.resolve(NAME, None, store) == stored
    other = cached(folder, hub, commit="4567def", ref="refs/pr/3")
    assert checkpoints.resolve(NAME, "refs/pr/3", store) == other
    of_revision = shutil.copytree(folder, store / "someone--small-ast--refs-pr-3")
    assert checkpoints.resolve(NAME, "refs/pr/3", store) == of_revision


@pytest.mark.parametrize("name", [NAME, "no/such/folder", "./here", "~/there", "one_part"])
def test_one_that_is_nowhere_says_how_to_get_it(name, store):
    with pytest.raises(PipelineError) as error:
        checkpoints.resolve(name, None, store)
    message = str(error.value)
    assert f"'{name}' is not here" in message
    assert "python -m pipeline check" in message
    assert str(store) in message
    assert "`checkpoint` in params.yaml" in message


def test_a_path_is_never_asked_of_the_hub(store, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(checkpoints, "_fetch", lambda *_: pytest.fail("went to the hub"))
    with pytest.raises(PipelineError, match="no such folder"):
        checkpoints.resolve("./here", None, store)


@pytest.mark.parametrize("place", ["folder", "store", "cache"])
def test_weights_in_pickle_form_are_refused(place, publish, tmp_path, store, hub):
    folder = publish("ast", tmp_path / "mine")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    name = str(folder) if place == "folder" else NAME
    if place == "store":
        shutil.copytree(folder, store / "someone--small-ast")
    if place == "cache":
        cached(folder, hub)
    with pytest.raises(PipelineError, match=r"lacks \*\.safetensors" if place != "cache" else "is not here"):
        checkpoints.resolve(name, None, store)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_a_folder_that_lacks_a_file_is_refused(file, publish, tmp_path, store):
    folder = publish("ast", tmp_path / "mine")
    (folder / file).unlink()
    with pytest.raises(PipelineError, match=f"lacks {file}"):
        checkpoints.resolve(str(folder), None, store)


def test_weights_that_are_cut_short_are_refused(publish, tmp_path, store):
    folder = publish("ast", tmp_path / "mine")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(PipelineError, match=r"damaged: model\.safetensors is cut short"):
        checkpoints.resolve(str(folder), None, store)


@pytest.fixture
def pretrained(tmp_path, tiny_params):
    """A checkpoint such as facebook/wav2vec2-base: no head, a quantizer instead, weight norm under its old names."""
    torch.manual_seed(1)
    folder = tmp_path / "pretrained"
    config = Wav2Vec2Config(**tiny_params["runs"]["wav2vec2"]["parameters"]["config"])
    Wav2Vec2ForPreTraining(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = load_file(folder / "model.safetensors")
    for new, old in names.items():
        weights = {name.replace(new, old): value for name, value in weights.items()}
    assert sum(name.endswith(("weight_g", "weight_v")) for name in weights) == 2
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def network(monkeypatch, pretrained):
    """A network with one checkpoint on the hub; counts how often it is asked for."""
    asked = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for kind in (AutoModelForAudioClassification, AutoFeatureExtractor):
        whole = kind.from_pretrained

        def fetch(name, revision=None, whole=whole, **options):
            if name != "facebook/wav2vec2-base":
                raise OSError(f"{name} is not a repository\nTry another")
            asked.append((name, revision))
            return whole(pretrained, **options)

        monkeypatch.setattr(kind, "from_pretrained", fetch)
    return asked


def test_what_is_fetched_is_what_was_published_and_is_fetched_once(network, pretrained, store):
    folder = checkpoints.resolve("facebook/wav2vec2-base", None, store)
    assert folder == store / "facebook--wav2vec2-base"
    assert network == [("facebook/wav2vec2-base", None)] * 2
    assert checkpoints.resolve("facebook/wav2vec2-base", None, store) == folder
    assert len(network) == 2
    published, fetched = (load_file(place / "model.safetensors") for place in (pretrained, folder))
    # Neither the head that loading made up, nor what no classifier has.
    assert fetched.keys() == {name for name in published if name.startswith("wav2vec2.")}
    assert all(torch.equal(fetched[name], published[name]) for name in fetched)


def test_what_cannot_be_fetched_is_told_with_the_reason(network, store):
    with pytest.raises(
        PipelineError, match="someone/other' is not here: fetching it failed: someone/other is not a rep"
    ):
        checkpoints.resolve("someone/other", None, store)
    assert list(store.iterdir()) == []


def _resolve(published, store, together, found):
    def fetch(checkpoint, revision, folder, form):
        with (store / "fetches").open("a") as log:
            log.write("one\n")
        with replacing_folder(folder) as temporary:
            for path in published.iterdir():
                time.sleep(0.2)
                shutil.copy(path, temporary)

    checkpoints._fetch = fetch
    together.wait()
    found.put(sorted(path.name for path in checkpoints.resolve(NAME, None, store).iterdir()))


@pytest.mark.skipif(sys.platform == "win32", reason="forks, since importing torch twice takes long")
def test_of_two_processes_one_fetches_and_the_other_waits(publish, tmp_path, store, monkeypatch):
    folder = publish("ast", tmp_path / "published")
    store.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    forks = multiprocessing.get_context("fork")
    together, found = forks.Barrier(2), forks.Queue()
    processes = [forks.Process(target=_resolve, args=(folder, store, together, found)) for _ in range(2)]
    for process in processes:
        process.start()
    whole = sorted(path.name for path in folder.iterdir())
    assert [found.get(timeout=60) for _ in processes] == [whole, whole]
    for process in processes:
        process.join()
    assert (store / "fetches").read_text() == "one\n"
    assert {path.name for path in store.iterdir()} == {"fetches", "someone--small-ast"}


def configure(folder, values=None, model=ASTForAudioClassification):
    shape = (98, 32) if model is ASTForAudioClassification else (16_000,)
    return checkpoints.configure(model, values or {}, folder, ["yes", "no"], lambda _: shape)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hiden_size": 32}, "ASTConfig of transformers knows no hiden_size"),
        ({"hidden_size": "large"}, "cannot be built.*hidden_size"),
        ({"hidden_act": "gel"}, "cannot be built.*KeyError: 'gel'"),
        ({"max_length": 4}, "cannot be built"),
        ({"num_attention_heads": 0}, "cannot be built"),
    ],
)
def test_a_configuration_that_makes_no_model_is_refused(values, message, tiny_params):
    tiny = tiny_params["runs"]["ast"]["parameters"]["config"]
    assert configure(None, tiny).id2label == {0: "yes", 1: "no"}
    with pytest.raises(PipelineError, match=f"(?s){message}.*params.yaml"):
        configure(None, {**tiny, **values})


def test_a_checkpoint_of_another_architecture_is_refused(publish, tmp_path):
    folder = publish("wav2vec2", tmp_path / "mine")
    with pytest.raises(PipelineError, match="architecture 'wav2vec2', not 'audio-spectrogram-transformer'"):
        configure(folder)


def test_values_of_ours_come_over_the_checkpoint_s_own(publish, tmp_path):
    config = configure(publish("ast", tmp_path / "mine"), {"hidden_dropout_prob": 0.25})
    assert (config.hidden_dropout_prob, config.hidden_size, config.num_labels) == (0.25, 32, 2)


def test_a_checkpoint_without_a_head_gets_one(pretrained):
    config = configure(pretrained, model=Wav2Vec2ForSequenceClassification)
    model, extractor = checkpoints.load(Wav2Vec2ForSequenceClassification, pretrained, config)
    assert model.classifier.weight.shape == (2, 16)
    assert extractor.do_normalize is True
    published = load_file(pretrained / "model.safetensors")
    for name, value in model.wav2vec2.named_parameters():
        name = name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        )
        assert torch.equal(value, published[f"wav2vec2.{name}"]), name


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["ast", "wav2vec2"])
def test_a_checkpoint_of_half_precision_learns_at_full_precision(name, kind, publish, tmp_path):
    folder = publish(name, tmp_path / "mine")
    AutoModelForAudioClassification.from_pretrained(folder).to(kind).save_pretrained(folder)
    assert {weight.dtype for weight in load_file(folder / "model.safetensors").values()} == {kind}
    model_class = {"ast": ASTForAudioClassification, "wav2vec2": Wav2Vec2ForSequenceClassification}[name]
    model, _ = checkpoints.load(model_class, folder, configure(folder, model=model_class))
    assert {weight.dtype for weight in model.state_dict().values() if weight.is_floating_point()} == {torch.float32}
    assert model(torch.zeros((1, 98, 32) if name == "ast" else (1, 16_000))).logits.shape == (1, 2)


@pytest.mark.parametrize("damage", ["missing", "another size"])
def test_an_encoder_that_is_not_whole_is_refused(damage, publish, tmp_path):
    folder = publish("ast", tmp_path / "mine")
    weights = load_file(folder / "model.safetensors")
    name = "audio_spectrogram_transformer.layernorm.weight"
    weight = weights.pop(name)
    if damage == "another size":
        weights[name] = weight[:5].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PipelineError, match=r"does not fit ASTForAudioClassification: 1 weights.*layernorm\.weight"):
        checkpoints.load(ASTForAudioClassification, folder, configure(folder))
