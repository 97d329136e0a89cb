import pytest

from pipeline.errors import PipelineError
from pipeline.scoring import submission

SAMPLE = ["clip_2.wav", "clip_1.wav", "clip_ü.wav"]
LABELS = ["yes", "unknown", "silence"]
PREDICTED = {"clip_1.wav": "yes", "clip_ü.wav": "unknown", "clip_2.wav": "silence"}


def test_rows_are_in_the_samples_order(tmp_path):
    path = tmp_path / "ast" / "submission.csv"
    submission.write(path, PREDICTED, SAMPLE, LABELS)
    expected = "fname,label\nclip_2.wav,silence\nclip_1.wav,yes\nclip_ü.wav,unknown\n"
    assert path.read_bytes() == expected.encode("utf-8")
    assert submission.check(path, SAMPLE, LABELS) == PREDICTED


@pytest.mark.parametrize("text", ["fname\na.wav\nb.wav\n", "fname,label\r\na.wav,silence\r\nb.wav,silence\r\n"])
def test_the_sample_may_have_labels_or_none(tmp_path, text):
    (tmp_path / "sample.csv").write_bytes(text.encode())
    assert submission.read_sample(tmp_path / "sample.csv") == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip_1.wav": None}, r"lacks 1 clips of the sample submission: clip_1\.wav"),
        ({"clip_9.wav": "yes"}, r"1 clips that the sample submission has not: clip_9\.wav"),
        ({"clip_1.wav": "cat"}, "labels that the competition has not: cat"),
    ],
)
def test_what_kaggle_would_refuse_is_refused(tmp_path, change, message):
    predicted = {name: label for name, label in {**PREDICTED, **change}.items() if label}
    with pytest.raises(PipelineError, match=message):
        submission.write(tmp_path / "submission.csv", predicted, SAMPLE, LABELS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fname,label\nclip_2.wav,yes\nclip_1.wav,yes\nclip_ü.wav,yes\nclip_ü.wav,yes\n", "is in line 4 already"),
        ("fname,label\nclip_2.wav,yes\nclip_1.wav\n", "line 3: 1 fields, expected clip and label"),
        ("clip_2.wav,yes\n", "the first line must be 'fname,label'"),
        ("", "the file is empty"),
    ],
)
def test_check_finds_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "submission.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError, match=message):
        submission.check(path, SAMPLE, LABELS)


def test_the_order_of_the_rows_is_free(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("fname,label\nclip_1.wav,yes\nclip_2.wav,silence\nclip_ü.wav,unknown\n", encoding="utf-8")
    assert submission.check(path, SAMPLE, LABELS) == PREDICTED
