import os
import subprocess
import sys
from pathlib import Path

from pipeline.locks import held

HOLDER = (
    "import sys; from pathlib import Path; from pipeline.locks import held\n"
    "with held(Path(sys.argv[1]), 'It'): print('mine', flush=True); sys.stdin.readline()"
)


def test_who_waits_says_for_whom(tmp_path):
    path, said = tmp_path / "folder" / "lock", []
    root = Path(__file__).resolve().parents[1]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], cwd=root, **pipes) as other:
        assert other.stdout.readline() == "mine\n"

        def say(text):
            said.append(text)
            other.stdin.write("\n")  # now it ends
            other.stdin.flush()

        with held(path, "Another download", say):
            pass
    assert len(said) == 1
    assert said[0].startswith(f"Another download is going on (process {other.pid} on ")
    assert said[0].endswith("Waiting until it has ended.")


def test_nobody_else_there(tmp_path):
    said = []
    for _ in range(2):
        with held(tmp_path / "lock", "It", said.append):
            assert str(os.getpid()) in (tmp_path / "lock").read_text()
    assert said == []
