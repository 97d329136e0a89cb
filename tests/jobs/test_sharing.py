"""Work by numbered pieces: each process does its own, and who started them gets all, in order."""

import os

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.jobs import launching, sharing


@pytest.fixture
def launched(monkeypatch):
    """`launched(work)`: run `work` in this process in place of each that would be launched."""

    def replace(work):
        def launch(processes, *verb):
            with pytest.MonkeyPatch.context() as patch:
                for rank in range(processes):
                    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", processes)):
                        patch.setenv(name, str(value))
                    work(sharing.part_of_this_process())

        monkeypatch.setattr(launching, "launch", launch)

    return replace


@pytest.mark.parametrize("processes", [2, 3])
def test_each_piece_is_done_once_and_comes_back_in_order(processes, launched, tmp_path):
    done = []

    def work(part):
        for number in range(5):
            assert part.of(number, lambda number=number: done.append((part.rank, number)) or np.full(2, number)) is None

    launched(work)
    with sharing.together(tmp_path / "share", processes, "verb") as share:
        assert [share.of(number, None).tolist() for number in range(5)] == [[n, n] for n in range(5)]
        assert not share.is_part
    assert sorted(number for _, number in done) == [0, 1, 2, 3, 4]
    assert all(number % processes == rank for rank, number in done)
    assert not (tmp_path / "share").exists()
    assert "PIPELINE_SHARE" not in os.environ


def test_one_process_works_alone(tmp_path):
    assert sharing.part_of_this_process() is None
    with sharing.together(tmp_path / "share", 1, "verb") as share:
        assert share is None
    assert not (tmp_path / "share").exists()


def test_what_fails_leaves_nothing(launched, tmp_path):
    def work(part):
        part.of(part.rank, lambda: np.zeros(1))
        raise PipelineError("no")

    launched(work)
    with pytest.raises(PipelineError, match="no"), sharing.together(tmp_path / "share", 2, "verb"):
        pass
    assert list(tmp_path.iterdir()) == []
    assert "PIPELINE_SHARE" not in os.environ
