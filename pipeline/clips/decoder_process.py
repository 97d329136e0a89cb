"""A process that decodes: it is sent files, tells what they came to, is told their rows, and writes their samples."""

import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections import deque
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.clips import audio_shards
from pipeline.clips.audio_shards import AudioShards
from pipeline.clips.decoding import Decoded, Encoded, clips_of
from pipeline.clips.waveform import CLIP_SAMPLES
from pipeline.errors import PipelineError

Placing = list[int | None]  # the row of each clip of a unit; None: it is left out
Message = tuple[Literal["decode"], list[Encoded]] | tuple[Literal["place"], Placing]

_WRITTEN = "written"
_PATIENCE_S = 10.0  # with a process that ends


class Decoder:
    """A process that decodes units of files and writes their clips into the shards of `folder`.

    For each unit: `decode`, `hear` until it returns what was found, `place`, and `hear` once more. `units` counts those
    that are not written yet. It ends when it is told to, and when this process does, however that ends.
    """

    def __init__(self, folder: Path) -> None:
        # Not forked: a copy of a process with threads (pyarrow's, the archive's) may hang.
        context = multiprocessing.get_context("spawn")
        self.connection, its_end = context.Pipe()
        self.units = 0
        self._process = context.Process(
            target=_work, args=(its_end, folder, audio_shards.SHARD_CLIPS), name="decoder", daemon=True
        )
        self._process.start()
        its_end.close()  # else this process would keep the connection open that ends with the other

    def decode(self, encoded: list[Encoded]) -> None:
        """Send it files. Raises PipelineError if it is dead."""
        self.units += 1
        self._send(("decode", encoded))

    def place(self, rows: Placing) -> None:
        """Tell it the rows of the oldest unit's clips, which it then writes. Raises PipelineError if it is dead."""
        self._send(("place", rows))

    def hear(self) -> list[Decoded] | None:
        """Return what the next unit came to, without samples; None if one was written.

        Raises PipelineError if it is dead, and what the process raised.
        """
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if isinstance(said, BaseException):
            raise said
        if said == _WRITTEN:
            self.units -= 1
            return None
        found: list[Decoded] = said
        return found

    def end(self, at_once: bool) -> None:
        """End the process: when it has done what it was told, or `at_once`."""
        if at_once:
            self._process.terminate()
        self.connection.close()
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _send(self, message: Message) -> None:
        try:
            self.connection.send(message)
        except OSError:
            raise self._death() from None

    def _death(self) -> PipelineError:
        self._process.join(_PATIENCE_S)
        status = self._process.exitcode
        if status is not None and status < 0:
            how = f"was killed ({signal.Signals(-status).name}); most often, the memory was full"
        else:
            how = f"ended with {status}; what it said stands above"
        return PipelineError(
            f"A process that decoded clips {how}.\n"
            "Nothing of the corpus is kept. Run it again; with `prepare.processes: 1` in params.yaml, one does it all."
        )


def _work(connection: Connection, folder: Path, shard_clips: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the first one ends the others
    sent: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, sent), daemon=True).start()
    try:
        with AudioShards(folder, np.dtype(np.int16), (CLIP_SAMPLES,), shard_clips) as shards:
            _decode_and_write(connection, shards, sent)
    except OSError as error:
        connection.send(error)
    except Exception as error:
        error.add_note(traceback.format_exc())
        connection.send(error)


def _receive(connection: Connection, sent: "queue.SimpleQueue[Message]") -> None:
    """Pass on what is sent, at once, so that the sender never waits for one that itself waits to send.

    When there is nobody on the other end any more, there is nothing left to do.
    """
    try:
        while True:
            sent.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _decode_and_write(connection: Connection, shards: AudioShards, sent: "queue.SimpleQueue[Message]") -> None:
    waiting: deque[list[np.ndarray]] = deque()  # samples of units whose rows are not told yet
    while True:
        match sent.get():
            case "decode", encoded:
                found = [clips_of(each) for each in encoded]
                waiting.append([samples for clips in found for samples in clips.samples])
                connection.send([replace(clips, samples=[]) for clips in found])
            case "place", rows:
                _write(shards, rows, waiting.popleft())
                connection.send(_WRITTEN)


def _write(shards: AudioShards, rows: Placing, clips: list[np.ndarray]) -> None:
    """Write the clips to their rows; those that follow each other at once."""
    kept = [(row, samples) for row, samples in zip(rows, clips, strict=True) if row is not None]
    start = 0
    for end in range(1, len(kept) + 1):
        if end == len(kept) or kept[end][0] != kept[end - 1][0] + 1:
            shards.write(kept[start][0], [samples for _, samples in kept[start:end]])
            start = end
