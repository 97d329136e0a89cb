import pytest

from pipeline import models
from pipeline.errors import PipelineError
from pipeline.models import ast


def test_a_model_is_found_by_its_file_s_name():
    assert {"ast", "wav2vec2"} <= set(models.names())
    assert models.find("ast").build is ast.build


def test_what_a_file_does_not_say_has_a_default(tmp_path):
    gru = models.find("gru")
    gru.check(gru.Params(), tmp_path)
    assert gru.INPUTS == models.inputs_of("gru") == ("samples",)
    assert models.inputs_of("probes") == ("hidden_states",)


def test_a_file_that_is_a_part_of_models_is_none():
    assert not [name for name in models.names() if name.startswith("_")]
    with pytest.raises(PipelineError, match=r"no pipeline/models/_recurrent\.py"):
        models.find("_recurrent")


@pytest.mark.parametrize("name", ["hubert", "__init__", "../errors", ""])
def test_an_unknown_model_is_refused_with_the_known_ones(name):
    with pytest.raises(PipelineError, match=r"(?s)no pipeline/models/.*Known models: ast, .*wav2vec2.*params\.yaml"):
        models.find(name)
