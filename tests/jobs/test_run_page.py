from pipeline.jobs.run_page import flat


def test_what_comes_twice_in_a_list_is_told_by_its_number():
    looks = [{"level_db": -30}, {"level_db": -30, "shift_ms": 100}]
    assert flat({"looks": looks}) == {"looks.1.level_db": "-30", "looks.2.level_db": "-30", "looks.2.shift_ms": "100"}
    named = [{"Gain": {"p": 0.5}}, {"AddNoise": {"p": 0.1}}]
    assert flat({"augmentation": named}) == {"augmentation.Gain.p": "0.5", "augmentation.AddNoise.p": "0.1"}
