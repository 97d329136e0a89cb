import pytest

from pipeline.files import sha256_of
from pipeline.scoring import scored_files


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "submissions"
    made.mkdir()
    return made


def written(folder, text, picture=""):
    path = folder.parent / "submission.csv"
    path.write_text(text)
    path.with_suffix(".png").write_text(picture)
    return path, sha256_of(path)


def content(folder):
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_keep_moves_the_same_file_and_spares_all_others(folder):
    spared = {
        "0.80000_ast.csv": "another submission",
        "0.80000_big_ast.csv": "now",  # of the run big_ast
        "best_ast.csv": "now",  # somebody's own
        "0.80000_ast.png": "picture",
        "ledger.csv": "rows",
    }
    for name, text in {**spared, "0.70000_ast.csv": "now", "0.70000_ast.png": "its picture"}.items():
        (folder / name).write_text(text)
    path, sha256 = written(folder, "now")
    kept = folder / "0.85727_ast.csv"
    for _ in range(2):
        assert scored_files.keep(folder, "ast", "0.85727", sha256, path) == kept
        assert content(folder) == {**spared, "0.85727_ast.csv": "now", "0.85727_ast.png": "its picture"}
    assert scored_files.find(folder, "ast", sha256) == kept


def test_files_with_one_score_are_all_kept_and_found_by_their_checksum(folder):
    found = {}
    for text in ("one", "two", "three"):
        path, sha256 = written(folder, text, f"picture of {text}")
        for _ in range(2):
            kept = scored_files.keep(folder, "ast", "0.82678", sha256, path, path.with_suffix(".png"))
        found[sha256] = text
        assert kept.name == ("0.82678_ast.csv" if text == "one" else f"0.82678_ast-{sha256[:8]}.csv")
    assert len(content(folder)) == 6
    for sha256, text in found.items():
        kept = scored_files.find(folder, "ast", sha256)
        assert kept.read_text() == text
        assert kept.with_suffix(".png").read_text() == f"picture of {text}"


def test_what_is_nowhere_is_not_kept(folder):
    assert scored_files.keep(folder, "ast", "0.85727", "ab" * 32) is None
    assert scored_files.find(folder, "ast", "") is None
    assert content(folder) == {}
