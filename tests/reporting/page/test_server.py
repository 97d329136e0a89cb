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


def test_a_taken_port_is_refused(address):
    with pytest.raises(PipelineError, match="--port 0"):
        serve(int(address.rsplit(":", 1)[1]), str, str)
