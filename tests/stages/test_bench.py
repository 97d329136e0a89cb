import onnx
import pytest

from pipeline.benchmarks import networks, preparing, table
from pipeline.clips.recording import Recording
from pipeline.errors import PipelineError
from pipeline.jobs import benching
from pipeline.layout import Layout
from pipeline.locks import held
from pipeline.stages import bench

ROWS = [
    "prepare, whole",
    "prepare, time a clip as the archive grows",
    "prepare, a folder, two processes",
    "prepare, peak memory as the archive grows",
    "decoding",
    "corpus, rows in random batches",
    "log-mel, batches of 64, ",
    "log-mel, its numbers",
    "training and predicting",
    "a step of 40 ms on one thread, streaming resnet",
    "dvc repro, nothing to do",
    "dvc repro, a changed threshold",
    "dvc repro, nothing to do",
]


def test_a_quick_bench_fills_the_table_and_leaves_only_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "STEPS", 4)
    monkeypatch.setattr(networks, "CALLS", 5)
    (tmp_path / "artifacts" / "bench-killed").mkdir(parents=True)
    bench.main(Layout(tmp_path), rounds=1, quick=True)
    page = (tmp_path / "artifacts" / "bench.md").read_text()
    assert "Made by `python -m pipeline bench --rounds 1 --quick`." in page
    cells = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    assert all(row[0].startswith(name) for row, name in zip(cells, ROWS, strict=True))
    # What the rows claim beside time: clips are counted, the front end has the published one's numbers.
    assert cells[1][1].startswith("592 clips: ")
    assert cells[1][2].startswith("148 clips: ")
    assert cells[3][1].endswith(" MB")
    assert cells[7][-1].startswith("yes")
    assert cells[10][1].startswith("not measured: run `dvc repro` first")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "artifacts",
        "artifacts/bench.md",
    ]


def test_what_was_measured_is_told_though_a_later_step_fails(tmp_path, monkeypatch, capsys):
    def failing(*_):
        raise PipelineError("no more")

    monkeypatch.setattr(benching, "of_prepare", lambda *_: ([table.Finding("prepare, whole", "9 clips/s")], None, []))
    monkeypatch.setattr(benching, "of_clips", failing)
    with pytest.raises(PipelineError, match="no more"):
        bench.main(Layout(tmp_path), tmp_path)
    assert "9 clips/s" in capsys.readouterr().out
    assert not (tmp_path / "docs").exists()
    with held(tmp_path / "artifacts" / "bench.lock", "It"):
        (tmp_path / "artifacts" / "bench-of-the-other").mkdir()
        with pytest.raises(PipelineError, match="Another bench of this project is going on"):
            bench.main(Layout(tmp_path), tmp_path)
        assert (tmp_path / "artifacts" / "bench-of-the-other").exists()


def test_a_folder_without_7z_archives_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="Not all files of the competition"):
        bench.main(Layout(tmp_path), tmp_path)
    folder = tmp_path / "unpacked"
    preparing.pack(folder, [Recording("test", "a.wav", b"")])
    (folder / "train.7z").rename(folder / "train.zip")
    with pytest.raises(PipelineError, match=r"train\.zip is no \.7z archive"):
        bench.main(Layout(tmp_path), folder)


def test_a_spotter_that_cannot_be_timed_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(benching, "of_prepare", lambda *_: pytest.fail("it measured before"))
    with pytest.raises(PipelineError, match=r"There is no file .*none\.onnx \(--spotter\)"):
        bench.main(Layout(tmp_path), quick=True, spotter=tmp_path / "none.onnx")
    two = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "ab"]
    added = onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [1, 2])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["a", "b"], ["c"])], "sum", two, [added])
    opset = onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "two.onnx")
    with pytest.raises(PipelineError, match=r"takes a tensor\(float\), b tensor\(float\), not one"):
        bench.main(Layout(tmp_path), quick=True, spotter=tmp_path / "two.onnx")
