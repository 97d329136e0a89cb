import pytest

from pipeline.errors import PipelineError
from pipeline.scoring import inspection
from pipeline.scoring.inspection import inspect

SAMPLE = ["a.wav", "b.wav", "c.wav", "d.wav"]
LABELS = ["yes", "no", "unknown", "silence"]
SOUND = "fname,label\na.wav,yes\nb.wav,no\nc.wav,unknown\nd.wav,silence\n"

# name: (bytes, line, reason); tests/stages/test_validate.py holds that none of them is uploaded.
INVALID = {
    "empty": (b"", None, "the file is empty"),
    "blank": (b"\n\n", None, "only blank lines"),
    "header alone": (b"fname,label\n", None, "clip 'a.wav' has no row (line 2 of the sample submission)"),
    "no header": (SOUND.split("\n", 1)[1].encode(), 1, "the header is missing"),
    "columns swapped": (SOUND.replace("fname,label", "label,fname").encode(), 1, "columns must be 'fname,label'"),
    "column in capitals": (SOUND.replace("fname", "Fname").encode(), 1, "found 'Fname,label'"),
    "a third column": (SOUND.replace("label", "label,p").encode(), 1, "found 'fname,label,p'"),
    "a third field": (SOUND.replace("no\n", "no,0.9\n").encode(), 3, "3 fields, expected clip and label"),
    "no label field": (SOUND.replace(",no\n", "\n").encode(), 3, "1 fields, expected clip and label: b.wav"),
    "blank label": (SOUND.replace(",no", ",").encode(), 3, "clip 'b.wav' has no label"),
    "blank name": (SOUND.replace("b.wav", "").encode(), 3, "the clip's name is blank"),
    "unknown label": (SOUND.replace("unknown", "cat").encode(), 4, "'cat' is no label"),
    "label in capitals": (
        SOUND.replace("yes", "Yes").encode(),
        2,
        "'Yes' is no label of the competition (did you mean",
    ),
    "missing clip": (SOUND.replace("b.wav,no\n", "").encode(), None, "clip 'b.wav' has no row (line 3 of the sample"),
    "extra clip": ((SOUND + "e.wav,yes\n").encode(), 6, "clip 'e.wav' is not in the sample submission"),
    "name without suffix": (
        SOUND.replace("b.wav", "b").encode(),
        3,
        "'b' is not in the sample submission (did you mean",
    ),
    "path for a name": (SOUND.replace("b.wav", "test/audio/b.wav").encode(), 3, "(did you mean 'b.wav'?)"),
    "duplicate": ((SOUND + "b.wav,no\n").encode(), 6, "clip 'b.wav' is in line 3 already"),
    "semicolons": (SOUND.replace(",", ";").encode(), 2, "separated by semicolons"),
    "tabs": (SOUND.replace(",", "\t").encode(), 2, "separated by tabs"),
    "needless quotes": (SOUND.replace("b.wav", '"b.wav"').encode(), 3, "quotes that they do not need"),
    "quoted after a space": (SOUND.replace(",no", ', "no"').encode(), 3, "a quote stands inside a field"),
    "open quote": (SOUND.replace("b.wav", '"b.wav').encode(), 3, "a quote is not closed"),
    "space after the label": (SOUND.replace("no\n", "no \n").encode(), 3, "space around a field: 'b.wav,no '"),
    "space after the comma": (SOUND.replace(",no", ", no").encode(), 3, "space around a field"),
    "blank line": (SOUND.replace("b.wav", "\nb.wav").encode(), 3, "is blank"),
    "blank line at the end": ((SOUND + "\n").encode(), 6, "is blank"),
    "CR LF": (SOUND.replace("\n", "\r\n").encode(), 1, "ends with CR LF"),
    "one CR LF": (SOUND.replace("no\n", "no\r\n").encode(), 3, "ends with CR LF"),
    "CR alone": (SOUND.replace("\n", "\r").encode(), 1, "lines end with CR"),
    "cut off": (SOUND[:-5].encode(), 5, "'sil' is no label of the competition (cut off?)"),
    "no newline at the end": (SOUND[:-1].encode(), 5, "has no newline at its end"),
    "byte order mark": (SOUND.encode("utf-8-sig"), 1, "byte order mark"),
    "UTF-16": (SOUND.encode("utf-16"), 1, "UTF-16, not UTF-8"),
    "UTF-16 without mark": (SOUND.encode("utf-16-le"), 1, "UTF-16, not UTF-8"),
    "Latin-1": (SOUND.replace("c.wav", "ü.wav").encode("latin-1"), 4, "byte 0xfc is not UTF-8, perhaps Latin-1"),
    "NUL": (SOUND.replace("c.wav", "c\0.wav").encode(), 4, "holds a NUL"),
    "an archive": (b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(range(32, 250)), 1, "holds a NUL"),
}


