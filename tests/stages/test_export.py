"""Exporting: what the files hold, that they are the trained net, and what is refused."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import soundfile
import torch

from pipeline import models
from pipeline.clips.corpus import Corpus
from pipeline.errors import PipelineError
from pipeline.examples.target import target_of
from pipeline.examples.task import Task
from pipeline.examples.training_data import Examples
from pipeline.export.graph import traced
from pipeline.files import read_json, write_json
from pipeline.jobs import exporting, judging_exports
from pipeline.jobs.judging_exports import Exported, Judge
from pipeline.jobs.listening import exported_listeners, listener_of
from pipeline.layout import Layout
from pipeline.listening import windows
from pipeline.listening.spotting import Spotting
from pipeline.scoring.probabilities import Probabilities
from pipeline.stages import export, listen, predict

REPOSITORY = Path(__file__).resolve().parents[2]
RECURRENT = {"channels": [4], "hidden": 32, "num_mel_bins": 16, "streaming": True, "bidirectional": False}
STREAMING = {
    "lstm": {**RECURRENT, "layers": 1},
    "gru": {**RECURRENT, "layers": 2, "channels": [4, 4, 4]},  # few frames: it is unrolled as it is exported
    "resnet": {"stem_channels": 4, "channels": [4, 6, 8], "strides": [1, 2, 2], "num_mel_bins": 16, "streaming": True},
}


def copied(finished, root):
    layout = Layout(root)
    root.mkdir(exist_ok=True)
    shutil.copy(finished.layout.params, layout.params)
    shutil.copytree(finished.layout.prepare, layout.prepare)
    shutil.copytree(finished.layout.run("ast").trained, layout.run("ast").trained)
    return layout


@pytest.fixture(scope="module")
def layout(finished, tmp_path_factory):
    """A project whose run `ast` is trained and exported; those of STREAMING are nets that learnt nothing."""
    layout = copied(finished, tmp_path_factory.mktemp("export") / "project")
    tree = finished.params
    tree["runs"] |= {name: {"model": name, "parameters": parameters} for name, parameters in STREAMING.items()}
    write_json(layout.params, tree)  # JSON is YAML
    corpus = Corpus.open(layout.prepare)
    about = read_json(layout.run("ast").model(0) / "run.json")
    rows = corpus.training_rows(0)
    examples = Examples(corpus.samples, rows, np.zeros(len(rows), np.int64))
    for name, parameters in STREAMING.items():
        torch.manual_seed(5)
        model = models.find(name)
        net = model.build(model.Params(**parameters), model.Training(), about["labels"], examples, layout.root)
        folder = layout.run(name).model(0)
        folder.mkdir(parents=True)
        net.save(folder)
        write_json(folder / "run.json", {**about, "run": name, "model": name})
    export.main(layout, "ast", int8=True)
    return layout


def test_the_file_is_the_trained_net_from_samples_to_probabilities(layout, finished):
    """By onnxruntime alone, as a program of somebody else would run it."""
    session = onnxruntime.InferenceSession(str(layout.export("ast") / "ast.onnx"))
    told = session.get_modelmeta().custom_metadata_map
    labels = json.loads(told["labels"])
    expected = Probabilities.read(finished.layout.run("ast").probabilities / "out_of_fold.parquet")
    assert labels == expected.labels
    assert json.loads(told["sample_rate_hz"]) == json.loads(told["samples"]) == 16_000
    assert json.loads(told["provenance"])["corpus"] == expected.corpus
    assert "unknown" not in json.loads(told["commands"])
    (given,) = session.get_inputs()
    assert (given.name, given.shape[1]) == ("samples", 16_000)
    corpus = Corpus.open(layout.prepare)
    samples = corpus.samples(corpus.judged_rows(0)).astype(np.float32) / 32_768
    for part in (slice(None), slice(0, 1)):
        (values,) = session.run(None, {"samples": samples[part]})
        assert np.abs(values - expected.values[part]).max() < 1e-5


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_run_that_learns_and_hears_in_half_precision_is_exported(precision, finished, tmp_path):
    """Its file is of single precision; so is what it is held against. fp16 may have been learnt on a GPU elsewhere."""
    layout = copied(finished, tmp_path / "project")
    tree = finished.params
    tree["runs"]["ast"].setdefault("training", {})["precision"] = precision
    write_json(layout.params, tree)
    (found,) = exporting.export(layout, "ast", fold=None, int8=False, streaming=False)
    assert found.farthest < 1e-5


def test_a_net_that_onnx_has_no_words_for_is_refused_in_words():
    class Distances(torch.nn.Module):
        def forward(self, samples):
            return torch.cdist(samples[None], samples[None])

    with pytest.raises(PipelineError, match=r"cannot become an ONNX file: .*_cdist_forward") as error:
        traced(Distances(), (torch.zeros(2, 16_000),), {"samples": None}, ["values"])
    assert len(str(error.value).splitlines()) == 2


def test_the_report_tells_of_both_files_and_int8_is_smaller(layout):
    report = read_json(layout.export("ast") / "report.json")
    whole, small = (Exported(**file) for file in report["files"])
    for each in (whole, small):
        assert (layout.export("ast") / each.file).stat().st_size == each.bytes
        assert 0 < each.median_ms <= each.p99_ms
        assert 0 <= each.low <= each.figure <= each.high <= 1
    assert (whole.agreement, whole.farthest < 1e-5) == (1, True)
    assert small.agreement > 0.8
    assert small.file == "ast.int8.onnx"
    told = onnxruntime.InferenceSession(str(layout.export("ast") / small.file)).get_modelmeta().custom_metadata_map
    assert json.loads(told["precision"]) == "int8"


def test_predict_by_onnxruntime_gives_the_same_labels(layout, finished, tmp_path):
    twin = copied(finished, tmp_path / "twin")
    tree = finished.params
    tree["runs"]["ast"]["engine"] = "onnx"
    write_json(twin.params, tree)
    predict.main(twin, "ast")
    for name in ("out_of_fold", "test"):
        ours, torchs = (
            Probabilities.read(each.run("ast").probabilities / f"{name}.parquet") for each in (twin, finished.layout)
        )
        assert ours.clips == torchs.clips
        assert np.abs(ours.values - torchs.values).max() < 1e-5
        assert (ours.values.argmax(axis=1) == torchs.values.argmax(axis=1)).all()


def test_a_file_that_is_not_the_trained_net_is_not_published(layout, monkeypatch):
    before = {path.name: path.stat().st_mtime_ns for path in layout.export("ast").iterdir()}
    monkeypatch.setattr(exporting, "FARTHEST", -1.0)
    with pytest.raises(PipelineError, match=r"ast\.onnx is not the trained net of 'ast'.*Nothing was written"):
        export.main(layout, "ast")
    assert {path.name: path.stat().st_mtime_ns for path in layout.export("ast").iterdir()} == before


def test_a_net_whose_probabilities_are_no_numbers_is_not_published(finished, layout, tmp_path):
    broken = copied(finished, tmp_path / "broken")
    weights = broken.run("ast").model(0) / "model.safetensors"
    held = safetensors.torch.load_file(weights)
    safetensors.torch.save_file({name: torch.full_like(each, math.nan) for name, each in held.items()}, weights)
    with pytest.raises(PipelineError, match=r"(?s)ast\.onnx.* no finite numbers\. Nothing was written"):
        export.main(broken, "ast")
    assert not broken.export("ast").exists()
    small = Exported(**read_json(layout.export("ast") / "report.json")["files"][1])
    with pytest.raises(PipelineError, match=r"ast\.int8\.onnx.* no finite numbers"):
        exporting._refuse_another_net(replace(small, farthest=math.nan), "ast")


def test_what_cannot_be_exported_says_why(layout):
    with pytest.raises(PipelineError, match=r"'ast' cannot stream: its model, ast, reads a second as a whole"):
        export.main(layout, "ast", streaming=True)
    with pytest.raises(PipelineError, match="lists no run 'nobody'"):
        export.main(layout, "nobody")
    with pytest.raises(PipelineError, match="'wav2vec2' is not trained"):
        export.main(layout, "wav2vec2")


@pytest.mark.parametrize(("run", "least"), [("lstm", 0), ("resnet", 1)])
def test_a_streaming_net_is_exported_and_listens(run, least, layout, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exporting, "CALIBRATION_CLIPS", 64)
    monkeypatch.setattr(judging_exports, "SCENE_WORDS", 20)
    export.main(layout, run, streaming=True, int8=True)
    files = [Exported(**file) for file in read_json(layout.export(run) / "report.json")["files"]]
    kinds = ("", ".int8", ".streaming", ".streaming.int8")
    assert [each.file for each in files] == [f"{run}{kind}.onnx" for kind in kinds]
    whole, small, stream, small_stream = files
    assert stream.farthest < 1e-5
    assert stream.median_ms < whole.median_ms
    assert least <= stream.agreement <= 1
    for eighth in (small, small_stream):
        # That it is no other net; of one that learnt nothing, all labels are about as likely.
        assert 0 < eighth.farthest < 0.1
    for each in (small, small_stream):
        _holds_weights_of_8_bits(layout.export(run) / each.file)
    corpus = Corpus.open(layout.prepare)
    clips = corpus.samples(corpus.judged_rows(0)[:20]).reshape(-1)
    soundfile.write(tmp_path / "words.wav", np.stack([clips] * 8, axis=1), 16_000)
    for model in (f"{run}/{run}.streaming.onnx", f"{run}/{run}.streaming.int8.onnx", "ast/ast.onnx"):
        capsys.readouterr()
        for _ in range(2):
            listen.main(layout, tmp_path / "words.wav", None, None, layout.export(model), Spotting(threshold=0.05))
        lines = [line for line in capsys.readouterr().out.splitlines() if "words.wav" not in line]
        assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
        assert len(lines) > 4


def test_without_background_noise_there_is_white_noise(layout, monkeypatch):
    """Files are held against each other in it, which any sound does."""
    monkeypatch.setattr(Corpus, "judging_noises", lambda corpus, fold: [])
    corpus = Corpus.open(layout.prepare)
    scene = Judge(corpus, Task(), target_of(corpus, Task()), 0, 1)._scene(5)
    assert len(scene) > 5 * 3 * 16_000
    assert np.abs(scene[8_000:24_000]).min(initial=9) < np.abs(scene[8_000:]).max()
    assert scene[8_000:].astype(float).std() > 100


def test_files_of_an_export_before_that_go_are_told(layout, capsys, monkeypatch):
    folder = layout.export("gone")
    folder.mkdir()
    for name in ("gone.onnx", "gone.int8.onnx"):
        (folder / name).touch()
    whole = Exported(**read_json(layout.export("ast") / "report.json")["files"][0])
    monkeypatch.setattr(export, "export", lambda *asked: [replace(whole, file="gone.onnx")])
    export.main(layout, "gone")
    shutil.rmtree(folder)
    assert "Removed, since this export was not asked for them: gone.int8.onnx\n" in capsys.readouterr().out


def test_a_gru_keeps_its_weights_in_8_bits(layout, monkeypatch):
    monkeypatch.setattr(exporting, "CALIBRATION_CLIPS", 64)
    export.main(layout, "gru", int8=True)
    small = Exported(**read_json(layout.export("gru") / "report.json")["files"][1])
    assert 0 < small.farthest < 0.01
    _holds_weights_of_8_bits(layout.export("gru") / small.file)


def _holds_weights_of_8_bits(file):
    """A recurrent net's once stayed float32, and its file was hardly smaller."""
    floats = [each for each in onnx.load(file).graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    assert {each.name.split(".")[0] for each in floats if math.prod(each.dims) >= 600} == {"front_end"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_names_are_told_as_they_are(layout, tmp_path):
    name = b"[red]caf\xe9 :smile:.wav"
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    odd = tmp_path / os.fsdecode(name)
    (tmp_path / "a.wav").rename(odd)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "listen", odd, "--run", "ast"],
        cwd=layout.root,
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONIOENCODING": "utf-8:strict", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = name.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace").decode()
    assert f"{told}: 1.0 s, 0 words; run ast" in done.stdout


