"""Several processes that decode: the same bytes as by one, and none of them is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.clips import audio_shards, decoders
from pipeline.clips.corpus import Corpus
from pipeline.clips.decoders import Decoders
from pipeline.clips.decoding import Encoded
from pipeline.clips.extra import Extra
from pipeline.clips.preparation import Prepare, build
from pipeline.clips.recording import Recording, Rejected, Span
from pipeline.errors import PipelineError
from tests.conftest import heed_ctrl_c
from tests.wavs import coded

CLIPS = 30


def noisy(number, samples=16_000, rate_hz=16_000, **how):
    values = np.random.default_rng(number).integers(-9_000, 9_000, samples).astype(np.int16)
    return coded(values, rate_hz, **how)


@pytest.fixture
def items(tmp_path):
    """Clips of all kinds, in an order in which those that come to nothing, or to several, stand between the others."""
    stored = tmp_path / "stored.bin"
    stored.write_bytes(b"before" + noisy(99) + b"after")
    odd = [
        b"",
        b"RIFF" + bytes(90),
        noisy(100, 48_000),
        noisy(101, 5_000),
        noisy(102, 44_100, rate_hz=44_100),
        noisy(103, 48_000, rate_hz=48_000, container="OGG", subtype="OPUS"),
        Span(str(stored), 6, len(noisy(99))),
        noisy(0),  # the very samples of another
    ]
    clips = [(noisy(number), f"{number}.wav") for number in range(CLIPS)]
    clips[3:3] = [(data, f"odd_{number}.wav") for number, data in enumerate(odd)]
    of_words = [
        Recording("train", f"{('yes', 'no', 'cat')[index % 3]}/s{index % 7}_nohash_{name}", data)
        for index, (data, name) in enumerate(clips)
    ]
    named = [
        Recording(
            "train", item.name, item.data, item.name.split("/")[0], item.name[4:].split("_")[0], metadata={"age": "9"}
        )
        for item in of_words
    ]
    named[5:5] = [Rejected("train", "no clip", "for a reason"), named[0]]
    noise = Recording("train", "hum.wav", noisy(7, 160_000), is_noise=True)
    test = [Recording("test", f"t{number}.wav", data) for number, data in enumerate([*odd, noisy(1)])]
    return [*named[:9], noise, *named[9:], *test]


@pytest.fixture
def at_once(monkeypatch):
    """Other processes are started for the first clip, a few are handed over at a time, and a shard holds 16 clips."""
    monkeypatch.setattr(decoders, "_ALONE_S", 0.0)
    monkeypatch.setattr(decoders, "_UNIT_RECORDINGS", 4)
    monkeypatch.setattr(audio_shards, "SHARD_CLIPS", 16)


@pytest.mark.parametrize("segments", [False, True])
def test_the_bytes_are_the_same_however_many_processes_decode(items, tmp_path, at_once, segments):
    # Of the other source's clips, some are the first one's, and two are alike.
    brought = [
        Recording("train", f"no/x{number}.wav", noisy(number % 34), "no", f"x{number}") for number in range(20, 55)
    ]
    written = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        settings = Prepare(
            commands=("yes", "no"), splits="grouped", max_lost_share=1, segments=segments, processes=processes
        )
        _, quarantine = build(folder, items, None, None, settings, "own", 1, None, [Extra("more", brought)])
        written[processes] = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    assert written[1] == written[2]
    assert len([name for name in written[2] if name.startswith("audio-")]) >= 4
    reasons = "\n".join(quarantine["reason"])
    for reason in ("empty file", "for a reason", "a second file", "44100 Hz", "the same samples as another clip"):
        assert reason in reasons
    corpus = Corpus.open(tmp_path / "2")
    for clip in ("yes/s0_nohash_0.wav", "yes/s0_nohash_13.wav"):
        row = int(np.flatnonzero(corpus.rows["clip"] == (f"{clip}#000" if segments else clip))[0])
        number = int(clip.split("_")[-1].removesuffix(".wav"))
        np.testing.assert_array_equal(corpus.samples(np.array([row]))[0], np.frombuffer(noisy(number)[44:], np.int16))


def test_little_work_is_done_by_one_process_alone(tmp_path):
    with Decoders(lambda entry, clips: [0], lambda row, samples: None, tmp_path, processes=8) as pool:
        for number in range(5):
            pool.put(number, Encoded(noisy(number)))
        pool.drain()
        assert pool._decoders == []


@pytest.fixture
def pool(tmp_path, at_once):
    rows = iter(range(1_000))
    with Decoders(lambda entry, clips: [next(rows)], lambda row, samples: None, tmp_path, processes=2) as pool:
        pool.put(0, Encoded(noisy(0)))  # by this process, which took more than no time
        for number in range(4):
            pool.put(number, Encoded(noisy(number)))
        assert [decoder._process.is_alive() for decoder in pool._decoders] == [True]
        yield pool
    assert not any(decoder._process.is_alive() for decoder in pool._decoders)


def put_all(pool, clips=40):
    for number in range(clips):
        pool.put(number, Encoded(noisy(number)))
    pool.drain()


def test_a_process_that_is_killed_is_told_at_once(pool):
    os.kill(pool._decoders[0]._process.pid, signal.SIGKILL)
    with pytest.raises(
        PipelineError, match=r"was killed \(SIGKILL\); most often, the memory was full\.\n.*processes: 1"
    ):
        put_all(pool)


def test_what_a_process_cannot_do_is_told_as_if_it_was_this_one(pool, tmp_path):
    pool.put("gone", Encoded(Span(str(tmp_path / "gone.wav"), 0, 9)))
    with pytest.raises(PipelineError, match=r"gone\.wav cannot be read"):
        put_all(pool)


def test_a_folder_that_cannot_be_written_to_is_told_with_its_reason(pool, tmp_path):
    (tmp_path / "audio-00001.npy").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        put_all(pool)
    assert error.value.filename == str(tmp_path / "audio-00001.npy")


WAITING = """
import sys, time
from pathlib import Path
from pipeline.clips import decoders
from pipeline.clips.decoding import Encoded
if __name__ == "__main__":
    decoders._ALONE_S, decoders._UNIT_RECORDINGS = 0.0, 1
    with decoders.Decoders(lambda entry, clips: [entry], lambda row, samples: None, Path(sys.argv[1]), 2) as pool:
        for row in range(9):
            pool.put(row, Encoded(Path(sys.argv[2]).read_bytes()))
        print(*(decoder._process.pid for decoder in pool._decoders), flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_the_one_that_started_it(tmp_path, how):
    (tmp_path / "wait.py").write_text(WAITING)
    (tmp_path / "clip.wav").write_bytes(noisy(0))
    process = subprocess.Popen(
        [sys.executable, tmp_path / "wait.py", tmp_path, tmp_path / "clip.wav"],
        env={**os.environ, "PYTHONPATH": str(Path(decoders.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as the terminal does
    else:
        process.send_signal(how)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, pids
        time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
