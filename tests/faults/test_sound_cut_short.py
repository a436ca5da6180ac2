"""Streams are decoded to their real ends: what libsndfile's estimate leaves out is there, or the file is left out."""

import numpy as np
import pytest

from data_prep import mp3, ogg
from data_prep.audio import read_sound
from data_prep.recordings import opened
from data_prep.samples import Rejected
from tests.faults.sounds import converted, decoded_by_ffmpeg, recorded, tone

RISING = tone(3.0, 44100)
VARIABLE = {"bitrate_mode": "VARIABLE", "compression_level": 0.1}


def rising_noise(seconds: float = 3.0, rate: int = 44100, channels: int = 1) -> np.ndarray:
    """From silence to noise: frames of few bits, then of many."""
    count = round(seconds * rate)
    draw = np.random.default_rng(0).standard_normal((count, channels))
    return (0.2 * draw * np.linspace(0, 1, count)[:, None] ** 8).astype(np.float32)


def headless(content: bytes) -> bytes:
    """An MP3 file without its Xing header."""
    (stream,) = mp3.streams(content)
    return stream.content[len(stream.content) - _body(stream) :]


def _body(stream: mp3.Stream) -> int:
    return len(stream.content) - stream.first.size if stream.headed else len(stream.content)


def read(content: bytes) -> np.ndarray:
    return read_sound(content)[0]


# MP3


