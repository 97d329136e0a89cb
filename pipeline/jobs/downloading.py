"""The section `download` of params.yaml: the source whose clips are judged, and further ones that only train."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import params, sources
from pipeline.clips.recording import Take
from pipeline.errors import PipelineError
from pipeline.settings import Settings


class Extra(Settings):
    """The keys of an entry of download.extra beside the source's own: see `pipeline.clips.extra.Extra`."""

    take: Take = "all"
    unknown: bool = False


@dataclass(frozen=True)
class NamedSource:
    """A source with its parameters; `label` is what column `source` of the corpus calls it."""

    label: str
    name: str
    source: sources.Source
    params: Settings
    extra: Extra


def sources_of(tree: dict[str, Any]) -> list[NamedSource]:
    """Return the sources of the section `download`, the one whose clips are judged first.

    Two of the same name are called <name> and <name>-2. Raises PipelineError for what is wrong in the section.
    """
    section = tree.get("download")
    entries = (section.get("extra") if isinstance(section, dict) else None) or []
    if not isinstance(entries, list):
        raise PipelineError(f"params.yaml, download.extra: expected a list of sources; found {entries!r}.")
    named, seen = [], Counter[str]()
    for place, entry in enumerate([section, *entries]):
        where = f"download.extra.{place - 1}" if place else "download"
        if not isinstance(entry, dict):
            sources.named(entry)  # which refuses it
        own = {**entry}
        if place and "extra" in own:
            raise PipelineError(f"params.yaml, section {where}: an extra source has no `extra` of its own.")
        keys = Extra.model_fields if place else ()
        extra = params.validate({key: value for key, value in own.items() if key in keys}, Extra, where)
        source, values = sources.named({key: value for key, value in own.items() if key not in keys})
        name = own["source"]
        seen[name] += 1
        label = name if seen[name] == 1 else f"{name}-{seen[name]}"
        named.append(NamedSource(label, name, source, params.validate(values, source.Params, where), extra))
    return named


def fetched(tree: dict[str, Any]) -> dict[str, Any]:
    """Have every source fetch its files; return the manifest. Raises PipelineError as `sources_of` and the sources."""
    first, *others = [(each, each.source.fetch(each.params, params.seed(tree))) for each in sources_of(tree)]
    extra = [
        {"label": each.label, "source": each.name, **each.extra.model_dump(), "files": [asdict(file) for file in files]}
        for each, files in others
    ]
    return {"source": first[0].name, "files": [asdict(file) for file in first[1]], "extra": extra}
