"""export: a trained run as one ONNX file, samples in, probabilities out, held against torch. Outside `dvc repro`."""

from rich.console import Console
from rich.table import Table

from pipeline.export.latency import PRIZE_BYTES, PRIZE_MS
from pipeline.jobs.exporting import export
from pipeline.jobs.judging_exports import Exported
from pipeline.layout import Layout

ROWS = ("bytes", "hears, ms", "takes, ms", "99 %, ms", "accuracy", "95 %", "same label", "farthest from torch")


def main(layout: Layout, run: str, int8: bool = False, streaming: bool = False, fold: int | None = None) -> None:
    """Write artifacts/export/<run>/: <run>.onnx, as asked <run>.int8.onnx and <run>.streaming.onnx, with both wishes
    <run>.streaming.int8.onnx too; print figures.

    `fold` is by default the first that is trained. Raises PipelineError if the run is no trained network over audio, or
    the file's probabilities of the validation clips are not those of torch; nothing is written then.
    """
    before = {path.name for path in layout.export(run).glob("*.onnx")}
    files = export(layout, run, fold, int8, streaming)
    if gone := sorted(before - {each.file for each in files}):
        print(f"Removed, since this export was not asked for them: {', '.join(gone)}")
    table = Table("", title=run)
    for each in files:
        kinds = each.file.removeprefix(f"{run}.").removesuffix("onnx").split(".")[:-1]
        table.add_column("\n".join(kinds) or "float32", no_wrap=True)
    table.add_column("the prize", no_wrap=True)
    limits = (f"{PRIZE_BYTES:,}", "1000", f"{PRIZE_MS:g}", *[""] * 5)
    for name, *cells in zip(ROWS, *map(_cells, files), limits, strict=True):
        table.add_row(name, *cells)
    Console().print(table)
    said = " A streaming file is held against the sliding second." * streaming
    print(f"Written to {layout.export(run)}. Times are of one thread here, the prize's of a Raspberry Pi 3.{said}")


def _cells(each: Exported) -> tuple[str, ...]:
    return (
        f"{each.bytes:,}",
        str(each.hears_ms),
        f"{each.median_ms:.2f}",
        f"{each.p99_ms:.2f}",
        f"{each.figure:.4f}",
        "" if each.low is None else f"{each.low:.3f}-{each.high:.3f}",
        f"{each.agreement:.2%}",
        f"{each.farthest:.1e}",
    )
