"""report: one page to look at and to listen to, report/index.html: complete in one file, without a network."""

import webbrowser

from rich.console import Console

from pipeline import params
from pipeline.files import replacing
from pipeline.jobs.paging import content
from pipeline.layout import Layout
from pipeline.reporting.page import vega
from pipeline.reporting.page.columns import with_cells
from pipeline.reporting.page.render import render
from pipeline.reporting.page.story import story


def main(layout: Layout, then_open: bool = False) -> None:
    """Write the page from what the stages left, weights aside; `then_open` shows it in the browser.

    What is not made yet is told as such. Raises PipelineError as `paging.content` does.
    """
    told = content(layout, params.read(layout.params))
    groups = [with_cells(group, told["runs"]) for group in told["groups"]]
    page = render({**told, "groups": groups}, story(told), vega.script(layout.page_parts))
    with replacing(layout.report) as temporary:
        temporary.write_text(page, encoding="utf-8")
    heard = f", {len(told['media'])} clips to hear" if told["media"] else ""
    Console().print(f"{layout.report}: {len(page.encode()) / 1e6:.1f} MB{heard}", soft_wrap=True, highlight=False)
    if then_open:
        webbrowser.open(layout.report.resolve().as_uri())
