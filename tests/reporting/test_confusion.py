import numpy as np
import pandas
from PIL import Image

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
    counts = np.array([[10, 0], [10, 0]])
    confusion.draw(tmp_path / "confusion.png", counts, ["yes", "no"], "ast", "synthetic speech")
    pixels = np.asarray(Image.open(tmp_path / "confusion.png"))
    assert min(pixels.shape[:2]) > 600
    assert (pixels == (0x0F, 0x3D, 0x66)).all(axis=-1).sum() > 10_000
    assert (pixels == (0xA8, 0x3E, 0x0C)).all(axis=-1).sum() > 10_000


def test_figures_can_be_read_on_every_colour():
    for stops in (confusion.RIGHT, confusion.WRONG):
        for depth in np.linspace(0, 1, 101):
            fill = confusion._colour(stops, depth)
            ink = (255, 255, 255) if confusion._ink(fill) == "white" else confusion._colour([confusion.INK], 0)
            darker, brighter = sorted(confusion._luminance(each) for each in (fill, ink))
            assert (brighter + 0.05) / (darker + 0.05) > 3.8


def test_nothing_is_cut_off_however_long_the_words_are(tmp_path):
    counts = np.array([[10, 0], [10, 0]])
    title = f"{'a-run-with-a-long-name' * 3} and what its accuracy is under which prior"
    confusion.draw(tmp_path / "long.png", counts, ["a" * 60, "no"], title, "as many words as this takes " * 12)
    narrow = tmp_path / "narrow.png"
    confusion.draw(narrow, counts, ["a", "no"], title)
    assert not (np.asarray(Image.open(narrow))[:, -8:] != 255).any()
    is_inked = (np.asarray(Image.open(tmp_path / "long.png")) != 255).any(axis=-1)
    assert not np.concatenate([is_inked[:8].ravel(), is_inked[-8:].ravel()]).any()
    assert not np.concatenate([is_inked[:, :8].ravel(), is_inked[:, -8:].ravel()]).any()


def test_a_picture_of_many_labels_stays_small(tmp_path):
    labels = [f"label-{number}" for number in range(200)]
    confusion.draw(tmp_path / "many.png", np.eye(200, dtype=int), labels, "net")
    width, height = Image.open(tmp_path / "many.png").size
    assert 4_800 < width < 6_000 > height


def test_equal_matrices_give_equal_bytes_and_labels_without_clips_do_not_matter(tmp_path):
    for name in ("a.png", "b.png"):
        confusion.draw(tmp_path / name, COUNTS, LABELS, "ast")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]
