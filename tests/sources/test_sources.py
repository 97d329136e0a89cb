import pytest

from pipeline import sources


@pytest.mark.parametrize("name", [*sources.names(), "one that is not there"])
def test_only_sources_that_say_so_are_kaggles(name):
    assert sources.is_kaggle(name) is (name in ("archives", "kaggle"))
