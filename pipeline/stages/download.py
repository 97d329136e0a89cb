"""download: make sure that a source's files are there and whole, and list them in a manifest."""

from contextlib import chdir
from dataclasses import asdict

from pipeline import params, sources
from pipeline.files import write_json
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Fetch the source that the section `download` names and write the manifest.

    Raises PipelineError if the source is unknown, its parameters are bad, or it cannot be had.
    """
    tree = params.read(layout.params)
    source, values = sources.named(tree.get("download"))
    with chdir(layout.origin):
        files = source.fetch(params.validate(values, source.Params, "download"), params.seed(tree))
    for file in files:
        print(f"{file.role:8} {file.bytes / 1e6:10.1f} MB  {file.path}")
    write_json(layout.manifest, {"source": tree["download"]["source"], "files": [asdict(file) for file in files]})
