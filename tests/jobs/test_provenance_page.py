import pytest
import yaml

from pipeline import params
from pipeline.files import write_json
from pipeline.jobs.provenance_page import graph
from pipeline.layout import Layout
from pipeline.reporting.page.story import cost_head

TREE = {
    "seed": 1,
    "folds": [0, 1],
    "download": {"source": "demo"},
    "runs": {"net": {"model": "gru"}, "other": {"model": "gru"}},
}
TIMED = [(run, stage) for run in ("net", "other") for stage in ("train-0", "train-1", "predict")]


@pytest.mark.parametrize(
    ("without", "train", "predict", "head"),
    [
        ([], 40, 20, "60 s of training and prediction"),
        ([("net", "train-1")], None, 20, "What it took"),  # from DVC's cache, which keeps no times
        ([("other", "predict")], 40, None, "What it took"),
    ],
)
def test_a_step_of_which_a_part_was_not_timed_tells_no_time(without, train, predict, head, tmp_path):
    layout = Layout(tmp_path)
    layout.params.write_text(yaml.safe_dump(TREE))
    for run, stage in set(TIMED) - set(without):
        write_json(layout.timing(run, stage), {"seconds": 10.0, "clips": 5})
    steps = graph(layout, params.read(layout.params))
    seconds = {step["name"]: step["seconds"] for step in steps}
    assert (seconds["train"], seconds["predict"], seconds["prepare"]) == (train, predict, None)
    assert cost_head(steps) == head
