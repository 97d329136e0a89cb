import pytest

from pipeline.errors import PipelineError
from pipeline.sources._csv_rows import csv_rows


def test_quotes_blank_lines_and_byte_order_mark(tmp_path):
    (tmp_path / "a.csv").write_bytes('\ufefffname,labels\r\n64760,"Bell,Träne"\r\n\r\n1,\r\n'.encode())
    assert csv_rows(tmp_path / "a.csv") == [["fname", "labels"], ["64760", "Bell,Träne"], ["1", ""]]


def test_empty_file(tmp_path):
    (tmp_path / "a.csv").touch()
    assert csv_rows(tmp_path / "a.csv") == []


@pytest.mark.parametrize(
    ("data", "message"), [(b"a\xff\n", "is not UTF-8"), (b'"a"b\n', "is no valid CSV"), (b'"a\n', "is no valid CSV")]
)
def test_what_is_no_csv(tmp_path, data, message):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(PipelineError, match=rf"a\.csv {message}"):
        csv_rows(tmp_path / "a.csv")


def test_missing_file(tmp_path):
    with pytest.raises(PipelineError, match=r"a\.csv cannot be read: No such file"):
        csv_rows(tmp_path / "a.csv")
