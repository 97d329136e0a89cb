import numpy as np
import pytest

from pipeline.clips.labels import COMMANDS
from pipeline.jobs import paging
from pipeline.reporting.settings import LEADERBOARD, Report
from tests.judged_clips import corpus_of


@pytest.mark.parametrize(
    ("folds", "trained", "judge_all"), [(1, [0], False), (2, [0], False), (2, [1], False), (2, [0, 1], True)]
)
def test_labelled_clips_are_those_that_could_judge(folds, trained, judge_all, tmp_path):
    """Made silence is judged as recordings are; synthetic speech, held-out clips and the test's are not."""
    of_folds = [{"clip": f"a{fold}", "word": "yes", "speaker": f"a{fold}", "fold": fold} for fold in range(folds)]
    silence = {"clip": "s", "word": "_silence_", "noise_source": "rain", "fold": 0}
    segments = [{"clip": f"b{part}", "recording": "b", "word": "no", "speaker": "b", "fold": 0} for part in range(3)]
    others = [
        {"clip": "made", "word": "yes", "split": "synthetic"},
        {"clip": "held out", "word": "yes", "speaker": "c", "split": "holdout"},
        {"clip": "test", "part": "test", "split": "test"},
    ]
    corpus = corpus_of(tmp_path, [*of_folds, silence, *segments, *others], commands=("yes",))
    judged = np.flatnonzero(corpus.rows["fold"].isin(trained))
    assert paging.judging(corpus, judged) == (folds + 2, judge_all)


@pytest.mark.parametrize(
    ("speaker", "splits", "new"), [("ann", "auto", True), (None, "auto", False), ("ann", "random", False)]
)
def test_voices_are_called_new_where_that_is_known(speaker, splits, new, tmp_path):
    clips = [{"clip": "a", "word": "yes", "speaker": speaker, "fold": 0}]
    clips.append({"clip": "s", "word": "_silence_", "noise_source": "rain", "fold": 0})
    corpus = corpus_of(tmp_path, clips, commands=("yes",))
    assert paging.are_new_voices({"prepare": {"splits": splits}}, corpus) is new


def test_the_challenge_s_lines_are_for_its_ten_commands():
    assert Report().lines(COMMANDS) == LEADERBOARD
    assert Report().lines(("да", "нет")) == {}
    assert Report(leaderboard={"ours": 0.5}).lines(("да",)) == {"ours": 0.5}
