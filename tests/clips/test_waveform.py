import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from pipeline.clips import waveform
from pipeline.clips.waveform import CLIP_SAMPLES, SAMPLE_RATE_HZ, UnreadableAudio, decode, fit

RAMP = np.array([0, 1, -1, 32767, -32768, 1000], dtype=np.int16)


def wav(samples: np.ndarray, rate_hz: int = 16_000, channels: int = 1, bits: int = 16, extra: bytes = b"") -> bytes:
    """Return a plain PCM WAV; `extra` chunks lie between header and audio."""
    pcm = samples.tobytes()
    frame = channels * bits // 8
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate_hz, rate_hz * frame, frame, bits)
    body = head + extra + struct.pack("<4sI", b"data", len(pcm)) + pcm
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


def coded(samples: np.ndarray, rate_hz: int = 16_000, container: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def tone(rate_hz: int, seconds: float = 0.5, frequency_hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate_hz * seconds)) / rate_hz)


def test_plain_wav_is_taken_as_it_is():
    decoded = decode(wav(RAMP))
    assert decoded.samples.dtype == np.int16
    assert decoded.samples.tolist() == RAMP.tolist()
    assert decoded.note is None


def test_fast_and_general_way_agree():
    assert decode(coded(RAMP)).samples.tolist() == decode(coded(RAMP, container="FLAC")).samples.tolist()


@pytest.mark.parametrize("extra", [b"LIST\x04\0\0\0INFO", b"odd \x03\0\0\0abc\0", b"fact\0\0\0\0"])
def test_chunks_before_the_audio_are_skipped(extra):
    assert decode(wav(RAMP, extra=extra)).samples.tolist() == RAMP.tolist()


def test_chunks_behind_the_audio_are_not_audio():
    decoded = decode(wav(RAMP) + b"LIST\x04\0\0\0INFO")
    assert (decoded.samples.tolist(), decoded.note) == (RAMP.tolist(), None)


@pytest.mark.parametrize(
    ("subtype", "expected", "told"),
    [
        ("PCM_U8", [0, 16384, -16384, 32512], "Unsigned 8 bit PCM"),
        ("PCM_24", [0, 16384, -16384, 32767], "Signed 24 bit PCM"),
        ("PCM_32", [0, 16384, -16384, 32767], "Signed 32 bit PCM"),
        ("FLOAT", [0, 16384, -16384, 32767], "32 bit float"),
        ("DOUBLE", [0, 16384, -16384, 32767], "64 bit float"),
        ("ULAW", [0, 16764, -16764, 32124], "U-Law"),
    ],
)
def test_sample_formats(subtype, expected, told):
    decoded = decode(coded(np.array([0.0, 0.5, -0.5, 1.0]), subtype=subtype))
    assert decoded.samples.tolist() == expected
    assert decoded.note == f"decoded from WAV, {told}"


def test_extensible_header():
    data = coded(RAMP, container="WAVEX")
    assert data[20:22] == b"\xfe\xff"  # WAVE_FORMAT_EXTENSIBLE
    assert decode(data).samples.tolist() == RAMP.tolist()
    assert decode(data).note is None


def test_channels_are_averaged():
    stereo = np.array([[100, 200], [-3, -4], [32767, 32767]], dtype=np.int16)
    decoded = decode(wav(stereo, channels=2))
    assert decoded.samples.tolist() == [150, -4, 32767]  # -3.5 goes to the even neighbour
    assert decoded.note == "2 channels at 16000 Hz, mixed"


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(rate_hz):
    decoded = decode(coded(tone(rate_hz), rate_hz))
    assert decoded.note == f"1 channel at {rate_hz} Hz, resampled"
    assert len(decoded.samples) == 8_000
    # The filter rings where the tone begins and ends.
    error = decoded.samples[500:-500] - 32_768 * tone(SAMPLE_RATE_HZ)[500:-500]
    assert np.abs(error).max() < 4


def test_stereo_of_another_rate_says_both():
    both = np.stack([tone(44_100), tone(44_100)], axis=1)
    assert decode(coded(both, 44_100)).note == "2 channels at 44100 Hz, mixed and resampled"


def test_other_codecs_are_found_by_content():
    flac = decode(coded(RAMP, container="FLAC"))
    assert (flac.samples.tolist(), flac.note) == (RAMP.tolist(), "decoded from FLAC, Signed 16 bit PCM")
    assert decode(coded(tone(16_000), container="MP3")).note == "decoded from MPEG-1/2 Audio, MPEG Layer III"
    vorbis = decode(coded(tone(16_000), container="OGG", subtype="VORBIS")).samples
    assert len(vorbis) == 8_000
    assert np.abs(vorbis - 32_768 * tone(16_000)).mean() < 300


def test_truncated_file_gives_what_is_there():
    decoded = decode(wav(RAMP)[:-5])
    assert decoded.samples.tolist() == RAMP[:3].tolist()
    assert decoded.note == "truncated: 7 of 12 bytes of audio are there"


def test_truncated_stereo_file_gives_what_is_there():
    stereo = np.tile(np.array([10, 20], dtype=np.int16), (100, 1))
    decoded = decode(wav(stereo, channels=2)[:-200])
    assert decoded.samples.tolist() == [15] * 50
    assert decoded.note == "truncated: 200 of 400 bytes of audio are there; 2 channels at 16000 Hz, mixed"


