"""A Python that has loaded torch, transformers and DVC already: it forks for each command instead of starting anew.

Loading them takes seconds, and `dvc repro` begins a process for each stage: most of what the tests waited for. A
command still has a process of its own, and its own arguments, folder, environment, output and exit status, and loads
the project's code anew. Only what libraries read of the environment as they are loaded is the server's.
"""

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

# What the stages and `dvc repro` load. None of it begins a thread of Python's, or forking would not be safe.
LOADED = (
    *("torch", "datasets", "evaluate", "pandas", "scipy.optimize", "scipy.signal", "sklearn.metrics", "soundfile"),
    *("audiomentations", "pydantic.main", "typer.rich_utils", "rich.markdown", "py7zr", "safetensors.torch", "soxr"),
    *("dvclive", "dvc.cli.parser", "dvc.repo.open_repo", "dvc.repo.reproduce", "dvc.stage.run", "dvc.repo.index"),
    *("dvc.data_cloud", "dvc.cachemgr", "dvc.rwlock", "dulwich.client", "scmrepo.git.backend.gitpython"),
    *("dvc.repo.graph", "dvc.repo.trie", "dvc.repo.metrics.show", "dvc.repo.params.show", "dvc.repo.plots"),
    *("dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.experiments.cache", "dvc.repo.experiments.stash"),
    *("dvc.utils.strictyaml", "dvc_data.hashfile.db.local", "dulwich.porcelain", "configobj", "networkx", "pyparsing"),
    *("pydantic.fields", "pydantic.types", "pydantic.root_model", "pydantic.type_adapter", "tenacity"),
    *("PIL.ImageDraw", "PIL.PngImagePlugin"),
)
FROM_TRANSFORMERS = (
    *("Trainer", "ASTForAudioClassification", "Wav2Vec2ForSequenceClassification"),
    *("ASTFeatureExtractor", "Wav2Vec2FeatureExtractor"),
)

# Run instead of Python. It hands its arguments and its three streams to the server, and ends with the command's status.
# What is not `python -m MODULE` is for the real one.
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
arguments = sys.argv[1:]
if arguments[:1] != ["-m"]:
    os.execv({python!r}, [{python!r}, *arguments])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    streams = array.array("i", [0, 1, 2])
    server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    told = {{"arguments": arguments[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
    server.sendall(json.dumps(told).encode() + b"\\n")
    sys.exit(int(server.makefile().read() or 1))
"""


def write_client(path: Path, address: Path) -> None:
    path.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    path.chmod(0o755)


def serve(address: Path) -> None:
    """Run commands until standard input ends: whoever started this is gone."""
    for name in LOADED:
        importlib.import_module(name)
    transformers = importlib.import_module("transformers")
    for name in FROM_TRANSFORMERS:
        getattr(transformers, name)
    gc.collect()
    gc.freeze()  # or each command would search all that is loaded for garbage, and so copy its memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers that end are not waited for
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen()
        while True:
            if 0 in select.select([0, listening], [], [])[0]:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                _keep(connection)
            connection.close()


def _keep(connection: socket.socket) -> None:
    """Run one command in a process group of its own; end it if its caller is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, sent, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * 4))
    streams = array.array("i", sent[0][2])
    with connection.makefile("rb") as file:
        told = json.loads(file.readline())
    command = os.fork()
    if command == 0:
        connection.close()
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        _run(told)
    else:
        for number, stream in enumerate(streams):
            os.close(stream)
            os.close(number)
        ended = os.pidfd_open(command)
        if ended not in select.select([ended, connection], [], [])[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def _run(told: dict[str, Any]) -> NoReturn:
    """Be what `python -m MODULE` is in the caller's folder, and end."""
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    module, *arguments = told["arguments"]
    sys.argv = [module, *arguments]
    sys.path.insert(0, told["folder"])
    status: Any = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code or 0
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    # As multiprocessing ends a process that it has forked: taking apart all that is loaded would take half a second.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
