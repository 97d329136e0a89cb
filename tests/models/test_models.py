import pytest

from pipeline import models
from pipeline.errors import PipelineError


def test_a_model_is_found_by_its_file_s_name():
    assert {"ast", "wav2vec2"} <= set(models.names())
    assert models.find("ast").__name__ == "pipeline.models.ast"


@pytest.mark.parametrize("name", ["hubert", "__init__", "../errors", ""])
def test_an_unknown_model_is_refused_with_the_known_ones(name):
    with pytest.raises(PipelineError, match=r"(?s)no pipeline/models/.*Known models: ast, .*wav2vec2.*params\.yaml"):
        models.find(name)
