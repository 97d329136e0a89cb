"""What a process is set up with."""

import subprocess
import sys

import pytest

from pipeline import __main__, modules, processes
from pipeline.jobs import trainings

STEPS = """
import resource, sys
import numpy as np
from pipeline import processes

def step():
    blocks = [np.ones(size, np.float32) for size in (1_000_000, 5_000_000, 12_000_000)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "kept":
    processes.keep_freed_memory()
step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


def faults(kept: str) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS, kept], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_memory_that_a_step_frees_is_there_for_the_next():
    # Five times 72 MB; a page is 4 KiB, or 2 MiB where the system joins them.
    assert faults("kept") < 20
    assert faults("returned") > 100


def test_nothing_is_searched_for_garbage_as_a_verb_ends():
    # What is registered first is called last.
    ends = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count()))"
    begins = "from pipeline import __main__; __main__.main()"
    command = [sys.executable, "-c", f"{ends}; {begins}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) > 10_000


@pytest.mark.parametrize("name", ["train", "predict", "encode", "search", "bench", "prepare", "decide"])
def test_what_computes_networks_keeps_it_and_nothing_else_does(name, monkeypatch):
    kept = []
    monkeypatch.setattr(processes, "keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(modules, "stage", _begun)
    with pytest.raises(SystemExit):
        __main__._stage(name)
    assert kept == ([] if name in ("prepare", "decide") else [True])


def test_a_training_beside_another_keeps_it_too(monkeypatch):
    kept = []
    monkeypatch.setattr(processes, "set_up", lambda: None)
    monkeypatch.setattr(processes, "end_with_input", lambda: None)
    monkeypatch.setattr(processes, "keep_freed_memory", lambda: kept.append(True))
    monkeypatch.setattr(trainings, "Trainings", _begun)
    with pytest.raises(SystemExit):
        trainings.main()
    assert kept == [True]


def _begun(_: object) -> None:
    raise SystemExit
