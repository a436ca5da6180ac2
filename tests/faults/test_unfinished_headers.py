"""Streams whose header was never completed are whole where all they promise is there; the rest is left out."""

import struct

import numpy as np
import pytest

from data_prep import audio, ogg
from data_prep.audio import RecordingDecoder, read_sound
from data_prep.labels import LabelRule
from data_prep.samples import Rejected
from mmspec.data import PackedDataset
from tests.faults.sounds import converted, decoded_by_ffmpeg, has_ffmpeg, recorded, tone

STORED = np.rint(tone(1.0) * 32767).astype(np.int16)
BYTES = STORED.nbytes


def patched(content: bytes, at: int, layout: str, *values: int | bytes) -> bytes:
    return content[:at] + struct.pack(layout, *values) + content[at + struct.calcsize(layout) :]


def wav(length: int, riff: int | None = None) -> bytes:
    content = recorded(STORED)
    return patched(
        patched(content, 4, "<I", length if riff is None else riff), content.index(b"data") + 4, "<I", length
    )


def aiff(length: int, frames: int) -> bytes:
    content = patched(recorded(STORED, "AIFF"), 4, ">I", length)
    content = patched(content, content.index(b"COMM") + 10, ">I", frames)
    return patched(content, content.index(b"SSND") + 4, ">I", length)


def au(length: int) -> bytes:
    return patched(recorded(STORED, "AU"), 8, ">I", length)


def caf(length: int) -> bytes:
    content = recorded(STORED, "CAF")
    return patched(content, content.index(b"data") + 4, ">Q", length)


def w64(length: int, file: int) -> bytes:
    content = patched(recorded(STORED, "W64"), 16, "<Q", file)
    return patched(content, content.index(b"data\xf3\xac\xd3\x11") + 16, "<Q", length)


def rf64(length: int) -> bytes:
    content = recorded(STORED, "RF64")
    return patched(content, 20, "<QQQ", length, length, length // 2)


def check(content: bytes) -> None:
    sound, rate = read_sound(content)
    assert rate == 16000 and len(sound) == 16000
    np.testing.assert_array_equal(sound, STORED / np.float32(32768))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x7F000008, 0x80000000, 0xFFFFFFFF - 36, 0])
def test_wav_with_a_placeholder_for_its_length(length):
    check(wav(length))
    check(wav(length, riff=0))


@pytest.mark.parametrize(
    ("length", "frames"), [(0x7F000008, 0x3F800000), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFFFFF, 0x3FFFFFFF), (0, 0)]
)
def test_aiff_with_a_placeholder_for_its_length(length, frames):
    check(aiff(length, frames))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0])
def test_au_with_a_placeholder_for_its_length(length):
    check(au(length))


@pytest.mark.parametrize("length", [2**64 - 1, 2**63 - 1, 0])
def test_headers_of_64_bits_with_a_placeholder_for_the_length(length):
    check(caf(length))
    check(w64(length, length))
    check(rf64(length))


@pytest.mark.parametrize("format", ["wav", "au", "w64", "caf", "flac", "aiff"])
def test_what_ffmpeg_writes_into_a_pipe(format):
    codec = [] if format == "flac" else ["-c:a", "pcm_s16be" if format in ("au", "aiff") else "pcm_s16le"]
    check(converted(recorded(STORED), *codec, "-f", format))


@pytest.mark.parametrize(
    "content",
    [
        wav(2 * BYTES),
        wav(0x90000000),
        aiff(2 * BYTES, 32000),
        au(2 * BYTES),
        caf(2 * BYTES),
        w64(2 * BYTES, 2 * BYTES + 112),
        rf64(2 * BYTES),
    ],
    ids=["wav", "wav of 2.4 GB", "aiff", "au", "caf", "w64", "rf64"],
)
def test_lengths_that_are_no_placeholders_are_promises(content):
    with pytest.raises(Rejected, match=r"truncated recording .\d+ of the \d+ (bytes|samples) in its header"):
        read_sound(content)


def pages(content: bytes) -> list[bytes]:
    found = list(ogg._pages(content))
    return [content[page.start : page.end] for page in found]


