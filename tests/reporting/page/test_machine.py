"""What the live page tells of this machine's load."""

import os

from pipeline.reporting.page import machine


def test_a_gpu_that_does_not_tell_its_load_is_left_out(tmp_path, monkeypatch):
    """As a slice of a GPU (MIG) does, in the place of nvidia-smi."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '[N/A]\\n37 %%\\n[Not Supported]\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert machine.load()["gpus"] == [0.37]
