import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import sources
from pipeline.clips.recording import Recording, Rejected
from pipeline.errors import PipelineError
from pipeline.sources import archives


def test_a_source_is_found_by_its_file_s_name():
    assert {"archives", "demo", "kaggle"} <= set(sources.names())
    assert sources.find("archives").sample is archives.sample


def test_what_a_file_does_not_say_has_a_default():
    source = sources.find("fsd50k")
    assert source.sample([]) is None
    assert source.answers([]) is None


@pytest.mark.parametrize("name", ["nowhere", "_archive", "__init__", "../errors", ""])
def test_an_unknown_source_is_refused_with_the_known_ones(name):
    assert name not in sources.names()
    with pytest.raises(PipelineError, match=r"(?s)no pipeline/sources/.*Known sources: archives, .*params\.yaml"):
        sources.find(name)


@pytest.mark.parametrize("name", [*sources.names(), "one that is not there"])
def test_only_sources_that_say_so_are_kaggles(name):
    assert sources.is_kaggle(name) is (name in ("archives", "kaggle"))


def test_the_page_s_own_source_reads_every_sound_and_skips_no_file_in_silence(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "adding.md").read_text(encoding="utf-8")
    example: dict[str, Any] = {}
    exec(re.search(r"```python\n(.*?)```", page.split("## A source")[1], re.DOTALL)[1], example)
    sounds = ("yes/ann-0.wav", "yes/ann-1.WAV", "no/bob-0.flac", "no/bob-1.Mp3")
    for name in (*sounds, "no/notes.txt", "no/deeper/bob-2.wav", "cy-0.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = list(example["read"](example["fetch"](example["Params"](folder=tmp_path), 0)))
    assert [(item.name, item.speaker) for item in found if isinstance(item, Recording)] == [
        ("no/bob-0.flac", "bob"),
        ("no/bob-1.Mp3", "bob"),
        ("yes/ann-0.wav", "ann"),
        ("yes/ann-1.WAV", "ann"),
    ]
    assert [item.name for item in found if isinstance(item, Rejected)] == [
        *("cy-0.wav", "no/deeper/bob-2.wav", "no/notes.txt")
    ]
