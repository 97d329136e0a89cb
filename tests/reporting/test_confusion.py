import numpy as np
import pandas

from pipeline.reporting import confusion

LABELS = ["yes", "unknown", "silence"]
COUNTS = np.array([[1200, 1, 0], [8, 8, 0], [0, 0, 0]])


def test_the_table_is_labelled(tmp_path):
    confusion.write_table(tmp_path / "confusion.csv", COUNTS, LABELS)
    assert (tmp_path / "confusion.csv").read_text() == (
        "truth \\ predicted,yes,unknown,silence\nyes,1200,1,0\nunknown,8,8,0\nsilence,0,0,0\n"
    )
    again = pandas.read_csv(tmp_path / "confusion.csv", index_col=0)
    assert again.loc["yes", "unknown"] == 1


def test_the_picture_shows_right_in_blue_and_wrong_in_orange(tmp_path):
    from matplotlib.image import imread

    counts = np.array([[10, 0], [10, 0]])
    confusion.draw(tmp_path / "confusion.png", counts, ["yes", "no"], "ast", "synthetic speech")
    pixels = imread(tmp_path / "confusion.png")[..., :3]
    assert min(pixels.shape[:2]) > 600
    assert np.isclose(pixels, np.array([0x0F, 0x3D, 0x66]) / 255, atol=0.01).all(axis=-1).sum() > 10_000
    assert np.isclose(pixels, np.array([0xA8, 0x3E, 0x0C]) / 255, atol=0.01).all(axis=-1).sum() > 10_000


def test_equal_matrices_give_equal_bytes_and_labels_without_clips_do_not_matter(tmp_path):
    for name in ("a.png", "b.png"):
        confusion.draw(tmp_path / name, COUNTS, LABELS, "ast")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]