@pytest.mark.parametrize("name", INVALID)
def test_what_is_wrong_is_told_with_line_and_reason(name):
    data, line, reason = INVALID[name]
    findings = inspect(data, SAMPLE, LABELS)
    assert [problem for problem in findings.problems if problem.line == line and reason in problem.reason], (
        findings.report()
    )
    assert reason in findings.report()


def test_a_sound_file_has_no_problems_in_any_order():
    findings = inspect(SOUND.encode(), SAMPLE, LABELS)
    assert findings.problems == []
    assert findings.in_order
    assert findings.labels == {"a.wav": "yes", "b.wav": "no", "c.wav": "unknown", "d.wav": "silence"}
    header, *rows = SOUND.splitlines(keepends=True)
    shuffled = inspect((header + "".join(reversed(rows))).encode(), SAMPLE, LABELS)
    assert shuffled.problems == []
    assert not shuffled.in_order
    assert shuffled.labels == findings.labels


def test_names_that_need_quotes_may_have_them():
    assert inspect(b'fname,label\n"a, b.wav",yes\nc"d.wav,no\n', ["a, b.wav", 'c"d.wav'], LABELS).problems != []
    assert inspect(b'fname,label\n"a, b.wav",yes\n"c""d.wav",no\n', ["a, b.wav", 'c"d.wav'], LABELS).problems == []


def test_one_mistake_is_one_problem():
    for name, (data, _, _) in INVALID.items():
        alone = {
            "a third field",
            "blank label",
            "unknown label",
            "missing clip",
            "extra clip",
            "duplicate",
            "one CR LF",
        }
        if name in alone | {"needless quotes", "space after the label", "blank line", "byte order mark"}:
            problems = inspect(data, SAMPLE, LABELS).problems
            missing = [problem for problem in problems if problem.kind == "missing"]
            assert len(problems) - (len(missing) if name == "a third field" else 0) == 1, name


def test_several_kinds_are_listed_and_many_of_a_kind_are_counted():
    sample = [f"{number}.wav" for number in range(100)]
    rows = [f"{name},{'Yes' if place % 2 else 'dog'}\n" for place, name in enumerate(sample[:-3])]
    report = inspect(("fname,label\n" + "".join(rows)).encode(), sample, LABELS).report()
    assert report.splitlines() == [
        "  line 2: 'dog' is no label of the competition",
        "  line 3: 'Yes' is no label of the competition (did you mean 'yes'?)",
        "  line 4: 'dog' is no label of the competition",
        "  line 5: 'Yes' is no label of the competition (did you mean 'yes'?)",
        "  line 6: 'dog' is no label of the competition",
        "  ... and 92 more of this kind",
        "  clip '97.wav' has no row (line 99 of the sample submission)",
        "  clip '98.wav' has no row (line 100 of the sample submission)",
        "  clip '99.wav' has no row (line 101 of the sample submission)",
    ]


def test_shares():
    findings = inspect(SOUND.replace("no\n", "yes\n").encode(), SAMPLE, LABELS)
    assert findings.shares(LABELS) == {"yes": 0.5, "no": 0.0, "unknown": 0.25, "silence": 0.25}


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(PipelineError, match=r"There is no .*x\.csv"):
        inspection.read(tmp_path / "x.csv")
    with pytest.raises(PipelineError, match=r"is a folder. Name the file: .*submission\.csv"):
        inspection.read(tmp_path)
