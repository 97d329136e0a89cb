import pytest

from pipeline.reporting.page.story import brief


@pytest.mark.parametrize(
    ("suspects", "says"),
    [([], []), (["one"], ["1 training label looks wrong."]), (["one", "two"], ["2 training labels look wrong."])],
)
def test_labels_that_look_wrong_are_counted_in_words_that_agree(suspects: list[str], says: list[str]) -> None:
    told = {"runs": {"net": {}}, "errors": {"suspects": suspects}, "data": None, "media": None}
    assert [item["text"] for item in brief(told, "net")] == says
