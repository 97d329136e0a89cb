"""Which clips are chosen, how they are read, and which archives are refused."""

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas
import pytest

from pipeline import params
from pipeline.clips.recording import Rejected
from pipeline.clips.waveform import decode
from pipeline.errors import PipelineError
from pipeline.sources.mswc import Params, fetch, read
from tests.mswc_archives import ENGLISH, GERMAN, SPEAKERS, opus, pitch_hz, rows, tarball, write, write_lists


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mswc")
    write(folder, "en", ENGLISH)
    write(folder, "de", GERMAN)
    return folder


def settings(folder: Path, **changes) -> Params:
    section = {
        "languages": {"en": {"words": ["yes", "no"], "other_words": 23, "min_clips": 2}, "de": {"words": GERMAN}},
        **changes,
    }
    return params.validate({"folder": str(folder), "base_url": "http://127.0.0.1:9", **section}, Params, "download")


def test_words_of_two_languages_by_parameters_alone(published):
    files = fetch(settings(published), seed=1)
    assert [Path(file.path).parent.name for file in files[1:]] == ["splits", "splits", "audio", "audio"]
    clips = list(read(files))
    assert Counter(clip.word for clip in clips) == dict.fromkeys(ENGLISH + GERMAN, SPEAKERS)
    assert len({clip.word for clip in clips}) == 35
    first = clips[0]
    assert (first.name, first.word, first.split) == ("en/yes/common_voice_en_0.opus", "yes", None)
    assert first.speaker == f"en{0:0126}"
    assert first.metadata == {"language": "en", "gender": "male", "published_split": "TRAIN"}
    assert clips[1].metadata == {"language": "en", "published_split": "TRAIN"}  # NAN is no gender
    decoded = decode(clips[-1].data)
    assert len(decoded.samples) == 16_000
    loudest = np.argmax(np.abs(np.fft.rfft(decoded.samples)))  # in Hz, of one second
    assert abs(loudest - pitch_hz(clips[-1].word)) <= 2
    assert decoded.note is None  # each clip of Opus is at 48 kHz: five million lines would tell nothing


def test_the_cap_takes_as_many_speakers_as_there_are(tmp_path):
    listed = rows("en", ["yes"]) + [
        ("TRAIN", f"yes/more_{number}.opus", "yes", "True", f"en{0:0126}", "MALE") for number in range(20)
    ]
    write_lists(tmp_path, "en", listed)
    tarball(tmp_path / "audio" / "en.tar.gz", {})
    wanted = settings(tmp_path, languages={"en": {"words": ["yes"]}}, clips_per_word=7)
    chosen = pandas.read_csv(fetch(wanted, seed=1)[0].path)
    assert len(chosen) == 7
    assert chosen["speaker"].nunique() == SPEAKERS
    again = [fetch(wanted, seed=seed)[0].sha256 for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_other_words_are_drawn_and_are_neither_rare_nor_called_like_a_label(tmp_path):
    listed = [*rows("en", ["yes", "no", "silence", "unknown"]), *rows("en", ["rare"])[:2]]
    write_lists(tmp_path, "en", listed)
    tarball(tmp_path / "audio" / "en.tar.gz", {})

    def words(count):
        languages = {"en": {"words": ["yes"], "other_words": count, "min_clips": 3}}
        return set(pandas.read_csv(fetch(settings(tmp_path, languages=languages), seed=3)[0].path)["word"])

    assert words(1) == {"yes", "no"}
    with pytest.raises(PipelineError, match=r"1 other words with 3 clips or more; asked for are 2.*\n.*languages\.en"):
        words(2)


def test_invalid_clips_are_none_and_clips_that_are_not_there_are_told(tmp_path):
    listed = rows("en", ["yes"])
    listed[2] = (*listed[2][:3], "False", "NA", "NAN")
    write(tmp_path, "en", ["yes"], listed)
    tarball(tmp_path / "audio" / "en.tar.gz", {f"en/clips/{row[1]}": opus("yes", 0) for row in listed[:-1]})
    found = list(read(fetch(settings(tmp_path, languages={"en": {"words": ["yes"]}}), seed=1)))
    assert [item.name[-6] for item in found] == ["0", "1", "3", "4", "5"]
    assert found[-1] == Rejected("train", "en/yes/common_voice_en_5.opus", "in the lists, but not in en.tar.gz")


def test_published_lists_are_kept_and_no_speaker_is_on_two_sides(tmp_path, capsys):
    shared = ("TRAIN", "yes/shared.opus", "yes", "True", f"en{5:0126}", "MALE")  # who is in TEST too
    write(tmp_path, "en", ["yes"], [*rows("en", ["yes"]), shared])
    clips = list(read(fetch(settings(tmp_path, languages={"en": {"words": ["yes"]}}, splits="published"), seed=1)))
    assert [clip.split for clip in clips] == ["train"] * 4 + ["validation", "holdout"]
    assert "6 of 7 clips of 1 words; 1 left out, since their speakers judge" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ({"en": {"words": ["yess"]}}, r"lists no clip of yess, among 25 words\. Near are: yes\.\n.*languages\.en"),
        ({"en": {"words": ["silence"]}}, "reserved: silence"),
        ({"../en": {"words": ["yes"]}}, "section download"),
        ({"en": {}}, "name words, or say how many other_words"),
        ({"fr": {"words": ["oui"]}}, r"splits/fr\.tar\.gz cannot be downloaded"),
    ],
)
def test_what_cannot_be_had_is_refused(published, monkeypatch, languages, message):
    monkeypatch.setattr("pipeline.sources.speech_commands._WAITS_S", ())
    with pytest.raises(PipelineError, match=message):
        fetch(settings(published, languages=languages), seed=1)


def link_to_elsewhere(name):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (tarfile.TarInfo("en/clips/../../../yes/a.opus"), "unsafe name"),
        (tarfile.TarInfo("/en/clips/yes/a.opus"), "unsafe name"),
        (link_to_elsewhere("en/clips/yes/common_voice_en_0.opus"), "link, device or pipe"),
    ],
)
def test_hostile_members_are_refused(tmp_path, odd, message):
    write_lists(tmp_path, "en", rows("en", ["yes"]))
    tarball(tmp_path / "audio" / "en.tar.gz", {}, odd)
    files = fetch(settings(tmp_path, languages={"en": {"words": ["yes"]}}), seed=1)
    with pytest.raises(PipelineError, match=message):
        list(read(files))


def test_damaged_or_other_lists_are_refused(tmp_path):
    write(tmp_path, "en", ["yes"])
    path = tmp_path / "splits" / "en.tar.gz"
    whole = path.read_bytes()
    wanted = settings(tmp_path, languages={"en": {"words": ["yes"]}})
    path.write_bytes(whole[:200])
    with pytest.raises(PipelineError, match="damaged or incomplete"):
        fetch(wanted, seed=1)
    for members, message in (
        ({"en_splits.csv": b"LINK,WORD\n"}, r"first line must be 'SET,LINK.*found 'LINK,WORD'"),
        ({"en_splits.csv": b"SET,LINK,WORD,VALID,SPEAKER,GENDER\nTRAIN,a\n"}, "expected 6 values a line"),
        ({"en_splits.csv": b"SET,LINK,WORD,VALID,SPEAKER,GENDER\nX,a,b,True,c,d\n"}, "split of a is 'X'"),
        ({"de_splits.csv": b""}, r"holds no file 'en_splits\.csv'"),
    ):
        tarball(path, members)
        with pytest.raises(PipelineError, match=message):
            fetch(wanted, seed=1)