def test_values_beyond_full_scale_are_clipped():
    decoded = decode(coded(np.array([0.25, 1.5, -2.0]), subtype="FLOAT"))
    assert decoded.samples.tolist() == [8192, 32767, -32768]
    assert decoded.note == "decoded from WAV, 32 bit float; 2 samples beyond full scale, clipped"


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 192_000])
def test_block_by_block_it_is_the_same(monkeypatch, rate_hz):
    both = np.stack([tone(rate_hz, 1.3), 0.3 * tone(rate_hz, 1.3, 1234)], axis=1)
    data = coded(both, rate_hz, subtype="DOUBLE")
    whole = decode(data)
    expected = soxr.resample(both.mean(axis=1), rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    assert whole.samples.tolist() == np.rint(expected * 32_768).astype(np.int16).tolist()
    monkeypatch.setattr(waveform, "_BLOCK_VALUES", 1001)
    assert decode(data).samples.tolist() == whole.samples.tolist()


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_an_mp3_has_no_gaps_between_blocks(monkeypatch, rate_hz):
    """libsndfile's MP3 decoder is silent for a while after a seek, even to where it is."""
    data = coded(tone(rate_hz, 3), rate_hz, container="MP3")
    whole = decode(data)
    monkeypatch.setattr(waveform, "_BLOCK_VALUES", 10_007)
    assert decode(data).samples.tolist() == whole.samples.tolist()


@pytest.mark.parametrize("channels", [1, 2])
def test_a_recording_that_was_killed_before_its_header_was_finished_is_read(channels):
    data = bytearray(coded(np.stack([RAMP] * channels, axis=1)))
    for at, size in ((4, 8), (40, 0)):  # of RIFF and of its data, as libsndfile begins them
        data[at : at + 4] = size.to_bytes(4, "little")
    assert decode(bytes(data)).samples.tolist() == RAMP.tolist()


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_what_comes_after_the_longest_time_is_not_read(container):
    samples = np.repeat(np.arange(1, 4, dtype=np.int16), SAMPLE_RATE_HZ)
    decoded = decode(coded(samples, container=container), longest_s=2)
    assert decoded.samples.tolist() == samples[: 2 * SAMPLE_RATE_HZ].tolist()
    assert (decoded.note or "").endswith("longer than 2 s, of which only the first 2 were read")
    assert "longer" not in (decode(coded(samples, container=container), longest_s=3).note or "")


def test_many_channels_at_a_high_rate_take_little_memory():
    """954 kB of FLAC took 7.3 GB: of ten minutes at 192 kHz in eight channels. Here it is eight seconds."""
    silence = coded(np.zeros((8 * 192_000, 8), np.int16), 192_000, container="FLAC")
    tracemalloc.start()
    try:
        assert len(decode(silence).samples) == 8 * SAMPLE_RATE_HZ
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 << 20  # as float64 it is 98 MB, in a frame's values, its means, what is beyond full scale, ...


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(b"RIFF", "not decodable", id="RIFF alone"),
        pytest.param(b"this is a text, no audio at all" * 10, "not decodable", id="text"),
        pytest.param(bytes(32_044), "not decodable", id="zeros"),
        pytest.param(wav(RAMP[:0]), "no samples", id="no samples"),
        pytest.param(wav(RAMP)[:44], "no samples", id="header alone"),
        pytest.param(wav(RAMP)[:30], "not decodable", id="half a header"),
        pytest.param(wav(RAMP[:0], channels=2), "no samples", id="no samples in stereo"),
        pytest.param(wav(RAMP, rate_hz=1), "sample rate of 1 Hz", id="1 Hz"),
        pytest.param(wav(RAMP, rate_hz=0), "not decodable|sample rate", id="0 Hz"),
        pytest.param(wav(RAMP, channels=0), "not decodable", id="no channel"),
        # Their bytes hold the time of writing, so they can give no name to a test that two workers share.
        pytest.param(coded(np.array([0.1, np.nan]), subtype="FLOAT"), "not finite", id="not a number"),
        pytest.param(coded(np.array([0.1, np.inf]), subtype="FLOAT"), "not finite", id="infinite"),
    ],
)
def test_unusable_bytes_are_refused_with_the_reason(data, reason):
    with pytest.raises(UnreadableAudio, match=reason):
        decode(data)


def test_damaged_bytes_never_raise_anything_else():
    random = np.random.default_rng(0)
    sources = [wav(RAMP, extra=b"LIST\x04\0\0\0INFO"), coded(tone(8_000), 8_000), coded(tone(8_000), container="FLAC")]
    for data in sources:
        for _ in range(150):
            damaged = bytearray(data)
            for at in random.integers(0, min(len(data), 80), size=3):
                damaged[at] = random.integers(256)
            try:
                assert decode(bytes(damaged)).samples.dtype == np.int16
            except UnreadableAudio as error:
                assert str(error)  # noqa: PT017 (either outcome is right; only another exception is not)


def test_fit_keeps_a_clip_of_the_right_length():
    samples = np.arange(CLIP_SAMPLES, dtype=np.int16)
    fitted, note = fit(samples)
    assert fitted is samples
    assert note is None


def test_fit_pads_a_short_clip_at_its_end():
    fitted, note = fit(RAMP, length=8)
    assert fitted.tolist() == [*RAMP.tolist(), 0, 0]
    assert fitted.dtype == np.int16
    assert note is None


def test_fit_cuts_a_long_recording_to_its_loudest_second():
    samples = np.zeros(48_000, dtype=np.int16)
    samples[20_000:36_000] = -32768
    fitted, note = fit(samples)
    assert (fitted == -32768).all()
    assert len(fitted) == CLIP_SAMPLES
    assert note == "3.00 s long, cut to its loudest second"


def test_fit_takes_the_earliest_of_equal_windows():
    assert fit(np.array([0, 5, 0, 0, 5, 0], dtype=np.int16), length=2)[0].tolist() == [0, 5]


def test_fit_finds_what_is_loudest_at_the_very_end():
    assert fit(np.array([1, 0, 0, 5, 5], dtype=np.int16), length=2)[0].tolist() == [5, 5]
