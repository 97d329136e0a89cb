import time

from pipeline.files import read_json, write_json
from pipeline.learners import clock


def test_seconds_are_added_up_over_kills(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "TICK_S", 0.05)
    path = tmp_path / "seconds.json"
    write_json(path, {"seconds": 100})
    with clock.Clock(path) as running:
        time.sleep(0.3)
        assert read_json(path)["seconds"] >= 100  # what a kill would leave
    assert 100.3 <= running.seconds < 105


def test_without_a_kill_it_starts_at_nothing(tmp_path):
    with clock.Clock(tmp_path / "seconds.json") as running:
        pass
    assert running.seconds < 1