@pytest.mark.parametrize("rate", [44100, 22050, 16000, 8000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize("falling", [False, True])
def test_mp3_without_a_header_is_read_to_its_end(rate, channels, mode, falling, tmp_path):
    sound = rising_noise(2.0, rate, channels)
    whole = recorded(sound[::-1] if falling else sound, "MP3", rate=rate, bitrate_mode=mode, compression_level=0.2)
    (stream,) = mp3.streams(whole)
    assert stream.headed and stream.frames == stream.promised
    bare = read(headless(whole))
    assert len(bare) == stream.samples
    headed = read(whole)
    shifts = np.arange(len(bare) - len(headed) + 1)
    errors = [np.abs(bare[shift : shift + len(headed)] - headed).max() for shift in shifts]
    assert min(errors) < 1e-5  # the same samples, of which a header says which are padding
    if mode == "VARIABLE":
        np.testing.assert_allclose(bare, decoded_by_ffmpeg(headless(whole), tmp_path, channels), atol=2e-5)


def test_several_mp3_streams_in_one_file_are_all_read():
    first, second = (recorded(tone(seconds, 44100), "MP3", rate=44100, **VARIABLE) for seconds in (1.0, 0.7))
    expected = np.concatenate([read(first), read(second)])
    tag = b"TAG" + bytes(125) + b"ID3\x04\0\0\0\0\0\x0a" + b"\xff\xfb\x90\x00" + bytes(6)
    for content in (first + second, first + tag + second, first + bytes(100) + second):
        recording = opened(content)
        np.testing.assert_array_equal(np.concatenate(list(recording.blocks)), expected)
        assert recording.converted == ["2 streams in one file"]
    both = read(headless(first) + headless(second))
    assert len(both) == mp3.streams(first)[0].samples + mp3.streams(second)[0].samples
    mixed = read(first + headless(second))
    np.testing.assert_array_equal(mixed[: len(read(first))], read(first))
    assert len(mixed) == len(read(first)) + mp3.streams(second)[0].samples


@pytest.mark.parametrize(
    "before",
    [
        b"ID3\x04\0\x10\0\0\0\x0a" + bytes(10) + b"3DI\x04\0\x10\0\0\0\x0a",
        b"ID3\x03\0\0\0\0\0\x0a" + b"a title that is longer than its tag says",
        b"ID3\x03\0\0\0\0\0\x0a" + bytes(3000),
        b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + b"ID3\x03\0\0\0\0\0\x0a" + bytes(10),
    ],
    ids=["footer", "wrong length", "padding", "two tags"],
)
def test_what_tags_do_not_say_costs_no_sound(before):
    content = headless(recorded(rising_noise(1.0), "MP3", rate=44100, **VARIABLE))
    np.testing.assert_array_equal(read(before + content), read(content))


def test_mp3_streams_that_do_not_fit_together_are_refused():
    first, second = (recorded(tone(0.5, rate), "MP3", rate=rate) for rate in (44100, 22050))
    with pytest.raises(Rejected, match=r"streams of different kinds .44100 Hz with 1 channels and 22050 Hz"):
        read(first + second)


def test_a_header_that_promises_fewer_frames_than_there_are_is_no_end():
    whole = recorded(rising_noise(), "MP3", rate=44100, **VARIABLE)
    (stream,) = mp3.streams(whole)
    at = whole.index(b"Xing" if b"Xing" in whole else b"Info") + 8
    less = whole[:at] + (stream.frames // 2).to_bytes(4, "big") + whole[at + 4 :]
    found = read(less)
    assert abs(len(found) - len(read(whole))) < 2400
    start = len(found) // 4
    np.testing.assert_allclose(found[:start], read(whole)[:start], atol=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("header", [True, False])
def test_mp3_that_ends_within_a_frame_is_refused_with_what_is_missing(share, header):
    whole = recorded(rising_noise(), "MP3", rate=44100, **VARIABLE)
    content = whole if header else headless(whole)
    with pytest.raises(Rejected, match="frames in its header" if header else "its last frame is cut short"):
        read(content[: int(share * len(content))])


def test_frames_lost_in_the_middle_are_refused():
    content = bytearray(headless(recorded(rising_noise(), "MP3", rate=44100, **VARIABLE)))
    content[2000:2400] = bytes([7]) * 400
    with pytest.raises(Rejected, match=r"damaged: \d+ bytes are no frame"):
        read(bytes(content))


def test_sound_in_other_files_is_never_taken_for_mp3_frames():
    noise = np.random.default_rng(0).integers(-32768, 32767, 100_000, dtype=np.int16)
    noise[::50] = -1281  # FF FA: a frame's header
    assert mp3.streams(recorded(noise)) == [] and len(read(recorded(noise))) == 100_000


# Ogg


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_streams_are_all_read(subtype):
    parts = [recorded(tone(seconds), "OGG", subtype) for seconds in (1.0, 0.7, 0.3)]
    assert ogg.chained(b"".join(parts)) == parts
    recording = opened(b"".join(parts))
    np.testing.assert_array_equal(np.concatenate(list(recording.blocks)), np.concatenate([read(p) for p in parts]))
    assert recording.converted == ["3 streams in one file"]


def test_the_missing_parts_of_ogg_are_named():
    sound = 0.3 * np.random.default_rng(0).standard_normal((32000, 1)).clip(-3, 3)
    whole = recorded(sound, "OGG", "VORBIS")
    starts = [page.start for page in ogg._pages(whole)]
    assert len(starts) == 5
    for content, reason in (
        (whole[:-10], "its page .* is cut short"),
        (whole[: starts[-1] + 3], "its last page is cut short"),
        (whole[: starts[3]] + whole[starts[4] :], "pages are missing before its page"),
        (whole[: starts[3] + 99] + bytes([whole[starts[3] + 99] ^ 1]) + whole[starts[3] + 100 :], "is damaged"),
    ):
        with pytest.raises(Rejected, match=f"truncated.*{reason}"):
            read(content)


# FLAC


def test_flac_is_read_beyond_the_number_of_samples_in_its_header():
    sound = np.rint(tone(1.0) * 32767).astype(np.int16)
    whole = recorded(sound, "FLAC")
    for count in (0, 5000):
        content = whole[:22] + count.to_bytes(4, "big") + whole[26:]
        np.testing.assert_allclose(read(content), sound / 32768, atol=1e-6)
    with pytest.raises(Rejected, match="16000 of the 16001 samples in its header"):
        read(whole[:22] + (16001).to_bytes(4, "big") + whole[26:])


# What failed


@pytest.mark.parametrize(
    ("name", "samples"), [("vbr_noxing.mp3", 883584), ("cbr_noxing.mp3", 883584), ("chained.ogg", 64000)]
)
def test_the_recordings_that_failed(shared, name, samples):
    source = shared / "faults" / "audio" / name
    if not source.exists():
        pytest.skip(f"{source} is not here")
    assert len(read(source.read_bytes())) == samples


def test_mp3_without_a_header_as_ffmpeg_streams_it(tmp_path):
    content = converted(recorded(tone(2.0)), "-c:a", "libmp3lame", "-q:a", "2", "-write_xing", "0", "-f", "mp3")
    np.testing.assert_allclose(read(content), decoded_by_ffmpeg(content, tmp_path, 1), atol=1e-5)
