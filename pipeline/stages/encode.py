"""encode: the hidden states of every clip in a speech encoder's layers, stored once for all probes that read them."""

from pipeline import params
from pipeline.features.hidden_states import NOTHING
from pipeline.files import replacing_folder
from pipeline.jobs.encoding import Encode, encode
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Write artifacts/encode, or where nothing is asked for one small file that is always the same.

    Raises PipelineError for bad parameters, or as `encoding.encode`.
    """
    tree = params.read(layout.params)
    settings = params.section(tree, "encode", Encode)
    if settings.is_asked:
        encode(layout, settings, params.seed(tree))
        return
    with replacing_folder(layout.encode) as folder:
        (folder / NOTHING).write_text("params.yaml asks for no hidden states (section encode)\n", encoding="utf-8")
