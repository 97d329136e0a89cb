"""Decoding in several processes: what comes out is in the order of what went in, and the same for any number."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pipeline.clips.decoder_process import Decoder, Placing
from pipeline.clips.decoding import Decoded, Encoded, clips_of

# A process takes up to a second to start, so what is decoded in less is not worth it.
_ALONE_S = 1.0
# What is handed over at once: 8 MB, a quarter of a second's or a millisecond's work, by the format.
_UNIT_RECORDINGS = 250
_UNIT_BYTES = 8 << 20
_UNITS_AHEAD = 2  # of one process, so that it need not wait for the next

Entry = TypeVar("Entry")


@dataclass
class _Unit(Generic[Entry]):
    entries: list[tuple[Entry, bool]] = field(default_factory=list)  # and whether the entry is decoded
    encoded: list[Encoded] = field(default_factory=list)
    held_bytes: int = 0
    decoder: Decoder | None = None
    found: list[Decoded] | None = None


class Decoders(Generic[Entry]):
    """Decodes what is `put`, in this process, or in `processes` others beside it as soon as that is worth it.

    `settle` is called here, for one entry after the other, in the order of `put`: with its clips, or with None for one
    that has nothing to decode. It returns the row of each clip, None for a clip that is left out. Then `write` puts the
    samples of that row to their place, or the other processes do so in `folder` by themselves.

    Memory holds the files of 500 recordings a process, and their samples, at most. Use it as a context manager; leave
    it only after `drain`, or by an exception, which ends the processes.
    """

    def __init__(
        self,
        settle: Callable[[Entry, Decoded | None], Sequence[int | None]],
        write: Callable[[int, Any], None],
        folder: Path,
        processes: int = 1,
    ) -> None:
        self._settle = settle
        self._write = write
        self._folder = folder
        self._processes = processes
        self._alone_s = 0.0
        self._decoders: list[Decoder] = []
        self._filling: _Unit[Entry] = _Unit()
        self._units: deque[_Unit[Entry]] = deque()  # handed over, and not settled yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for decoder in self._decoders:
            decoder.end(at_once=kind is not None)

    def put(self, entry: Entry, encoded: Encoded | None = None) -> None:
        """Take the next entry. Raises PipelineError for a file that cannot be read, or a process that was killed."""
        unit = self._filling
        if not (self._units or unit.entries) and (encoded is None or self._is_alone()):
            self._do_here(entry, encoded)
            return
        unit.entries.append((entry, encoded is not None))
        if encoded is not None:
            unit.encoded.append(encoded)
            unit.held_bytes += len(encoded.data)
        if len(unit.entries) >= _UNIT_RECORDINGS or unit.held_bytes >= _UNIT_BYTES:
            self._hand_over()

    def drain(self) -> None:
        """Return when all that was put is settled and its samples are written."""
        if self._filling.entries:
            self._hand_over()
        while self._units or any(decoder.units for decoder in self._decoders):
            self._hear(at_once=False)

    def _is_alone(self) -> bool:
        return self._processes == 1 or self._alone_s < _ALONE_S

    def _do_here(self, entry: Entry, encoded: Encoded | None) -> None:
        start = time.perf_counter()
        clips = None if encoded is None else clips_of(encoded)
        for row, samples in zip(self._settle(entry, clips), clips.samples if clips else (), strict=True):
            if row is not None:
                self._write(row, samples)
        self._alone_s += time.perf_counter() - start

    def _hand_over(self) -> None:
        unit, self._filling = self._filling, _Unit()
        unit.decoder = self._free_decoder()
        self._units.append(unit)
        unit.decoder.decode(unit.encoded)
        unit.encoded = []
        self._hear(at_once=True)

    def _free_decoder(self) -> Decoder:
        """Return the process with the least to do, a new one if all have something; wait if all have enough."""
        while True:
            idlest = min(self._decoders, key=lambda decoder: decoder.units, default=None)
            if (idlest is None or idlest.units) and len(self._decoders) < self._processes:
                self._decoders.append(Decoder(self._folder))
                return self._decoders[-1]
            if idlest is not None and idlest.units < _UNITS_AHEAD:
                return idlest
            self._hear(at_once=False)

    def _hear(self, at_once: bool) -> None:
        """Take what the processes have to tell, having waited for it unless `at_once`; settle what has its turn."""
        talking = wait([decoder.connection for decoder in self._decoders], timeout=0 if at_once else None)
        for decoder in self._decoders:
            found = decoder.hear() if decoder.connection in talking else None
            if found is not None:
                next(unit for unit in self._units if unit.decoder is decoder and unit.found is None).found = found
        while self._units and self._units[0].found is not None:
            self._settle_unit(self._units.popleft())

    def _settle_unit(self, unit: _Unit[Entry]) -> None:
        assert unit.decoder is not None
        found = iter(unit.found or ())
        rows: Placing = []
        for entry, is_decoded in unit.entries:
            rows += self._settle(entry, next(found) if is_decoded else None)
        unit.decoder.place(rows)
