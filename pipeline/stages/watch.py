"""watch: the page while training goes on, on this machine alone: curves as they grow, time left, the machine's load."""

import threading
import webbrowser

from rich.console import Console

from pipeline import params
from pipeline.jobs import watching
from pipeline.jobs.paging import content_or_error
from pipeline.layout import Layout
from pipeline.reporting.page import vega
from pipeline.reporting.page.columns import with_cells
from pipeline.reporting.page.render import render
from pipeline.reporting.page.server import HOST, serve
from pipeline.reporting.page.story import story


def main(layout: Layout, port: int, then_open: bool = False) -> None:
    """Serve the page at 127.0.0.1 until it is interrupted. Raises PipelineError for bad parameters or a taken port."""
    params.read(layout.params)
    made: dict[str, str] = {}
    lock = threading.Lock()  # a page takes a second; two windows need not make it twice

    def page() -> str:
        with lock:
            version = watching.version(layout)
            if version not in made:
                told = {**content_or_error(layout, params.read(layout.params)), "version": version}
                groups = [with_cells(group, told["runs"]) for group in told["groups"]]
                made.clear()
                scripts = vega.script(layout.page_parts)
                made[version] = render({**told, "groups": groups}, story(told), scripts, live=True)
            return made[version]

    server = serve(port, page, lambda: watching.now(layout, params.read(layout.params)))
    address = f"http://{HOST}:{server.server_port}/"
    Console().print(f"{address}  (until Ctrl-C)", highlight=False, soft_wrap=True)
    if then_open:
        webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
