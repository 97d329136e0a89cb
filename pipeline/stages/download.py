"""download: make sure that the sources' files are there and whole, and list them in a manifest."""

from contextlib import chdir

from pipeline import params
from pipeline.files import write_json
from pipeline.jobs.downloading import fetched
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Fetch the sources that the section `download` names and write the manifest.

    Raises PipelineError if a source is unknown, its parameters are bad, or it cannot be had.
    """
    tree = params.read(layout.params)
    with chdir(layout.origin):
        manifest = fetched(tree)
    for listed in (manifest, *manifest["extra"]):
        for file in listed["files"]:
            print(f"{file['role']:8} {file['bytes'] / 1e6:10.1f} MB  {file['path']}")
    write_json(layout.manifest, manifest)
