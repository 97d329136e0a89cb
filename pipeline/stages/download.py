"""download: make sure that a source's files are there and whole, and list them in a manifest."""

from dataclasses import asdict

from pipeline import params, sources
from pipeline.errors import PipelineError
from pipeline.files import write_json
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Fetch the source that the section `download` names and write the manifest.

    Raises PipelineError if the source is unknown, its parameters are bad, or it cannot be had.
    """
    tree = params.read(layout.params)
    values = tree.get("download")
    if not isinstance(values, dict) or not isinstance(values.get("source"), str):
        raise PipelineError(
            f"params.yaml, section download: 'source' must name a data source; found {values!r}.\n"
            f"Known sources: {', '.join(sources.names())}."
        )
    source = sources.find(values["source"])
    own = {key: value for key, value in values.items() if key != "source"}
    files = source.fetch(params.validate(own, source.Params, "download"), params.seed(tree))
    for file in files:
        print(f"{file.role:8} {file.bytes / 1e6:10.1f} MB  {file.path}")
    write_json(layout.manifest, {"source": values["source"], "files": [asdict(file) for file in files]})
