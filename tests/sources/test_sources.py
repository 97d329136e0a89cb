import pytest

from pipeline import sources
from pipeline.errors import PipelineError
from pipeline.sources import archives


def test_a_source_is_found_by_its_file_s_name():
    assert {"archives", "demo", "kaggle"} <= set(sources.names())
    assert sources.find("archives").sample is archives.sample


def test_what_a_file_does_not_say_has_a_default():
    source = sources.find("fsd50k")
    assert source.sample([]) is None
    assert source.answers([]) is None


@pytest.mark.parametrize("name", ["nowhere", "_archive", "__init__", "../errors", ""])
def test_an_unknown_source_is_refused_with_the_known_ones(name):
    assert name not in sources.names()
    with pytest.raises(PipelineError, match=r"(?s)no pipeline/sources/.*Known sources: archives, .*params\.yaml"):
        sources.find(name)


@pytest.mark.parametrize("name", [*sources.names(), "one that is not there"])
def test_only_sources_that_say_so_are_kaggles(name):
    assert sources.is_kaggle(name) is (name in ("archives", "kaggle"))
