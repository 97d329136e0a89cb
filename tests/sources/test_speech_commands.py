import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.clips.recording import Recording, SplitList
from pipeline.errors import PipelineError
from pipeline.sources import SourceFile, speech_commands
from pipeline.sources.speech_commands import Params, anonymous, answer_table, answers, download, fetch, read

TRAIN = {
    "./yes/0a_nohash_0.wav": b"1",
    "./_background_noise_/pink_noise.wav": b"2",
    "./validation_list.txt": b"no/b.wav\n",
    "./testing_list.txt": b"yes/0a_nohash_0.wav\n",
    "./README.md": b"about",
}
TEST = {
    "./yes/0a_nohash_0.wav": b"1",
    "./_unknown_/0a_nohash_0.wav": b"3",
    "./_silence_/0.wav": b"4",
    "./LICENSE": b"about",
}


def tarball(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Mirror:
    """A local HTTP server with `files`; `plan` says what happens to the next requests, and `seen` what they asked."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.plan: list[str] = []
        self.seen: list[tuple[str, str | None]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rsplit("/", 1)[-1]
                asked = self.headers["Range"]
                mirror.seen.append((name, asked))
                step = mirror.plan.pop(0) if mirror.plan else "serve"
                data = mirror.files.get(name)
                if step.isdigit() or data is None:
                    self.send_error(int(step) if step.isdigit() else 404)
                    return
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and step != "no ranges" else 0
                if start >= len(data) > 0:
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                rest = data[start:]
                self.wfile.write(rest[: len(rest) // 2] if step == "cut" else rest)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/data"


@pytest.fixture
def mirror(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(speech_commands, "_WAITS_S", (0, 0))
    made = Mirror()
    yield made
    made.server.shutdown()
    made.server.server_close()


def served(mirror: Mirror, folder: Path) -> Params:
    """Put both tarballs on the mirror."""
    mirror.files = {
        "speech_commands_v0.01.tar.gz": tarball(TRAIN),
        "speech_commands_test_set_v0.01.tar.gz": tarball(TEST),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in mirror.files.items()}
    return Params(folder=folder, version="v0.01", base_url=mirror.url + "/", sha256=digests)


def test_tarballs_are_fetched_once_and_read(tmp_path, mirror):
    params = served(mirror, tmp_path / "new")
    files = fetch(params, seed=0)
    assert [(file.role, file.sha256) for file in files] == [
        ("train", params.sha256["speech_commands_v0.01.tar.gz"]),
        ("test", params.sha256["speech_commands_test_set_v0.01.tar.gz"]),
    ]
    assert fetch(params, seed=0) == files
    assert len(mirror.seen) == 2
    assert sorted(path.name for path in params.folder.iterdir()) == sorted(mirror.files)

    yes, unknown, silence = (anonymous(name.removeprefix("./")) for name in list(TEST)[:3])
    assert list(read(files)) == [
        Recording("train", "yes/0a_nohash_0.wav", b"1", "yes", "0a"),
        Recording("train", "_background_noise_/pink_noise.wav", b"2", is_noise=True),
        SplitList("validation", frozenset({"no/b.wav"})),
        SplitList("testing", frozenset({"yes/0a_nohash_0.wav"}), is_test_set=True),
        Recording("test", yes, b"1"),
        Recording("test", unknown, b"3"),
        Recording("test", silence, b"4"),
    ]
    table = answers(files)
    assert dict(zip(table["fname"], table["label"], strict=True)) == {
        yes: "yes",
        unknown: "unknown",
        silence: "silence",
    }
    assert list(table["fname"]) == sorted(table["fname"])


def test_a_training_tarball_that_does_not_tell_the_test_clips_is_refused(tmp_path):
    path = tmp_path / "mirrored.tar.gz"
    path.write_bytes(tarball({name: data for name, data in TRAIN.items() if "testing" not in name}))
    with pytest.raises(PipelineError, match=r"mirrored\.tar\.gz has no testing_list\.txt"):
        list(read([SourceFile("train", str(path), 1, "")]))


def test_names_tell_no_label():
    assert anonymous("yes/0a_nohash_0.wav") == "clip_03b48ad28d27.wav"


def test_three_in_ten_answers_are_public_whatever_the_others():
    rows = [(anonymous(str(i)), "yes") for i in range(4_000)]
    table = answer_table(rows)
    assert 0.28 < (table["usage"] == "Public").mean() < 0.32
    assert answer_table(rows[:10]).equals(table[table["fname"].isin([n for n, _ in rows[:10]])].reset_index(drop=True))


def test_a_cut_off_download_goes_on(tmp_path, mirror):
    mirror.files["a"] = bytes(range(256)) * 40_000
    half = len(mirror.files["a"]) // 2 // 65_536 * 65_536  # whole blocks are kept
    mirror.plan = ["cut"]
    download(f"{mirror.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == mirror.files["a"]
    assert mirror.seen == [("a", None), ("a", f"bytes={half}-")]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_part_left_by_a_killed_process_is_used(tmp_path, mirror):
    mirror.files["a"] = b"0123456789"
    (tmp_path / "a.part").write_bytes(b"01234")
    download(f"{mirror.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    assert mirror.seen == [("a", "bytes=5-")]


@pytest.mark.parametrize("part", [b"0123456789", b"0123456789too long"])
def test_a_part_that_is_whole_or_too_long(tmp_path, mirror, part):
    mirror.files["a"] = b"0123456789"
    (tmp_path / "a.part").write_bytes(part)
    download(f"{mirror.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_server_without_ranges_starts_anew(tmp_path, mirror):
    mirror.files["a"] = b"0123456789"
    mirror.plan = ["no ranges"]
    (tmp_path / "a.part").write_bytes(b"xxx")
    download(f"{mirror.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_passing_trouble_is_waited_out(tmp_path, mirror):
    mirror.files["a"] = b"0123456789"
    mirror.plan = ["503", "429"]
    download(f"{mirror.url}/a", tmp_path / "a")
    assert len(mirror.seen) == 3


@pytest.mark.parametrize(("plan", "requests_made"), [(["404"], 1), (["403"], 1), (["503"] * 9, 3)])
def test_lasting_trouble_is_reported(tmp_path, mirror, plan, requests_made):
    mirror.plan = list(plan)
    with pytest.raises(PipelineError, match=rf"the server answered {plan[0]}[\s\S]*download\.base_url"):
        download(f"{mirror.url}/a", tmp_path / "a")
    assert len(mirror.seen) == requests_made


def test_no_server(tmp_path, mirror):
    mirror.server.shutdown()
    mirror.server.server_close()
    with pytest.raises(PipelineError, match="ConnectionError"):
        download(f"{mirror.url}/a", tmp_path / "a")


def test_other_files_than_the_published_ones_are_refused(tmp_path, mirror):
    params = served(mirror, tmp_path)
    wrong = params.model_copy(update={"sha256": {"speech_commands_v0.01.tar.gz": "0" * 64}})
    with pytest.raises(PipelineError, match=f"expected any number of bytes and SHA-256 {'0' * 64}"):
        fetch(wrong, seed=0)
    with pytest.raises(PipelineError, match="expected 1489096277 bytes and SHA-256 743935421bb5"):
        fetch(Params(folder=tmp_path, version="v0.01"), seed=0)


def test_unknown_version():
    with pytest.raises(ValidationError, match=r"v0\.01"):
        Params(folder="x", version="v0.03")


def test_a_file_without_a_published_digest_must_have_the_published_length(tmp_path, mirror):
    params = served(mirror, tmp_path / "new")
    del params.sha256["speech_commands_test_set_v0.01.tar.gz"]
    with pytest.raises(
        PipelineError, match=r"test_set_v0\.01\.tar\.gz is not the published file: .*\n.*71271436 bytes"
    ):
        fetch(params, seed=0)
