"""Drives the real Kaggle client, in processes of their own, against a server that speaks its protocol."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import py7zr
import pytest

from pipeline.clips.recording import Recording
from pipeline.delivery import kaggle_client
from pipeline.sources.kaggle import Params, answers, fetch, read, sample

ROOT = Path(__file__).parents[2]
SLUG = "tensorflow-speech-recognition-challenge"
SECRET = "0123456789abcdef-secret"
SCRIPT = """
import sys
from pipeline.errors import PipelineError
from pipeline.sources.kaggle import Params, fetch
try:
    for file in fetch(Params(folder=sys.argv[1]), seed=0):
        print(file.role, file.bytes)
except PipelineError as error:
    print("PipelineError:", error)
"""


class Kaggle:
    """The two calls of the download, and the storage that they lead to."""

    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.refusal: tuple[int, str] | None = None
        self.downloads: list[tuple[str, str | None]] = []
        kaggle = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if kaggle.refusal:
                    code, message = kaggle.refusal
                    self.answer(code, {"error": {"code": code, "message": message}})
                elif self.path.endswith("/ListDataFiles"):
                    assert body["competitionName"] == SLUG
                    names = sorted(kaggle.files)
                    first = int(body.get("pageToken") or 0)  # two a page
                    files = [{"name": name, "totalBytes": len(kaggle.files[name])} for name in names[first : first + 2]]
                    more = str(first + 2) if first + 2 < len(names) else ""
                    self.answer(200, {"files": files, "nextPageToken": more})
                else:
                    assert self.path.endswith("/DownloadDataFile")
                    self.send_response(302)
                    self.send_header("Location", f"http://localhost/storage/{body['fileName']}?signature=x")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def do_GET(self):
                name = self.path.split("?")[0].rsplit("/", 1)[-1]
                asked = self.headers["Range"]
                kaggle.downloads.append((name, asked))
                data = kaggle.files[name]
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                self.send_response(206 if asked else 200)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", '"v1"')
                self.send_header("Last-Modified", "Wed, 15 Nov 2017 00:00:00 GMT")
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                self.wfile.write(data[start:])

            def answer(self, code: int, value: dict) -> None:
                text = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.port = self.server.server_port


@pytest.fixture
def kaggle(tmp_path):
    packed = tmp_path / "packed"
    packed.mkdir()
    contents = {
        "train.7z": {"train/audio/yes/0a_nohash_0.wav": b"1" * 1_000},
        "test.7z": {"test/audio/clip_a.wav": b"2" * 1_000},
        "sample_submission.7z": {"sample_submission.csv": b"fname,label\nclip_a.wav,silence\n"},
    }
    for name, files in contents.items():
        with py7zr.SevenZipFile(packed / name, "w") as file:
            for member, data in files.items():
                file.writestr(data, member)
    made = Kaggle({name: (packed / name).read_bytes() for name in contents})
    yield made
    made.server.shutdown()
    made.server.server_close()


def run(folder: Path, home: Path, port: int, credentials: bool = True) -> str:
    home.mkdir(exist_ok=True)
    proxy = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and "KAGGLE" not in name}
    kept.pop("VERBOSE", None)
    environment = {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
        "NO_PROXY": "",
        "no_proxy": "",
    }
    if credentials:
        environment |= {"KAGGLE_USERNAME": "somebody", "KAGGLE_KEY": SECRET}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.stdout


def test_what_is_missing_partial_or_corrupt_is_fetched(tmp_path, kaggle, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    train, test = kaggle.files["train.7z"], kaggle.files["test.7z"]
    # A partial file with the client's own marker, and a file of the right size with a flipped byte.
    (folder / "train.7z").write_bytes(train[:100])
    (folder / "train.7z.kaggle-partial").write_text(json.dumps({"validator": '"v1"', "size": len(train)}))
    (folder / "test.7z").write_bytes(test[:40] + bytes([test[40] ^ 1]) + test[41:])

    out = run(folder, tmp_path / "home", kaggle.port)

    assert out.splitlines() == [
        f"{role} {len(kaggle.files[name])}"
        for role, name in [("train", "train.7z"), ("test", "test.7z"), ("sample", "sample_submission.7z")]
    ]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kaggle.files
    assert ("train.7z", "bytes=100-") in kaggle.downloads

    # Now that all is there, neither network nor credentials are needed, nor the client at all.
    monkeypatch.setattr(kaggle_client, "connect", None)
    files = fetch(Params(folder=folder), seed=0)
    assert list(read(files)) == [
        Recording("train", "yes/0a_nohash_0.wav", b"1" * 1_000, "yes", "0a"),
        Recording("test", "clip_a.wav", b"2" * 1_000),
    ]
    assert sample(files) == ["clip_a.wav"]
    assert answers(files) is None


def test_no_credentials(tmp_path, kaggle):
    out = run(tmp_path / "data", tmp_path / "home", kaggle.port, credentials=False)
    assert out.startswith("PipelineError: There are no Kaggle credentials")
    assert "https://www.kaggle.com/settings" in out
    assert "profiles/speech-commands.yaml" in out


@pytest.mark.parametrize(
    ("code", "message", "cure"),
    [
        (403, "You must accept this competition's rules", f"https://www.kaggle.com/c/{SLUG}/rules"),
        (401, "Unauthenticated", "Create a new token"),
    ],
)
def test_refusals(tmp_path, kaggle, code, message, cure):
    kaggle.refusal = (code, message)
    out = run(tmp_path / "data", tmp_path / "home", kaggle.port)
    assert f"({code}: {message})" in out
    assert cure in out


def test_corrupt_at_kaggle_too(tmp_path, kaggle):
    data = kaggle.files["test.7z"]
    kaggle.files["test.7z"] = data[:40] + bytes([data[40] ^ 1]) + data[41:]
    out = run(tmp_path / "data", tmp_path / "home", kaggle.port)
    assert "test.7z is damaged or incomplete" in out
    assert [name for name, _ in kaggle.downloads].count("test.7z") >= 2


def test_other_files_in_the_competition(tmp_path, kaggle):
    kaggle.files["train.zip"] = kaggle.files.pop("train.7z")
    out = run(tmp_path / "data", tmp_path / "home", kaggle.port)
    assert "has no file train.7z; it has: sample_submission.7z, test.7z, train.zip" in out


def test_no_network(tmp_path, kaggle):
    kaggle.server.shutdown()
    kaggle.server.server_close()
    out = run(tmp_path / "data", tmp_path / "home", kaggle.port)
    assert "Kaggle cannot be reached" in out
    assert f"https://www.kaggle.com/c/{SLUG}/data" in out
