"""Three Ray nodes as processes, a fleet of the project in this folder on them, and one of them killed in between.

Run as a script in a network of its own, so that Ray has nothing but the loopback. Prints what the fleet printed.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = 6399
# Ray's workers are as nice as can be, unless they are told not to. A head asks for a token where the tester's home has
# one; nobody else can reach this one.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "disabled"}


def node(*where: str) -> subprocess.Popen[bytes]:
    """Return a node that has joined. On a busy machine Ray may give one up after half a minute: then try again."""
    options = ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=100000000", "--block", *where]
    for _ in range(5):
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *options],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **SETTINGS},
            )
            while process.poll() is None:
                if b"Ray runtime started" in os.pread(said.fileno(), 100_000, 0):
                    return process
                time.sleep(0.2)
            print(os.pread(said.fileno(), 100_000, 0).decode())
    raise SystemExit("a node does not start")


def main(ends: Path, temporary: str) -> int:
    """Run the fleet until it ends; return its exit status. Ray's files go to the folder `temporary`."""
    nodes = [node("--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={temporary}")]
    try:
        nodes += [node(f"--address=127.0.0.1:{PORT}") for _ in range(2)]
        command = [sys.executable, "-m", "pipeline", "fleet", "--address", f"127.0.0.1:{PORT}"]
        fleet = subprocess.Popen(command, env={**os.environ, **SETTINGS})
        # Each node has one stage at a time, and more are waiting.
        while fleet.poll() is None and not (ends.exists() and len(ends.read_text().splitlines()) > 3):
            time.sleep(0.2)
        os.killpg(nodes[2].pid, signal.SIGKILL)
        return fleet.wait()
    finally:
        for each in nodes:
            each.terminate()
        for each in nodes:
            each.wait()


if __name__ == "__main__":
    # Ray's sockets lie in it, and their paths may have a hundred characters: a test's own folder is too deep.
    with tempfile.TemporaryDirectory(prefix="ray-") as temporary:
        sys.exit(main(Path(sys.argv[1]), temporary))
