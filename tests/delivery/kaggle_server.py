"""A server on this machine that speaks the protocol of the real Kaggle client, keeps state, and fails as planned.

    with KaggleServer() as server:
        server.plan("CreateSubmission", Fault(lost_reply=True))
        subprocess.run([...], env={**server.environment(home), **server.key()})

The client reaches it as http://localhost through the proxy variables that `environment` sets. Services are added with
`server.routes["kernels.KernelsApiService/SaveKernel"] = handler`, `handler(body, headers) -> (status, JSON)`; what is
uploaded to `http://localhost/storage/upload/NAME` lands in `server.blobs[NAME]`.
"""

import base64
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

COMPETITION = "tensorflow-speech-recognition-challenge"
USERNAME, KEY, TOKEN = "somebody", "0123456789abcdef-planted-key", "KGAT_fedcba9876543210-planted-token"

Handler = Callable[[dict[str, Any], dict[str, str]], tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. `bytes` are counted in the body, of an upload or of a download."""

    status: int = 0  # answer this, do nothing else
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0  # before anything is done
    cut_bytes: int | None = None  # close the connection after so many of the body
    stall: bool = False  # once `cut_bytes` are there, do not close it but wait
    lost_reply: bool = False  # do what was asked, then answer `status`, or close the connection without an answer
    hang: bool = False  # do what was asked, never answer


@dataclass(frozen=True)
class Request:
    method: str
    path: str  # without /api/v1/
    headers: dict[str, str]
    body: Any  # JSON as Python values; bytes for an upload


class KaggleServer:
    """The competition, the account and the blobs are plain attributes that a test may set or read at any time."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.competition = COMPETITION
        self.files = {"sample_submission.7z": b"not really an archive"} if files is None else files
        self.page_size = 20  # the most that a list gives at once
        self.rules_accepted = True
        self.daily_limit = 5
        self.made_before = 0  # submissions of today that are not listed
        self.submissions: list[dict[str, Any]] = []  # oldest first, as ListSubmissions gives them
        self.scores: tuple[str, str] = ("0.84703", "0.85727")  # public, private
        self.scoring_error = ""
        self.pending_lists = 0  # how many lists show a new submission as pending
        self.hidden_lists = 0  # how many lists do not show a new submission at all
        self.leaderboard = [f"{0.91 - 0.001 * place:.5f}" for place in range(100)]
        self.blobs: dict[str, bytes] = {}
        self._names: dict[str, str] = {}  # of what is uploaded
        self.requests: list[Request] = []
        self.step_s = 0.0  # how long each request takes
        self.on_request: Callable[[str], None] = lambda step: None  # before it is answered
        self.on_answer: Callable[[str], None] = lambda step: None  # once it is
        self.routes: dict[str, Handler] = {
            "security.OAuthService/IntrospectToken": self._introspect,
            "competitions.CompetitionApiService/ListDataFiles": self._list_files,
            "competitions.CompetitionApiService/DownloadDataFile": self._download,
            "competitions.CompetitionApiService/StartSubmissionUpload": self._start_submission,
            "competitions.CompetitionApiService/CreateSubmission": self._create_submission,
            "competitions.CompetitionApiService/GetSubmissionLimits": self._limits,
            "competitions.CompetitionApiService/ListSubmissions": self._list_submissions,
            "competitions.CompetitionApiService/GetLeaderboard": self._leaderboard,
            "blobs.BlobApiService/StartBlobUpload": self._start_blob,
        }
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._lock = threading.RLock()
        self._closing = threading.Event()
        server = self

        class Connection(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server._post(self)
                server.on_answer(self.path.rsplit("/", 1)[-1])

            def do_PUT(self) -> None:
                server._put(self)
                server.on_answer("PUT")

            def do_GET(self) -> None:
                server._get(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Connection)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *args: None  # type: ignore[method-assign]  # clients that were killed
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """From now on nobody can be reached here."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    def plan(self, step: str, *faults: Fault) -> None:
        """Let the next requests of `step` fail, one fault each: a method's name, "PUT" (uploads), "GET" (downloads)."""
        self._faults[step] += faults

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables with which a process finds this server; no credentials and no network beside it."""
        strange = ("KAGGLE", "VERBOSE")
        kept = {
            name: value
            for name, value in os.environ.items()
            if "proxy" not in name.lower() and not name.startswith(strange)
        }
        home.mkdir(parents=True, exist_ok=True)
        proxy = f"http://127.0.0.1:{self._http.server_port}"
        proxies = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        xdg = {"XDG_CONFIG_HOME": str(home / ".config")}
        return {**kept, **proxies, **xdg, "HOME": str(home), "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}

    @staticmethod
    def key() -> dict[str, str]:
        return {"KAGGLE_USERNAME": USERNAME, "KAGGLE_KEY": KEY}

    @staticmethod
    def token() -> dict[str, str]:
        return {"KAGGLE_API_TOKEN": TOKEN}

    def asked(self, step: str) -> list[Request]:
        """Return the requests of a step, as `plan` names them."""
        return [request for request in list(self.requests) if _step(request) == step]

    # Requests

    def _log(self, connection: BaseHTTPRequestHandler, body: Any) -> Fault:
        path = urlsplit(connection.path).path.removeprefix("/api/v1/")
        request = Request(connection.command, path, dict(connection.headers), body)
        with self._lock:
            self.requests.append(request)
            planned = self._faults[_step(request)]
            fault = planned.pop(0) if planned else Fault()
        self.on_request(_step(request))
        self._closing.wait(self.step_s + fault.wait_s)
        return fault

    def _post(self, connection: BaseHTTPRequestHandler) -> None:
        body = json.loads(connection.rfile.read(int(connection.headers["Content-Length"])))
        fault = self._log(connection, body)
        path = urlsplit(connection.path).path.removeprefix("/api/v1/")
        refusal = (fault.status, _error(fault.status, fault.message), fault.headers)
        if fault.status and not fault.lost_reply:
            return self._send(connection, *refusal)
        if path not in self.routes:
            return self._send(connection, 404, _error(404, f"no route {path}"))
        if path != "security.OAuthService/IntrospectToken" and not self._known(connection.headers["Authorization"]):
            return self._send(connection, 401, _error(401, "Unauthenticated"))
        with self._lock:
            status, value = self.routes[path](body, dict(connection.headers))
        if fault.hang:
            self._closing.wait()
        if fault.lost_reply or fault.hang:
            return self._send(connection, *refusal) if fault.status else None
        if status == 302:
            return self._send(connection, 302, {}, {"Location": value["url"]})
        return self._send(connection, status, value)

    def _put(self, connection: BaseHTTPRequestHandler) -> None:
        length = int(connection.headers["Content-Length"])
        planned = self._faults["PUT"]
        cut = planned[0].cut_bytes if planned else None
        data = connection.rfile.read(length if cut is None else min(cut, length))
        fault = self._log(connection, data)
        if fault.stall:
            self._closing.wait()
        if fault.cut_bytes is not None:
            return None
        if fault.status:
            return self._send(connection, fault.status, {}, fault.headers)
        self.blobs[urlsplit(connection.path).path.rsplit("/", 1)[-1]] = data
        if fault.hang:
            self._closing.wait()
        if fault.lost_reply or fault.hang:
            return None
        return self._send(connection, 200, {})

    def _get(self, connection: BaseHTTPRequestHandler) -> None:
        fault = self._log(connection, None)
        data = self.files.get(urlsplit(connection.path).path.rsplit("/", 1)[-1])
        if data is None or fault.status:
            return self._send(connection, fault.status or 404, {}, fault.headers)
        asked = connection.headers["Range"]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        connection.send_response(206 if asked else 200)
        connection.send_header("Accept-Ranges", "bytes")
        connection.send_header("ETag", '"v1"')
        connection.send_header("Last-Modified", "Wed, 15 Nov 2017 00:00:00 GMT")
        connection.send_header("Content-Length", str(len(data) - start))
        connection.end_headers()
        end = len(data) if fault.cut_bytes is None else start + fault.cut_bytes
        connection.wfile.write(data[start:end])
        if fault.stall:
            connection.wfile.flush()
            self._closing.wait()
        return None

    def _send(
        self,
        connection: BaseHTTPRequestHandler,
        status: int,
        value: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> None:
        text = json.dumps(value).encode()
        connection.send_response(status)
        for name, content in {"Content-Type": "application/json", **(headers or {})}.items():
            connection.send_header(name, content)
        connection.send_header("Content-Length", str(len(text)))
        connection.end_headers()
        connection.wfile.write(text)

    @staticmethod
    def _known(authorization: str | None) -> bool:
        basic = "Basic " + base64.b64encode(f"{USERNAME}:{KEY}".encode()).decode()
        return authorization in (basic, f"Bearer {TOKEN}")

    # Services

    def _introspect(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        return (200, {"active": True, "username": USERNAME}) if body["token"] == TOKEN else (200, {"active": False})

    def _list_files(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if body["competitionName"] != self.competition:
            return 403, _error(403, "Permission 'competitions.get' was denied")
        names = sorted(self.files)
        first, last = self._page(body, len(names))
        files = [{"name": name, "totalBytes": len(self.files[name])} for name in names[first:last]]
        return 200, {"files": files, "nextPageToken": str(last) if last < len(names) else ""}

    def _download(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if not self.rules_accepted or body["competitionName"] != self.competition:
            message = "You must accept this competition's rules before you'll be able to download files."
            return 403, _error(403, message)
        return 302, {"url": f"http://localhost/storage/files/{body['fileName']}?signature=planted"}

    def _start_submission(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if not self.rules_accepted or body.get("competitionName") != self.competition:
            return 403, _error(403, "Permission 'competitions.participate' was denied")
        return self._start_blob(body, headers)

    def _start_blob(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        number = len(self.asked("StartSubmissionUpload")) + len(self.asked("StartBlobUpload"))
        token = f"blob-{number}"
        self._names[token] = body.get("fileName") or body.get("name", "")
        return 200, {"token": token, "createUrl": f"http://localhost/storage/upload/{token}"}

    def _create_submission(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if body["blobFileTokens"] not in self.blobs:
            return 400, _error(400, "Submission file was not uploaded")
        if self._left() <= 0:
            return 400, _error(400, "Your team has used its daily Submission allowance.")
        ref = 50_000_001 + len(self.submissions)
        self.submissions.append(
            {
                "ref": ref,
                "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "description": body.get("submissionDescription", ""),
                "fileName": self._names[body["blobFileTokens"]],
                "totalBytes": len(self.blobs[body["blobFileTokens"]]),
                "status": "PENDING",
                "blob": body["blobFileTokens"],
                "pending": self.pending_lists,
                "hidden": self.hidden_lists,
            }
        )
        return 200, {"message": "Successfully submitted", "ref": ref}

    def _limits(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if body["competitionName"] != self.competition:
            return 403, _error(403, "Permission 'competitions.get' was denied")
        if not self.rules_accepted:
            return 200, {}
        today = len(self.submissions) + self.made_before
        return 200, {"numToday": today, "numTotal": today, "numAllowedNow": max(0, self._left())}

    def _left(self) -> int:
        return self.daily_limit - self.made_before - len(self.submissions)

    def _list_submissions(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        first_page = not body.get("pageToken")
        shown = []
        for one in reversed(self.submissions):
            if one.get("hidden", 0) > 0:
                one["hidden"] -= first_page
                continue
            if one["status"] == "PENDING" and first_page:
                if one.get("pending", 0) > 0:
                    one["pending"] -= 1
                elif self.scoring_error:
                    one |= {"status": "ERROR", "errorDescription": self.scoring_error}
                else:
                    one |= {"status": "COMPLETE", "publicScore": self.scores[0], "privateScore": self.scores[1]}
            shown.append({name: value for name, value in one.items() if name not in ("blob", "pending", "hidden")})
        first, last = self._page(body, len(shown))
        return 200, {"submissions": shown[first:last], "nextPageToken": str(last) if last < len(shown) else ""}

    def _leaderboard(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        first, last = self._page(body, len(self.leaderboard))
        rows = [
            {"teamId": place, "teamName": f"team {place}", "submissionDate": "2018-01-16T00:00:00Z", "score": score}
            for place, score in enumerate(self.leaderboard)
        ]
        return 200, {"submissions": rows[first:last], "nextPageToken": str(last) if last < len(rows) else ""}

    def _page(self, body: dict[str, Any], count: int) -> tuple[int, int]:
        first = int(body.get("pageToken") or 0)
        return first, min(count, first + min(body.get("pageSize") or 20, self.page_size))


def too_many(retry_after: str = "0.2") -> Fault:
    return Fault(status=429, message="Too many requests", headers={"Retry-After": retry_after})


def wait_until(condition: Callable[[], Any], limit_s: float = 120) -> None:
    """Wait until the condition holds. Raises TimeoutError."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.005)


def _step(request: Request) -> str:
    return request.path.rsplit("/", 1)[-1] if request.method == "POST" else request.method


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": "REFUSED"}}
