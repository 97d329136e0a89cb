from types import SimpleNamespace

import pytest

from pipeline import sources
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.layout import Layout
from pipeline.settings import Settings
from pipeline.sources import SourceFile
from pipeline.stages import download


class Params(Settings):
    folder: str


def fetch(params, seed):
    return [SourceFile("train", f"{params.folder}/{seed}.7z", 2_500_000, "ab" * 32)]


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "find", lambda name: SimpleNamespace(Params=Params, fetch=fetch))
    return Layout(tmp_path)


def test_the_manifest_lists_what_the_source_found(layout, capsys):
    write_json(layout.params, {"seed": 5, "download": {"source": "fake", "folder": "here"}})
    download.main(layout)
    assert read_json(layout.manifest) == {
        "source": "fake",
        "files": [{"role": "train", "path": "here/5.7z", "bytes": 2_500_000, "sha256": "ab" * 32}],
        "extra": [],
    }
    assert "2.5 MB  here/5.7z" in capsys.readouterr().out


def test_extra_sources_are_listed_after_the_one_whose_clips_are_judged(layout):
    extra = [
        {"source": "fake", "folder": "there", "take": "noise"},
        {"source": "other", "folder": "x", "unknown": True},
    ]
    write_json(layout.params, {"seed": 5, "download": {"source": "fake", "folder": "here", "extra": extra}})
    download.main(layout)
    manifest = read_json(layout.manifest)
    assert manifest["source"] == "fake"
    told = [[listed[key] for key in ("label", "source", "take", "unknown")] for listed in manifest["extra"]]
    assert told == [["fake-2", "fake", "noise", False], ["other", "other", "all", True]]
    assert [listed["files"][0]["path"] for listed in manifest["extra"]] == ["there/5.7z", "x/5.7z"]


def with_extra(*entries):
    return {"source": "fake", "folder": "here", "extra": list(entries)}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (None, "'source' must name"),
        ({"folder": "here"}, "'source' must name"),
        ({"source": "fake"}, "folder: missing"),
        ({"source": "fake", "folder": "here", "foldr": "x"}, "foldr: unknown key"),
        (with_extra({"folder": "x"}), "'source' must name"),
        (with_extra({"source": "fake"}), r"download\.extra\.0:\n  folder: missing"),
        (with_extra({"source": "fake", "folder": "x", "take": "some"}), r"download\.extra\.0:\n  take"),
        (with_extra(with_extra()), r"download\.extra\.0: an extra source has no `extra`"),
        ({"source": "fake", "folder": "here", "extra": {"source": "fake"}}, "expected a list of sources"),
    ],
)
def test_a_bad_section_is_refused(layout, section, message):
    write_json(layout.params, {"seed": 5, "download": section})
    with pytest.raises(PipelineError, match=message):
        download.main(layout)
    assert not layout.manifest.exists()
