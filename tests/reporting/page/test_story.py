import pytest

from pipeline.reporting.page.story import brief, headline


@pytest.mark.parametrize(
    ("suspects", "says"),
    [([], []), (["one"], ["1 label looks wrong."]), (["one", "two"], ["2 labels look wrong."])],
)
def test_labels_that_look_wrong_are_counted_in_words_that_agree(suspects: list[str], says: list[str]) -> None:
    told = {"runs": {"net": {}}, "errors": {"suspects": suspects}, "data": None, "media": None}
    assert [item["text"] for item in brief(told, "net")] == says


def test_a_label_that_is_always_recognised_is_no_weak_one() -> None:
    told = {"runs": {"net": {"recalls": [{"label": "yes", "value": 1.0}]}}, "errors": None, "data": None}
    assert brief(told, "net") == []


@pytest.mark.parametrize(
    ("value", "says"),
    [
        *((0.0, "0"), (0.0042, "0.4"), (0.0066, "1"), (0.959, "96"), (0.9949, "99")),
        *((0.9967, "99.7"), (0.9997, "99.97"), (0.99999, "99.999"), (1.0, "100")),
    ],
)
def test_the_headline_says_none_or_all_where_it_is_none_or_all(value: float, says: str) -> None:
    row = {"estimate": {"value": value}, "judge": "prior_accuracy", "question": "word"}
    assert (
        headline(row, new_voices=True, heard=False) == f"It understands {says} of 100 words from voices it never heard"
    )
    known = headline(row, new_voices=False, heard=False)
    assert known == f"It understands {says} of 100 words in clips it never heard"
    heard = headline(row, new_voices=True, heard=True)
    assert heard == f"Right {says} times of 100, on clips that its checkpoint has heard"
    tags = {**row, "judge": "map"}
    assert headline(tags, new_voices=True, heard=True).endswith("on clips that its checkpoint has heard")
    assert headline(tags, new_voices=True, heard=True).startswith("Mean average precision")
    speaker = headline({**row, "question": "speaker"}, new_voices=False, heard=False)
    assert speaker == f"Right {says} times of 100, on clips it never heard"
