"""How fast `prepare` is, whether its time grows with the archive, and whether its memory does not."""

import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import py7zr

import pipeline
from pipeline.benchmarks.rounds import Spread, alternate
from pipeline.benchmarks.table import Finding, rates
from pipeline.clips.recording import Recording, bytes_of
from pipeline.errors import PipelineError

COMPETITION_CLIPS = 223_000
MOST_MEMORY_MB = 1_500
_FEWEST_CLIPS = 1_000  # below, what grows does not show
# The fastest setting: its dictionary of 256 KiB lets no clip shrink because an earlier copy of it lies in the archive.
_FASTEST = {"id": py7zr.FILTER_LZMA2, "preset": 0}

# A child reports the memory of the process that it was forked from as its own peak, so a small one stands between.
_SMALL_PARENT = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def pack(folder: Path, recordings: list[Recording], times: int = 1) -> int:
    """Write the competition's three files, every clip `times` times over, the noises once; return how many clips."""
    folder.mkdir(parents=True)
    clips = [item for item in recordings if not item.is_noise]
    fnames: list[str] = []
    with (
        py7zr.SevenZipFile(folder / "train.7z", "w", filters=[_FASTEST]) as train,
        py7zr.SevenZipFile(folder / "test.7z", "w", filters=[_FASTEST]) as test,
    ):
        for copy in range(times):
            for item in recordings if copy == 0 else clips:
                path = Path(item.name)
                name = path.with_name(f"{path.stem}c{copy}{path.suffix}").as_posix()
                with io.BytesIO(bytes_of(item.data)) as member:
                    (train if item.part == "train" else test).writef(member, f"{item.part}/audio/{name}")
                if item.part == "test":
                    fnames.append(name)
    _write_sample(folder, fnames)
    return times * len(clips)


def unpack(folder: Path, recordings: list[Recording], times: int = 1) -> int:
    """Write the same as folders; a clip's copies are links to one file. Return how many clips that is."""
    fnames: list[str] = []
    for item in recordings:
        first = folder / item.part / "audio" / item.name
        first.parent.mkdir(parents=True, exist_ok=True)
        first.write_bytes(bytes_of(item.data))
        copies = [
            first.with_name(f"{first.stem}c{copy}{first.suffix}") for copy in range(1 if item.is_noise else times)
        ]
        for path in copies:
            path.hardlink_to(first)
        first.unlink()
        fnames += [path.name for path in copies if item.part == "test"]
    _write_sample(folder, fnames)
    return times * sum(not item.is_noise for item in recordings)


def _write_sample(folder: Path, fnames: list[str]) -> None:
    with (folder / "sample_submission.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("fname", "label"), *((name, "silence") for name in fnames)])


def against_decompressing(paths: list[Path], clips: int, prepare: Callable[[], object], rounds: int) -> Finding:
    """Compare `prepare` with a bare decompression of the same archives: no reader can be faster."""
    program = next(filter(None, map(shutil.which, ("7z", "7zz", "7za"))), None)

    def decompress() -> None:
        for path in paths:
            if program is None:
                with py7zr.SevenZipFile(path) as archive:
                    sound = archive.testzip() is None
            else:
                sound = subprocess.run([program, "t", str(path)], capture_output=True, check=False).returncode == 0
            if not sound:
                raise PipelineError(f"{path} is damaged: {program or 'py7zr'} cannot test it. Get it anew.")

    limit = f"{Path(program).stem} t" if program else "py7zr's test, as there is no 7z here"
    times = alternate(prepare, decompress, rounds, warm_up=False)
    return rates("prepare, whole", clips, "clips", times, limit, at_least=0.7)


def linear(small: Callable[[], object], large: Callable[[], object], clips: tuple[int, int], rounds: int) -> Finding:
    """Compare the time for each clip in a large archive with that in a small one; `clips` counts both, small first."""
    times = alternate(large, small, rounds, warm_up=False)
    large_ms, small_ms = (
        1000 * median(seconds) / count for seconds, count in ((times.ours_s, clips[1]), (times.other_s, clips[0]))
    )
    growth = Spread([clips[0] / clips[1] / speed for speed in times.speed.values])
    return Finding(
        "prepare, time a clip as the archive grows",
        f"{clips[1]:,} clips: {large_ms:.2f} ms each",
        f"{clips[0]:,} clips: {small_ms:.2f} ms each",
        f"{growth} times as long",
        "at most 1.2",
        growth.middle <= 1.2,
    )


def shared(one: Callable[[], object], two: Callable[[], object], clips: int, rounds: int) -> Finding:
    """Compare `prepare` of a folder by two processes that decode with the same by one."""
    times = alternate(two, one, rounds, warm_up=False)
    return rates("prepare, a folder, two processes", clips, "clips", times, "one process", at_least=1.67)


def memory(small: Path, large: Path, clips: tuple[int, int]) -> Finding:
    """Compare the peak memory of `python -m pipeline prepare` in two projects that differ in the archive's length."""
    what = "prepare, peak memory as the archive grows"
    if not hasattr(os, "wait4"):
        return Finding(what, "not measured: this system does not tell the memory of a process")
    small_mb, large_mb = (_peak_memory_mb(project) for project in (small, large))
    measured, against = (f"{count:,} clips: {mb:.0f} MB" for count, mb in ((clips[1], large_mb), (clips[0], small_mb)))
    if clips[0] < _FEWEST_CLIPS:
        return Finding(what, measured, against, "too few clips to tell")
    growth_mb = max(0.0, large_mb - small_mb) / (clips[1] - clips[0])
    whole_mb = large_mb + growth_mb * max(0, COMPETITION_CLIPS - clips[1])
    return Finding(
        what,
        measured,
        against,
        f"{1000 * growth_mb:+.2f} MB for 1,000 clips more; {whole_mb:,.0f} MB for {COMPETITION_CLIPS:,}",
        f"at most {MOST_MEMORY_MB:,} MB for {COMPETITION_CLIPS:,}",
        whole_mb <= MOST_MEMORY_MB,
    )


def _peak_memory_mb(project: Path) -> float:
    command = [sys.executable, "-c", _SMALL_PARENT, sys.executable, "-m", "pipeline", "prepare"]
    environment = {**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parents[1])}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    *_, report = done.stdout.splitlines() or [""]
    status, _, peak = report.partition(" ")
    if status != "0":
        raise PipelineError(f"prepare failed while its memory was measured:\n{done.stderr[-2000:]}")
    return int(peak) * (1 if sys.platform == "darwin" else 1024) / 1e6
