"""compare: one table of all runs, from what the stages left: cost, accuracy with its interval, the authors' figure."""

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.files import replacing
from pipeline.jobs.comparing import rows_of, with_gains
from pipeline.layout import Layout
from pipeline.reporting import comparison


def main(layout: Layout, into: Path | None = None, against: str | None = None) -> None:
    """Write artifacts/compare/table.md and table.csv, print the table, and put it into the file `into`, if given.

    `against` names a run: then there is a column of the paired differences to it. A terminal that is too narrow for all
    columns gets the most important ones.
    Runs that are not decided yet are left out by name. Raises PipelineError if none is decided, or not `against`.
    """
    tree = params.read(layout.params)
    rows, lacking = rows_of(layout, tree)
    if not rows:
        raise PipelineError("No run is decided yet, so there is nothing to compare. Run: dvc repro")
    if against is not None:
        rows = with_gains(rows, layout, tree, against)
    table = comparison.markdown(rows)
    for name, text in (("table.md", table), ("table.csv", comparison.to_csv(rows))):
        with replacing(layout.comparison / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    if into is not None:
        comparison.put_into(into, table)
    console = Console()
    if console.is_terminal:
        fits = console.width >= max(map(len, table.splitlines()))
        console.print(Markdown(table if fits else comparison.markdown(rows, comparison.SHORT)))
    else:
        print(table)
    if against is not None:
        console.print(
            f"difference: to the estimate of {against}, on the clips of both, under its prior", soft_wrap=True
        )
    if lacking:
        console.print(f"Not decided yet: {', '.join(lacking)}. Run: dvc repro", soft_wrap=True)
    console.print(f"{layout.comparison / 'table.md'} and table.csv", soft_wrap=True)
