"""From a source's recordings to rows of the corpus; whatever is not taken as it came gets a line that says so."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.clips import noise, waveform
from pipeline.clips.audio_shards import digest_of
from pipeline.clips.corpus_writer import CorpusWriter
from pipeline.clips.decoders import Decoders
from pipeline.clips.decoding import Decoded, Encoded
from pipeline.clips.labels import composed
from pipeline.clips.recording import Part, Recording, Rejected, SplitList, bytes_of
from pipeline.errors import PipelineError

_MISSING = "in the sample submission, but not in the archive"


@dataclass(frozen=True)
class Quarantined:
    """A recording that was left out, replaced by silence, or changed on its way in."""

    part: Part
    clip: str
    action: Literal["excluded", "silenced", "converted"]
    reason: str


class Intake:
    """Decodes the recordings of `source` into `writer`; collects the archive's split lists and the quarantine.

    A training clip that cannot be read is excluded. A test clip is never lost: it becomes digital silence, marked as
    not readable, and so does one that the sample submission names (`sample`, in its order) but the archive lacks.
    With `whole_noises`, a recording of noise belongs to one fold, else each fold gets a stretch of it.
    With `segments`, a training recording is cut into clips of one second, one after the other, that inherit its labels.
    With `extra`, clips of other sources follow (`pipeline.clips.extra`), which are refused where they are ones again.
    Names and words are compared with their letters composed; test clips keep the names that `sample` gives them.
    With several `processes` that decode, what was taken may be seen only after `settle`; then it is a context manager.
    Raises PipelineError if `sample` names a clip twice, or a test clip has a name that no line of a CSV can hold.
    """

    def __init__(
        self,
        writer: CorpusWriter,
        sample: list[str] | None,
        segments: bool = False,
        folds: int = 1,
        whole_noises: bool = False,
        source: str | None = None,
        extra: bool = False,
        processes: int = 1,
    ) -> None:
        self._writer = writer
        self._decoders = Decoders(self._settle, writer.write, writer.folder, processes)
        self._source = self._own = source
        self._digests: set[bytes] | None = set() if extra else None  # of the samples of all clips so far
        self._own_digests = bytearray()  # 8 bytes of each own clip's, in the order of the rows
        self._noise_digests: set[bytes] = set()  # of the samples of all recordings of noise so far
        self._own_noises = 0
        self.clips = 0  # written so far
        self.holds_embeddings = False
        self._segments = segments
        self._folds = folds
        self._whole_noises = whole_noises
        self._sample = sample
        self._expected = {composed(name): name for name in sample or ()}
        counts = Counter(map(composed, sample or ()))
        if repeated := [name for name, count in counts.most_common(5) if count > 1]:
            raise PipelineError(
                f"The sample submission names clips twice: {', '.join(repeated)}. Mend it, then run again."
            )
        for name in sample or ():
            _refuse_unfit(name)
        self._seen: dict[Part, set[str]] = {"train": set(), "test": set()}
        self._short_noises = 0
        self._longest_noise = 0
        self.came: Counter[Part] = Counter()  # recordings, whatever became of them
        self.lists: list[SplitList] = []
        self.quarantine: list[Quarantined] = []

    @property
    def has_noise(self) -> bool:
        """Whether a recording of noise was taken that is long enough to be laid under a clip."""
        return self._longest_noise >= waveform.CLIP_SAMPLES

    @property
    def own_digests(self) -> NDArray[np.uint64]:
        """The start of the digest of each of the source's own clips, [rows]."""
        return np.frombuffer(bytes(self._own_digests), np.uint64)

    def __enter__(self) -> Self:
        self._decoders.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._decoders.__exit__(kind, error, at)

    def take(self, item: Recording | SplitList | Rejected) -> None:
        """Write one recording, or say in the quarantine why it was not."""
        if isinstance(item, SplitList):
            self.lists.append(replace(item, names=frozenset(map(composed, item.names))))
            return
        self.came[item.part] += 1
        if isinstance(item, Recording):
            item = self.spelt(item)
        if isinstance(item, Rejected):
            self.exclude(item, item.reason)
        elif item.name in self._seen[item.part]:
            self.exclude(item, "a second file of this name")
        elif item.part == "test" and self._sample is not None and composed(item.name) not in self._expected:
            self.exclude(item, "not in the sample submission")
        elif item.part == "train" and not item.is_noise and item.word is None and item.tags is None:
            self.exclude(item, "a training clip without a word")
        else:
            self._seen[item.part].add(item.name)
            self._decoders.put(item, self._encoded(item))

    def settle(self) -> None:
        """Wait until all that was taken is written."""
        self._decoders.drain()

    def complete(self, max_lost_share: float) -> list[str]:
        """Add the test clips that the archive lacks; return the names of all test clips in the order to submit them.

        Raises PipelineError if none can be used, or more than the share of them is lost (missing, excluded, silenced).
        """
        self.settle()
        names = sorted(self._seen["test"]) if self._sample is None else self._sample
        for name in names:
            if name not in self._seen["test"]:
                self._refuse(Recording("test", name, b""), _MISSING)
        self._refuse_losses(len(names), max_lost_share)
        return names

    def spelt(self, item: Recording) -> Recording:
        """Return the recording with names as they are compared: composed, a test clip's as the sample has it."""
        name = composed(item.name)
        if item.part == "test":
            name = self._expected.get(name, name)
            if self._sample is None:
                _refuse_unfit(name)
        texts = (item.word or "", item.speaker or "", *(item.tags or ()), *item.metadata.values())
        if name == item.name and all(map(str.isascii, texts)):
            return item
        return replace(
            item,
            name=name,
            word=item.word and composed(item.word),
            speaker=item.speaker and composed(item.speaker),
            tags=item.tags and tuple(map(composed, item.tags)),
            metadata={key: composed(value) for key, value in item.metadata.items()},
        )

    def begin(self, source: str) -> None:
        """From here on, recordings are those of another source."""
        self.settle()
        self._source = source

    def exclude(self, item: Recording | Rejected, reason: str) -> None:
        """Say in the quarantine why a recording was left out."""
        self._decoders.put(Quarantined(item.part, item.name, "excluded", reason))

    def _refuse_losses(self, clips: int, max_lost_share: float) -> None:
        lost = [line for line in self.quarantine if line.part == "test" and line.action != "converted"]
        silenced = sum(line.action == "silenced" for line in lost)
        allowed = math.ceil(max_lost_share * clips)
        if not clips or (silenced < clips and (len(lost) <= allowed or max_lost_share == 1)):
            return
        raise PipelineError(
            f"Of {clips} test clips, {silenced} cannot be used, and {len(lost) - silenced} other files were left out; "
            f"{allowed} in all may be (prepare.max_lost_share: {max_lost_share:g}). Such as\n"
            + examples(lost)
            + "\nIs this the right test archive, and the sample submission of the same clips (section download)?"
        )

    def _encoded(self, item: Recording) -> Encoded | None:
        """Return what is to be decoded of a recording; noise is seldom, long, and cut here."""
        if item.embedding is not None or item.is_noise:
            return None
        return Encoded(item.data, "segments" if self._segments and item.part == "train" else "fit")

    def _settle(self, entry: Recording | Quarantined, clips: Decoded | None) -> list[int | None]:
        """Write what became of an entry; return the rows of its clips, whose samples are written by others."""
        if isinstance(entry, Quarantined):
            self.quarantine.append(entry)
        elif clips is not None:
            return self._add_decoded(entry, clips)
        elif entry.embedding is not None:
            self._add(entry, entry.embedding)
        else:
            self._decode_noise(entry)
        return []

    def _add_decoded(self, item: Recording, clips: Decoded) -> list[int | None]:
        if clips.refusal is not None:
            self._refuse(item, clips.refusal)
            return []
        in_segments = self._segments and item.part == "train"
        rows = [
            self._row(item, digest, f"{item.name}#{number:03}" if in_segments else None)
            for number, digest in enumerate(clips.digests)
        ]
        if clips.note and any(row is not None for row in rows):
            self._note(item, "converted", clips.note)
        return rows

    def _refuse(self, item: Recording, reason: str) -> None:
        if item.part == "test":
            self._add(item, np.zeros(waveform.CLIP_SAMPLES, np.int16), readable=False)
        self._note(item, "silenced" if item.part == "test" else "excluded", reason)

    def _add(self, item: Recording, samples: np.ndarray, readable: bool = True) -> None:
        self.holds_embeddings = item.embedding is not None
        if self._is_admitted(item, digest_of(samples)):
            self._writer.add(samples, **self._about(item), readable=readable)

    def _row(self, item: Recording, digest: bytes, clip: str | None) -> int | None:
        """Append the row of a clip; return its number, None if it is left out."""
        self.holds_embeddings = False
        return self._writer.add_row(digest, **self._about(item, clip)) if self._is_admitted(item, digest) else None

    def _is_admitted(self, item: Recording, digest: bytes) -> bool:
        if self._digests is not None:
            if self._source != self._own and digest in self._digests:
                self._note(item, "excluded", "the same samples as another clip")
                return False
            self._digests.add(digest)
        if self._source == self._own:
            self._own_digests += digest[:8]
        self.clips += 1
        return True

    def _about(self, item: Recording, clip: str | None = None) -> dict[str, Any]:
        """Return what a row says; nothing that a test clip says of itself."""
        about = {"clip": clip or item.name, "part": item.part, "source": self._source}
        if item.part == "test":
            return about
        recording = item.name if clip else None
        told = {"word": item.word, "speaker": item.speaker, "tags": item.tags, "metadata": item.metadata}
        return {**about, **told, "split": item.split, "recording": recording}

    def _decode_noise(self, item: Recording) -> None:
        try:
            decoded = waveform.decode(bytes_of(item.data), waveform.LONGEST_S)
        except waveform.UnreadableAudio as error:
            self._refuse(item, str(error))
            return
        digest = digest_of(decoded.samples)
        if self._source != self._own and digest in self._noise_digests:
            self._note(item, "excluded", "the same samples as another recording of noise")
            return
        self._noise_digests.add(digest)
        self._longest_noise = max(self._longest_noise, len(decoded.samples))
        self._add_noise(item, decoded.samples)
        if decoded.note:
            self._note(item, "converted", decoded.note)

    def _add_noise(self, item: Recording, samples: np.ndarray) -> None:
        recording = noise.Noise(item.name, samples)
        if self._source == self._own:
            self._own_noises += 1
        elif self._own_noises:
            self._writer.add_noise(recording, noise.NEVER_JUDGED)
            return
        if item.split is not None and self._folds == 1:
            self._writer.add_noise(recording, noise.NEVER_JUDGED if item.split == "train" else 0)
            return
        for fold, stretch in noise.cut(recording, self._short_noises, self._folds, self._whole_noises):
            self._writer.add_noise(stretch, fold)
        self._short_noises += self._whole_noises or not noise.is_cut(recording, self._folds)

    def _note(self, item: Recording, action: Literal["excluded", "silenced", "converted"], reason: str) -> None:
        self.quarantine.append(Quarantined(item.part, item.name, action, reason))


def examples(lines: list[Quarantined]) -> str:
    """Return the first recording of each reason, one a line, five at most."""
    first = {line.reason: line.clip for line in reversed(lines)}
    return "\n".join(f"  '{clip}': {reason}" for reason, clip in list(first.items())[::-1][:5])


def _refuse_unfit(name: str) -> None:
    """Raise PipelineError for a test clip's name of which a line of the submission could not be read back."""
    if not name or name != name.strip() or any(character in name for character in "\r\n\0"):
        raise PipelineError(
            f"The test clip {name!r} cannot be named in a submission: its name is blank, begins or ends with a space, "
            "or holds a line break.\nRename it, in the sample submission too."
        )
