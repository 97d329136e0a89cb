"""The section `fleet` of params.yaml."""

import pytest

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.fleet.settings import Fleet


def test_a_training_may_have_a_part_of_a_gpu_or_several():
    tree = {"fleet": {"train": {"cpus": 4, "gpus": 0.5}, "encode": {"gpus": 2}}}
    section = params.section(tree, "fleet", Fleet)
    assert (section.train.cpus, section.train.gpus, section.encode.gpus, section.predict.gpus) == (4, 0.5, 2, 0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"train": {"gpus": 1.5}}, r"train\.gpus: should be a part of one GPU, or a whole number; found 1\.5"),
        ({"train": {"cpus": 0}}, r"train\.cpus: .*greater than or equal to 1; found 0"),
        ({"adress": "auto"}, r"adress: unknown key\. Do you mean address\?"),
        ({"address": ""}, r"address: .*at least 1 character"),
    ],
)
def test_bad_values_are_refused_by_name(values, told):
    with pytest.raises(PipelineError, match=told):
        params.section({"fleet": values}, "fleet", Fleet)


def test_a_project_has_a_folder_of_its_own_which_its_remote_names():
    section = Fleet(folder="/mnt/fleet")
    assert section.folder_of("s3://one/a") != section.folder_of("s3://one/b")
    assert section.folder_of("s3://one/a").startswith("/mnt/fleet/")
