import pytest

from pipeline.benchmarks import preparing
from pipeline.clips.recording import Recording, bytes_of
from pipeline.errors import PipelineError
from pipeline.sources import archives

RECORDINGS = [
    Recording("train", "yes/0a_nohash_0.wav", b"1", "yes", "0a"),
    Recording("train", "_background_noise_/hum.wav", b"2", is_noise=True),
    Recording("test", "clip_1.wav", b"3"),
]


def test_unpacked_folders_hold_the_same_as_packed_archives(tmp_path):
    found = []
    for write in (preparing.pack, preparing.unpack):
        folder = tmp_path / write.__name__
        assert write(folder, RECORDINGS, times=2) == 4
        files = archives.fetch(archives.Params(folder=folder), seed=0)
        found.append({(item.part, item.name, bytes_of(item.data)) for item in archives.read(files)})
        assert archives.sample(files) == ["clip_1c0.wav", "clip_1c1.wav"]
    assert found[0] == found[1]


def test_packed_archives_are_a_competition_with_every_clip_so_many_times(tmp_path):
    assert preparing.pack(tmp_path / "packed", RECORDINGS, times=2) == 4
    files = archives.fetch(archives.Params(folder=tmp_path / "packed"), seed=0)
    assert list(archives.read(files)) == [
        Recording("train", "yes/0a_nohash_0c0.wav", b"1", "yes", "0a"),
        Recording("train", "_background_noise_/humc0.wav", b"2", is_noise=True),
        Recording("train", "yes/0a_nohash_0c1.wav", b"1", "yes", "0a"),
        Recording("test", "clip_1c0.wav", b"3"),
        Recording("test", "clip_1c1.wav", b"3"),
    ]
    assert archives.sample(files) == ["clip_1c0.wav", "clip_1c1.wav"]


@pytest.mark.parametrize("programs", [True, False])
def test_decompressing_by_7z_or_without_one(tmp_path, monkeypatch, programs):
    preparing.pack(tmp_path / "packed", RECORDINGS)
    if not programs:
        monkeypatch.setattr(preparing.shutil, "which", lambda name: None)
    elif preparing.shutil.which("7z") is None:
        pytest.skip("there is no 7z here")
    paths = [tmp_path / "packed" / "train.7z", tmp_path / "packed" / "test.7z"]
    finding = preparing.against_decompressing(paths, 2, lambda: None, rounds=1)
    assert finding.against.startswith("7z t: " if programs else "py7zr's test, as there is no 7z here: ")


@pytest.mark.parametrize(("large_s", "met"), [(4.0, True), (4.7, True), (5.0, False)])
def test_time_is_compared_clip_by_clip(monkeypatch, large_s, met):
    # A clock that only the work moves.
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def work(seconds):
        return lambda: clock.__setitem__(0, clock[0] + seconds)

    finding = preparing.linear(work(1.0), work(large_s), (1_000, 4_000), rounds=2)
    assert finding.against == "1,000 clips: 1.00 ms each"
    assert finding.measured == f"4,000 clips: {large_s / 4:.2f} ms each"
    assert finding.met is met


@pytest.mark.parametrize(
    ("peaks", "clips", "met", "result"),
    [
        ([300, 303], (1_500, 6_000), True, "+0.67 MB for 1,000 clips more; 448 MB for 223,000"),
        ([300, 400], (1_500, 6_000), False, "+22.22 MB for 1,000 clips more; 5,222 MB for 223,000"),
        ([300, 290], (1_500, 6_000), True, "+0.00 MB for 1,000 clips more; 290 MB for 223,000"),
        ([300, 400], (100, 400), None, "too few clips to tell"),
    ],
)
def test_memory_is_extrapolated_to_the_competition(tmp_path, monkeypatch, peaks, clips, met, result):
    measured = dict(zip("ab", peaks, strict=True))
    monkeypatch.setattr(preparing, "_peak_memory_mb", lambda project: measured[project.name])
    finding = preparing.memory(tmp_path / "a", tmp_path / "b", clips)
    assert finding.result == result
    assert finding.met is met


def test_a_prepare_that_fails_has_no_memory(tmp_path):
    with pytest.raises(PipelineError, match=r"(?s)while its memory was measured.*There is no params\.yaml"):
        preparing.memory(tmp_path, tmp_path, (1, 2))
