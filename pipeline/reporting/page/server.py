"""The live page's server: this machine alone can reach it, and it answers two questions."""

import json
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.errors import PipelineError

HOST = "127.0.0.1"


def serve(port: int, page: Callable[[], str], now: Callable[[], Any]) -> ThreadingHTTPServer:
    """Return a server of `page` at / and of `now` as JSON at /live.json; call `serve_forever`. Port 0 takes a free one.

    A PipelineError or OSError of theirs becomes an answer that tells it. Raises PipelineError if the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):  # the browser went away: nobody is left to answer
                super().handle()

        def do_GET(self) -> None:
            # A page of elsewhere that has made its name mean this machine must not read this one.
            if self.headers.get("Host", "").partition(":")[0] not in (HOST, "localhost"):
                return self._answer(HTTPStatus.FORBIDDEN, "text/plain", "Only this machine may ask.")
            try:
                if self.path in ("/", "/index.html"):
                    return self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page())
                if self.path == "/live.json":
                    return self._answer(HTTPStatus.OK, "application/json", json.dumps(now()))
            except (PipelineError, OSError) as error:  # or a stage has replaced what was being read
                return self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", str(error))
            return self._answer(HTTPStatus.NOT_FOUND, "text/plain", "There is / and /live.json.")

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
            for name, value in {**headers, "X-Content-Type-Options": "nosniff"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the browser asks every two seconds."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise PipelineError(
            f"Cannot listen on {HOST}:{port}: {error.strerror}.\nTake another: python -m pipeline watch --port 0"
        ) from None
    server.daemon_threads = True
    return server
