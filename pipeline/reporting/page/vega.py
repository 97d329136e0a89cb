"""The scripts that draw the page's charts: Vega, Vega-Lite and Vega-Embed as one."""

from importlib.metadata import version
from pathlib import Path

from pipeline.files import replacing

# What the page needs of them: one function.
SNIPPET = "window.vegaEmbed = vegaEmbed;"


def script(folder: Path) -> str:
    """Return the script, 0.9 MB. vl-convert carries it and takes over a second to make it, so `folder` keeps it."""
    kept = folder / f"vega-embed-{version('vl-convert-python')}.js"
    if not kept.exists():
        from vl_convert import javascript_bundle

        folder.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as temporary:
            temporary.write_text(str(javascript_bundle(SNIPPET)).replace("</script", "<\\/script"), encoding="utf-8")
    return kept.read_text(encoding="utf-8")
