"""What of the stored hidden states a run reads changes for probes only."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.errors import PipelineError
from pipeline.features.hidden_states import ABOUT, VALUES
from pipeline.files import read_json
from pipeline.layout import Layout
from pipeline.stages import encode, encoder_digest

RUNS = {"net": {"model": "linear"}, "probe": {"model": "probes"}}


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    layout.params.write_text(yaml.safe_dump({"seed": 1, "runs": RUNS}))
    return layout


def store(layout, values):
    layout.encode.mkdir(parents=True, exist_ok=True)
    (layout.encode / ABOUT).write_text("{}")
    (layout.encode / VALUES).write_bytes(values)


def written(layout):
    encoder_digest.main(layout)
    return {path.stem: path.read_bytes() for path in layout.encoder_digest.iterdir()}


def test_other_states_concern_the_runs_that_read_them(layout):
    store(layout, b"first")
    first = written(layout)
    assert written(layout) == first
    assert read_json(layout.encoder_digest / "net.json") == {"hidden_states": None}
    assert read_json(layout.encoder_digest / "probe.json")["hidden_states"].keys() == {ABOUT, VALUES}
    store(layout, b"second")
    second = written(layout)
    assert second["net"] == first["net"]
    assert second["probe"] != first["probe"]


def test_a_run_that_is_gone_leaves_nothing(layout):
    store(layout, b"first")
    written(layout)
    layout.params.write_text(yaml.safe_dump({"runs": {"net": RUNS["net"]}}))
    assert written(layout).keys() == {"net"}


def test_before_encode_it_says_what_to_run(layout):
    with pytest.raises(PipelineError, match=r"no hidden_states\.json and no hidden_states\.npy\. Run: dvc repro enc"):
        encoder_digest.main(layout)
    assert not layout.encoder_digest.exists()


def test_without_states_no_run_reads_any_and_nobody_waits_for_torch(layout):
    layout.params.write_text(yaml.safe_dump({"seed": 1, "encode": {}, "runs": RUNS}))
    encode.main(layout)
    code = "import sys; from pipeline.__main__ import app; app(['encoder_digest'], standalone_mode=False);"
    code += "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    ours = {"PYTHONPATH": str(Path(encoder_digest.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], cwd=layout.root, env=ours, capture_output=True, check=True)
    assert done.stdout == b"[]\n"
    assert {read_json(layout.encoder_digest / f"{run}.json")["hidden_states"] for run in RUNS} == {None}
