"""The machine and the versions that a page was made with, and how busy the machine is."""

import platform
import shutil
import subprocess
from importlib import metadata
from typing import Any

import psutil

from pipeline.processes import processor

PACKAGES = ("torch", "transformers", "scikit-learn", "audiomentations", "numpy", "pandas", "dvc")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape results."""
    return {"Python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def described() -> str:
    """Return processor, cores, memory, graphics processors and system; nothing that names the machine."""
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory"
    cores = f"{psutil.cpu_count() or 1} cores"
    return ", ".join([processor(), cores, memory, *_gpus("name"), f"{platform.system()} {platform.machine()}"])


def load() -> dict[str, Any]:
    """Return shares of 0 to 1 in use: `cpu` since the last call, `memory`, and `gpus`, one each."""
    told = [line.removesuffix("%").strip() for line in _gpus("utilization.gpu")]  # "37 %", or "[N/A]" of some GPUs
    busy = [float(share) / 100 for share in told if share.isdecimal()]
    return {"cpu": psutil.cpu_percent() / 100, "memory": psutil.virtual_memory().percent / 100, "gpus": busy}


def _gpus(field: str) -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
