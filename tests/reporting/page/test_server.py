import socket
import struct
import threading
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from pipeline.errors import PipelineError
from pipeline.reporting.page.server import serve


@pytest.fixture
def address():
    def now():
        raise PipelineError("params.yaml is half written")

    server = serve(0, lambda: "<p>the page</p>", now)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_serves_the_page_to_this_machine_alone(address):
    with urlopen(f"{address}/") as answer:
        assert answer.read() == b"<p>the page</p>"
        assert answer.headers["Cache-Control"] == "no-store"
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(f"{address}/", headers={"Host": "elsewhere.example"}))
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{address}/params.yaml")


def test_what_is_wrong_is_told(address):
    with pytest.raises(HTTPError) as told:
        urlopen(f"{address}/live.json")
    assert told.value.code == 503
    assert told.value.read() == b"params.yaml is half written"


def test_what_a_stage_has_replaced_meanwhile_is_told():
    def page():
        raise FileNotFoundError(2, "No such file or directory", "metrics.json")

    server = serve(0, page, dict)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(HTTPError) as told:
        urlopen(f"http://127.0.0.1:{server.server_port}/")
    assert (told.value.code, b"metrics.json" in told.value.read()) == (503, True)
    server.shutdown()
    server.server_close()


def test_a_taken_port_is_refused(address):
    with pytest.raises(PipelineError, match="--port 0"):
        serve(int(address.rsplit(":", 1)[1]), str, str)


@pytest.mark.parametrize("request_text", ["GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /"])
def test_a_browser_that_goes_away_leaves_no_trace(request_text, capsys):
    """A window that is closed while the page is made, or before it has asked."""
    asked, gone, ended = threading.Event(), threading.Event(), threading.Event()

    def page():
        asked.set()
        assert gone.wait(30)
        return "x" * 10_000_000

    server = serve(0, page, dict)
    end = server.shutdown_request
    server.shutdown_request = lambda request: (end(request), ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    window = socket.create_connection(("127.0.0.1", server.server_port))
    window.sendall(request_text.encode())
    assert "HTTP" not in request_text or asked.wait(30)
    window.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed at once
    window.close()
    gone.set()
    assert ended.wait(30)
    with urlopen(f"http://127.0.0.1:{server.server_port}/live.json") as answer:
        assert answer.read() == b"{}"
    server.shutdown()
    server.server_close()
    assert capsys.readouterr().err == ""
