"""bench: measure the pipeline against its peers and limits on this machine, in one table."""

import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from pipeline.benchmarks import networks, repro, table
from pipeline.files import replacing
from pipeline.jobs import benching
from pipeline.layout import Layout
from pipeline.locks import held_or_refused


def main(
    layout: Layout, archives: Path | None = None, rounds: int = 3, quick: bool = False, spotter: Path | None = None
) -> None:
    """Print the table and write docs/bench.md.

    `archives` is a folder with train.7z and test.7z; without one, a demo is made and compressed. `quick` is for trying
    it out: a tiny demo and few clips, whose numbers mean little, so they go to artifacts/bench.md. `spotter` is an ONNX
    file of somebody else's keyword spotter, to time beside ours.
    Raises PipelineError if another bench goes on, `archives` lacks them, `spotter` cannot be timed, or a step that is
    measured fails; what was measured before is printed.
    """
    if spotter is not None:
        networks.spotter_session(spotter)  # refused now, not after all that takes minutes
    console = Console()
    command = "python -m pipeline bench" + (f" --archives {archives}" if archives else "")
    command += f" --rounds {rounds}" + (" --quick" if quick else "")
    command += f" --spotter {spotter}" if spotter else ""
    notes = [f"Clips: {f'archives of {archives}' if archives else 'a demo made on the spot, compressed by LZMA2'}."]
    notes.append(f"Timed {rounds} times, ours and the other in turns: median (smallest to largest).")
    page = layout.artifacts / "bench.md" if quick else layout.root / "docs" / "bench.md"
    findings: list[table.Finding] = []
    cure = "Two would measure each other: wait until it has ended."
    with held_or_refused(layout.artifacts / "bench.lock", "Another bench of this project", cure):
        for left in layout.artifacts.glob("bench-*"):  # by a process that was killed
            shutil.rmtree(left)
        try:
            # On the project's own disk, where copying it is but linking.
            with tempfile.TemporaryDirectory(prefix="bench-", dir=layout.artifacts) as temporary:
                room = Path(temporary).resolve()
                console.print("bench: archives and prepare")
                folder = archives or benching.made_demo(room, quick)
                found, corpus, files = benching.of_prepare(room, folder, rounds, 200 if quick else 1500)
                findings += found
                console.print("bench: clips and front end")
                findings += benching.of_clips(corpus, files, rounds, 64 if quick else 512)
                console.print("bench: networks")
                findings += benching.of_networks(layout, corpus, rounds, 64 if quick else 1024, spotter)
                findings += benching.of_streaming(layout, corpus, rounds, (1,) if quick else (1, 2))
                console.print("bench: dvc repro")
                findings += benching.of_repro(layout, room / "project", rounds)
                many = (2, 2) if quick else (repro.MANY_RUNS, repro.MANY_FOLDS)
                findings.append(benching.of_many_runs(layout, room / "many", rounds, *many))
        finally:
            if findings:  # some minutes' worth, though a later step failed
                console.print(table.printed(findings))
    with replacing(page) as part:
        part.write_text(table.markdown(findings, command, notes), encoding="utf-8")
    print(f"Written to {page}")