def test_the_length_of_an_mp3_that_was_cut_is_what_is_left(layout, tmp_path, capsys):
    seconds = np.arange(12 * 16_000) / 16_000
    soundfile.write(tmp_path / "a.mp3", 0.5 * np.sin(2 * np.pi * 440 * seconds), 16_000)
    whole = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(whole[: len(whole) // 2])
    with windows.open_audio(tmp_path / "a.mp3") as audio:
        left_s = (sum(map(len, windows.blocks(audio))) - 15_999) / 16_000
        assert left_s < audio.frames / 16_000 - 1
    listen.main(layout, tmp_path / "a.mp3", None, None, layout.export("ast") / "ast.onnx", Spotting())
    assert f"a.mp3: {left_s:.1f} s, " in capsys.readouterr().out


def test_a_damaged_export_is_told_and_the_run_itself_hears(layout, capsys):
    file = layout.export("ast") / "ast.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:1_000])
    assert (listener_of(layout, None, None, 100).run, listener_of(layout, "ast", None, 100).engine) == ("ast", "torch")
    told = capsys.readouterr().err
    assert re.search(r"ast\.onnx cannot be run by onnxruntime: .*\nThe weights of 'ast' itself are taken\.", told)
    file.write_bytes(whole)


def test_without_the_corpus_a_run_says_where_its_commands_are(finished, tmp_path):
    lacking = copied(finished, tmp_path / "lacking")
    shutil.rmtree(lacking.prepare)
    with pytest.raises(PipelineError, match=r"no finished corpus in .*prepare .*Run: dvc repro"):
        listener_of(lacking, "ast", None, 100)


def test_the_length_is_the_recordings_own(layout, tmp_path, capsys):
    for rate_hz in (16_000, 44_100):
        soundfile.write(tmp_path / "three.wav", np.zeros(3 * rate_hz, np.int16), rate_hz)
        listen.main(layout, tmp_path / "three.wav", None, None, layout.export("ast") / "ast.onnx", Spotting())
        assert "three.wav: 3.0 s, " in capsys.readouterr().out


def test_an_export_that_was_killed_is_not_heard(layout):
    """What it left is no file that was held against torch; it may be half of one."""
    left = layout.export(".lstm.new")
    left.mkdir()
    (left / "lstm.onnx").write_bytes(b"half of it")
    assert {each.run for each in exported_listeners(layout, 100)} >= {"ast"}
    shutil.rmtree(left)
    aside = layout.export(".ast.old")
    layout.export("ast").rename(aside)  # killed between the two renames
    assert listener_of(layout, "ast", None, 100).engine == "onnxruntime, float32"
    assert not aside.exists()


def test_a_file_of_another_corpus_is_not_heard_though_its_weights_are_the_same(layout):
    """It may wait for the commands of then."""
    about = layout.run("ast").model(0) / "run.json"
    before = read_json(about)
    write_json(about, {**before, "corpus": "another"})
    assert listener_of(layout, "ast", None, 100).engine == "torch"
    write_json(about, before)
    assert listener_of(layout, "ast", None, 100).engine == "onnxruntime, float32"


def test_words_in_noise_are_counted_at_given_numbers_of_false_alarms(layout, capsys):
    listen.measure(layout, "ast", None, Spotting(smoothing_ms=200), hop_ms=200, hours=0.01)
    told = read_json(layout.listening("ast") / "measure.json")
    assert [each["snr_db"] for each in told["measured"]] == [20, 10, 5]
    assert told["engine"] == "onnxruntime, float32"
    for each in told["measured"]:
        assert max(point["detection_rate"] for point in each["points"]) > 0
        assert each["figures"] == []  # 36 seconds of noise tell nothing of one alarm an hour
        assert each["words"] > 10
    assert (layout.listening("ast") / "curve.png").stat().st_size > 10_000
    said = capsys.readouterr().out
    assert "20 dB" in said
    assert "needs --hours 1" in said
    assert "needs --hours 0.2" in said


def test_what_one_file_hears_does_not_replace_what_another_does(layout, capsys):
    listen.measure(layout, "ast", None, Spotting(), hop_ms=500, hours=0.01)
    before = (layout.listening("ast") / "measure.json").read_bytes()
    small = layout.export("ast") / "ast.int8.onnx"
    listen.measure(layout, None, small, Spotting(), hop_ms=500, hours=0.01)
    assert (layout.listening("ast") / "measure.json").read_bytes() == before
    assert read_json(layout.listening("ast.int8") / "measure.json")["engine"] == "onnxruntime, int8"
    assert str(layout.listening("ast.int8")) in capsys.readouterr().out


def test_what_learnt_from_another_corpus_is_not_measured_on_this_one(layout):
    about = layout.run("ast").model(0) / "run.json"
    before = read_json(about)
    write_json(about, {**before, "corpus": "another"})
    with pytest.raises(PipelineError, match=r"(?s)'ast' was trained on another corpus.*dvc repro"):
        listen.measure(layout, "ast", None, Spotting(), hop_ms=200, hours=0.01)
    write_json(about, before)
