import pytest
import yaml

from pipeline import params
from pipeline.files import write_json
from pipeline.jobs.provenance_page import graph
from pipeline.jobs.timing import of_training
from pipeline.layout import Layout
from pipeline.reporting.page.story import cost_head

TREE = {
    "seed": 1,
    "folds": [0, 1],
    "download": {"source": "demo"},
    "runs": {"net": {"model": "gru"}, "other": {"model": "gru"}},
}
TIMED = [(run, stage) for run in ("net", "other") for stage in ("train-0", "train-1", "predict")]


def test_the_time_of_another_training_is_not_that_of_the_model_that_is_there(tmp_path):
    """Parameters were changed back, and DVC took the model from its cache."""
    layout = Layout(tmp_path)
    layout.params.write_text(yaml.safe_dump(TREE))
    tree, about = params.read(layout.params), {"run": "net", "epochs": 1}
    write_json(layout.run("net").model(0) / "run.json", about)
    write_json(layout.timing("net", "train-0"), {"seconds": 10.0, "clips": 5, "run": params.digest(about)})
    assert of_training(layout, tree, "net", 0)["seconds"] == 10.0
    write_json(
        layout.timing("net", "train-0"), {"seconds": 90.0, "clips": 5, "run": params.digest({**about, "epochs": 9})}
    )
    assert of_training(layout, tree, "net", 0) is None


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