def signed(page: bytes) -> bytes:
    """A page with the right checksum."""
    return page[:22] + ogg._checksum(page) + page[26:]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_without_its_end_mark(subtype):
    whole = recorded(tone(1.0), "OGG", subtype)
    *before, last = pages(whole)
    unmarked = b"".join([*before, signed(patched(last, 5, "B", last[5] & ~4))])
    np.testing.assert_array_equal(read_sound(unmarked)[0], read_sound(whole)[0])


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_with_a_last_position_beyond_its_end(subtype, marked, tmp_path):
    whole = recorded(tone(1.0), "OGG", subtype)
    *before, last = pages(whole)
    position = struct.unpack_from("<Q", last, 6)[0] + 90_000
    content = b"".join([*before, signed(patched(last, 5, "<BQ", last[5] & ~4 | 4 * marked, position))])
    if subtype == "OPUS" and not has_ffmpeg():  # libsndfile refuses such
        with pytest.raises(Rejected, match="needs ffmpeg"):
            read_sound(content)
        return
    sound, rate = read_sound(content)
    assert rate <= len(sound) < 1.1 * rate
    expected = read_sound(whole)[0] if subtype == "VORBIS" else decoded_by_ffmpeg(whole, tmp_path, 1)
    np.testing.assert_allclose(sound[: len(expected)], expected, atol=1e-6)


# Those that are left out, for those who want what there is of them


@pytest.mark.parametrize("format", ["WAV", "AIFF", "FLAC", "OGG", "MP3", "CAF", "W64", "AU"])
def test_truncated_recordings_are_kept_by_those_who_ask(format):
    sound = 0.3 * np.random.default_rng(0).standard_normal(40000).clip(-3, 3)
    whole = recorded(sound, format, rate=8000)
    decoder = RecordingDecoder(8000, None, "mono", LabelRule("none"), keep_truncated=True)
    sample = decoder("x", whole[: len(whole) // 2])
    assert sample.converted == ("truncated, kept", "clipped to [-1, 1]")[: len(sample.converted)]
    assert 9000 < sample.length < 22000
    expected = decoder("x", whole)
    assert "truncated, kept" not in expected.converted
    same = slice(0, sample.length - 2000)
    np.testing.assert_allclose(sample.data[same], expected.data[same], atol=1)


def test_the_option_is_kept_with_the_set(tmp_path):
    (tmp_path / "source").mkdir()
    whole = recorded(tone(1.0))
    (tmp_path / "source" / "whole.wav").write_bytes(whole)
    (tmp_path / "source" / "half.wav").write_bytes(whole[: len(whole) // 2])
    arguments = [str(tmp_path / "source"), str(tmp_path / "out"), "--sample-rate", "16000"]
    assert audio.main([*arguments, "--keep-truncated"]) == 0
    meta = PackedDataset(tmp_path / "out").meta
    assert (meta.count, meta.converted, meta.preparation["--keep-truncated"]) == (2, {"truncated, kept": 1}, True)
    assert audio.main(arguments) == 2  # made otherwise


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("soxpipe.aiff", 32000),
        ("noeos.ogg", 32000),
        ("cbr_noxing.mp3", 883584),
        ("streamed_unknown_length.flac", 32000),
    ],
)
def test_the_recordings_that_failed(shared, name, samples):
    source = shared / "faults" / "audio" / name
    if not source.exists():
        pytest.skip(f"{source} is not here")
    assert len(read_sound(source.read_bytes())[0]) == samples


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (wav(364, riff=BYTES + 36), f"{BYTES - 364} bytes follow"),
        (recorded(STORED) + recorded(STORED), "second recording follows"),
        (au(364), f"{BYTES - 364} bytes follow"),
    ],
    ids=["length too low", "joined", "au"],
)
def test_sound_behind_what_the_header_tells_of_is_not_dropped(content: bytes, said: str) -> None:
    with pytest.raises(Rejected, match=said):
        read_sound(content)


@pytest.mark.parametrize(
    "behind", [b"LIST\4\0\0\0INFO", b"\0" * 512, b"ID3\4\0\0\0\0\0\0", b"TAGtitle" + bytes(120), b"\7"]
)
def test_chunks_tags_and_padding_may_follow_the_sound(behind: bytes) -> None:
    check(recorded(STORED) + behind)
