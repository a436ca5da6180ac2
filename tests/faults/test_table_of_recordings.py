"""Odd recordings, each kept as it should be or left out with its reason; and all of them in one preparation."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data_prep import audio, mp3, ogg
from data_prep.audio import read_sound
from data_prep.samples import Rejected
from data_prep.sources import LFS_POINTER
from mmspec.data import PackedDataset
from tests.faults.sounds import decoded_by_ffmpeg, has_ffmpeg, recorded, tone
from tests.faults.test_class_names import write
from tests.faults.test_unfinished_headers import aiff, au, caf, patched, rf64, w64, wav

RATE = 16000
SOUND = tone(1.0)
STEREO = tone(1.0, channels=2)
NOISE = 0.3 * np.random.default_rng(0).standard_normal((RATE, 1)).clip(-3, 3)


@dataclass(frozen=True)
class Case:
    """A recording.

    Attributes:
        content: of the file.
        sound: what it holds, ``[T, C]``; None for what only another decoder tells.
        within: how far from that values may be.
        reason: for which it is left out; "" for none.
        other: whether ffmpeg decodes it to the same samples.
    """

    content: bytes
    sound: np.ndarray | None = None
    within: float = 0.0
    reason: str = ""
    other: bool = True


def whole(sound: np.ndarray, within: float, format: str, subtype: str | None = None, other: bool = True, **how) -> Case:
    return Case(recorded(sound, format, subtype, **how), sound, within, other=other)


def cut(format: str, share: float = 0.7, subtype: str | None = None) -> Case:
    content = recorded(NOISE, format, subtype)
    return Case(content[: int(share * len(content))], reason="truncated")


def extended(content: bytes, chunk: bytes, at: int) -> bytes:
    """A WAV file with one more chunk."""
    content = content[:at] + chunk + content[at:]
    return patched(content, 4, "<I", len(content) - 8)


def without_page(content: bytes, number: int) -> bytes:
    return b"".join(content[page.start : page.end] for page in ogg._pages(content) if page.number != number)


def headless(content: bytes) -> bytes:
    (stream,) = mp3.streams(content)
    return stream.content[stream.first.size :] if stream.headed else stream.content


def in_wav(codec: int, samples: bytes, *, channels: int = 1, bits: int = 0, align: int = 1, more: bytes = b"") -> bytes:
    """A WAV file of a codec by its number, with what its ``fmt`` chunk says more."""
    head = struct.pack("<HHIIHHH", codec, channels, RATE, RATE * align, align, bits, len(more)) + more
    parts = ((b"fmt ", head), (b"fact", struct.pack("<I", RATE)), (b"data", samples))
    body = b"WAVE" + b"".join(kind + struct.pack("<I", len(each)) + each + bytes(len(each) % 2) for kind, each in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def in_aifc(codec: bytes) -> bytes:
    content = recorded(SOUND, "AIFF", endian="LITTLE")
    return content.replace(b"sowt", codec)


def extensible(codec: int, samples: bytes, bits: int, valid: int, mask: int = 0, channels: int = 1) -> bytes:
    more = struct.pack("<HIH", valid, mask, codec) + bytes.fromhex("000000001000800000aa00389b71")
    return in_wav(0xFFFE, samples, channels=channels, bits=bits, align=channels * bits // 8, more=more)


def partial(subtype: str) -> bytes:
    """With a header that tells of a last block which is not whole."""
    content = recorded(tone(1.0, 8000), "WAV", subtype, rate=8000)
    at = content.index(b"data") + 4
    length = struct.unpack_from("<I", content, at)[0] - 10
    return patched(content, at, "<I", length)[: at + 4 + length]


WAV, MP3, OGG, FLAC = (recorded(SOUND, format) for format in ("WAV", "MP3", "OGG", "FLAC"))
ID3 = b"ID3\x04\0\0\0\0\x02\0" + b"TIT2" + b"\xff\xfb\x90\x44" + bytes(248)
HALF = 1 / 32768
PCM = np.rint(SOUND * 32767).astype("<i2").tobytes()
BARE = headless(MP3)
CASES = {
    # PCM and other codecs of WAV and its relatives
    "u8.wav": whole(SOUND, 0.01, "WAV", "PCM_U8"),
    "s16.wav": whole(SOUND, HALF, "WAV", "PCM_16"),
    "s24.wav": whole(SOUND, 1e-6, "WAV", "PCM_24"),
    "s32.wav": whole(SOUND, 1e-6, "WAV", "PCM_32"),
    "float.wav": whole(SOUND, 0, "WAV", "FLOAT"),
    "double.wav": whole(SOUND, 1e-7, "WAV", "DOUBLE"),
    "ulaw.wav": whole(SOUND, 0.02, "WAV", "ULAW"),
    "alaw.wav": whole(SOUND, 0.02, "WAV", "ALAW"),
    "ima.wav": whole(SOUND, 0.1, "WAV", "IMA_ADPCM", other=False),  # the two pad otherwise
    "ms.wav": whole(SOUND, 0.1, "WAV", "MS_ADPCM", other=False),
    "gsm.wav": whole(tone(1.0, 8000), 0.15, "WAV", "GSM610", rate=8000, other=False),
    "g721.wav": whole(SOUND, 0.15, "WAV", "G721_32", other=False),
    "nms.wav": whole(SOUND, 0.15, "WAV", "NMS_ADPCM_16", other=False),
    "stereo.wav": whole(STEREO, HALF, "WAV"),
    "six.wav": whole(tone(1.0, channels=6), HALF, "WAVEX"),
    "extensible.wav": whole(STEREO, 1e-6, "WAVEX", "PCM_24"),
    "one sample.wav": whole(SOUND[500:501], HALF, "WAV"),
    "odd bytes.wav": whole(SOUND[:15999], 0.01, "WAV", "PCM_U8"),
    "big endian.wav": whole(SOUND, HALF, "WAV", endian="BIG", other=False),  # ffmpeg takes it for little
    "rf64.wav": whole(SOUND, HALF, "RF64"),
    "wave.w64": whole(SOUND, HALF, "W64"),
    "list first.wav": Case(extended(WAV, b"LIST\x08\0\0\0INFOabcd", 36), SOUND, HALF),
    "list last.wav": Case(extended(WAV, b"LIST\x08\0\0\0INFOabcd", len(WAV)), SOUND, HALF),
    "odd chunk.wav": Case(extended(WAV, b"note\x03\0\0\0abc\0", 36), SOUND, HALF),
    "junk behind.wav": Case(WAV + b"To be or not to be, that is the question", SOUND, HALF),
    "48000.wav": whole(tone(0.5, 48000), HALF, "WAV", rate=48000),
    "15999.wav": whole(tone(0.5, 15999), HALF, "WAV", rate=15999),
    "24 in 32.wav": Case(
        extensible(1, (np.rint(SOUND * 2**23).astype("<i4") << 8).tobytes(), 32, 24), SOUND, 1e-6, other=False
    ),
    "odd mask.wav": Case(extensible(1, PCM, 16, 16, 0x80000000), SOUND, HALF),
    "two of six.wav": Case(extensible(1, recorded(STEREO)[44:], 16, 16, 63, 2), STEREO, HALF),
    "nine.wav": whole(tone(1.0, channels=9), HALF, "WAV"),
    "padded.wav": Case(extended(WAV, b"JUNK" + struct.pack("<I", 4096) + bytes(4096), 12), SOUND, HALF),
    "later.bw64": Case(b"BW64" + recorded(SOUND, "RF64")[4:], SOUND, HALF),
    "id3 first.wav": Case(ID3 + WAV, SOUND, HALF, other=False),
    # Other codecs within
    "mp3.wav": Case(in_wav(0x55, BARE), read_sound(BARE)[0]),
    "mp3 streamed.wav": Case(in_wav(0x55, BARE).replace(b"data" + struct.pack("<I", len(BARE)), b"data" + b"\xff" * 4)),
    "mp3 extensible.wav": Case(extensible(0x55, BARE, 16, 16), read_sound(BARE)[0]),
    "mp3 headed.wav": Case(in_wav(0x55, MP3), read_sound(MP3)[0], other=False),  # ffmpeg plays the header as silence
    "mp3 cut.wav": Case(in_wav(0x55, BARE)[:-300], reason=r"truncated .*in its header"),
    "mp3 cut before.wav": Case(in_wav(0x55, BARE[:-50]), reason=r"truncated recording .its last frame is cut short"),
    "vorbis.wav": Case(in_wav(0x674F, OGG), read_sound(OGG)[0], other=False),
    "flac.wav": Case(in_wav(0xF1AC, FLAC), SOUND, HALF, other=False),
    "aac.wav": Case(in_wav(0xFF, NOISE.tobytes()), reason="needs ffmpeg .*0x00ff|damaged"),
    "no codec.wav": Case(in_wav(0x1234, NOISE.tobytes()), reason="needs ffmpeg .*0x1234|unsupported"),
    "half floats.wav": Case(in_wav(3, SOUND.astype("<f2").tobytes(), bits=16, align=2), reason="unsupported"),
    "1025 channels.wav": Case(in_wav(1, bytes(20500), channels=1025, bits=16, align=2050), reason="unsupported"),
    "mace.aiff": Case(in_aifc(b"xMC3"), reason="needs ffmpeg .*xMC3|damaged|unsupported"),
    "partial gsm.wav": Case(partial("GSM610"), reason="truncated recording .55 of the 65 bytes of its last block"),
    "partial ima.wav": Case(partial("IMA_ADPCM"), reason="truncated recording .246 of the 256 bytes"),
    "partial ms.wav": Case(partial("MS_ADPCM"), reason="truncated recording .246 of the 256 bytes"),
    "no place.au": Case(patched(recorded(SOUND, "AU"), 4, ">I", 0), reason="damaged"),
    "two chunks.wav": Case(extended(WAV, WAV[36:], len(WAV)), reason="damaged: a second chunk of sound"),
    # Other containers
    "s16.aiff": whole(SOUND, HALF, "AIFF"),
    "sowt.aiff": whole(SOUND, HALF, "AIFF", endian="LITTLE"),
    "float.aiff": whole(SOUND, 0, "AIFF", "FLOAT"),
    "ulaw.aiff": whole(SOUND, 0.02, "AIFF", "ULAW"),
    "s16.au": whole(SOUND, HALF, "AU"),
    "ulaw.au": whole(SOUND, 0.02, "AU", "ULAW"),
    "s16.caf": whole(SOUND, HALF, "CAF"),
    "alac.caf": whole(SOUND, HALF, "CAF", "ALAC_16", other=False),  # some releases of ffmpeg drop the last samples
    "s16.sph": whole(SOUND, HALF, "NIST"),
    "s16.voc": whole(SOUND, HALF, "VOC", other=False),  # ffmpeg drops the last samples
    "s16.ircam": whole(SOUND, HALF, "IRCAM"),
    "s8.svx": whole(SOUND, 0.01, "SVX", "PCM_S8", rate=8000),
    "s16.avr": whole(SOUND, HALF, "AVR"),
    "double.mat": whole(SOUND, 1e-7, "MAT5", "DOUBLE", other=False),
    "s16.flac": whole(SOUND, HALF, "FLAC"),
    "s24.flac": whole(SOUND, 1e-6, "FLAC", "PCM_24"),
    "tagged.flac": Case(ID3 + FLAC, SOUND, HALF),
    "tagged behind.flac": Case(FLAC + b"TAG" + bytes(125), SOUND, HALF, other=False),  # ffmpeg takes it for damage
    "zeros behind.flac": Case(FLAC + bytes(100), SOUND, HALF, other=False),
    "two.flac": Case(FLAC + FLAC, reason="damaged: a second recording"),
    # Lossy streams
    "vorbis.ogg": whole(SOUND, 0.1, "OGG", "VORBIS", other=False),  # ffmpeg drops the last block
    "opus.ogg": Case(recorded(tone(1.0, 48000), "OGG", "OPUS", rate=48000)),
    "named wrong.wav": Case(OGG, read_sound(OGG)[0], 0, other=False),
    "mp3.mp3": whole(SOUND, 0.1, "MP3"),
    "tagged.mp3": Case(ID3 + MP3 + b"TAG" + bytes(125), read_sound(MP3)[0], 0),
    "zeros first.mp3": Case(bytes(500) + MP3, read_sound(MP3)[0], 0, other=False),
    "no header.mp3": Case(headless(MP3)),
    "mp3 in wav.mp3": Case(MP3 + bytes(300), read_sound(MP3)[0], 0, other=False),
    "chained.ogg": Case(OGG + OGG, np.concatenate([read_sound(OGG)[0]] * 2), 0, other=False),
    "two streams.mp3": Case(MP3 + MP3, np.concatenate([read_sound(MP3)[0]] * 2), 0, other=False),
    # Headers that were never completed
    "streamed.wav": Case(wav(0xFFFFFFFF), SOUND, HALF),
    "31 bits.wav": Case(wav(0x7FFFFFFF), SOUND, HALF),
    "zero.wav": Case(wav(0), SOUND, HALF, other=False),
    "streamed.aiff": Case(aiff(0x7F000008, 0x3F800000), SOUND, HALF),
    "streamed.au": Case(au(0xFFFFFFFF), SOUND, HALF),
    "streamed.caf": Case(caf(2**64 - 1), SOUND, HALF),
    "streamed.w64": Case(w64(2**63 - 1, 2**64 - 1), SOUND, HALF, other=False),
    "streamed rf64.wav": Case(rf64(0), SOUND, HALF, other=False),
    "streamed.flac": Case(FLAC[:22] + bytes(4) + FLAC[26:], SOUND, HALF),
    # Cut short
    "cut.wav": cut("WAV"),
    "cut.aiff": cut("AIFF"),
    "cut.au": cut("AU"),
    "cut.caf": cut("CAF"),
    "cut alac.caf": cut("CAF", subtype="ALAC_16"),
    "cut.w64": cut("W64"),
    "cut rf64.wav": cut("RF64"),
    "cut.flac": cut("FLAC"),
    "cut streamed.flac": Case(FLAC[:22] + bytes(4) + FLAC[26:-300], reason="truncated"),
    "cut.ogg": cut("OGG"),
    "cut opus.ogg": cut("OGG", subtype="OPUS"),
    "cut.mp3": cut("MP3"),
    "cut no header.mp3": Case(headless(MP3)[:-50], reason="truncated"),
    "cut.sph": cut("NIST"),
    "cut.svx": cut("SVX"),
    "cut.avr": cut("AVR"),
    "cut.voc": cut("VOC"),
    "cut u8.voc": cut("VOC", subtype="PCM_U8"),
    "cut.mat": cut("MAT5"),
    "cut.sds": cut("SDS"),
    "lost page.ogg": Case(without_page(recorded(np.tile(NOISE, (2, 1)), "OGG"), 2), reason="truncated"),
    # No sound
    "empty.wav": Case(b"", reason="empty file"),
    "no samples.wav": Case(recorded(SOUND[:0]), reason="zero length"),
    "header.wav": Case(WAV[:30], reason="truncated|not a recording"),
    "text.wav": Case(b"To be or not to be", reason="not a recording"),
    "zeros.wav": Case(bytes(5000), reason="not a recording"),
    "noise.mp3": Case(np.random.default_rng(0).bytes(20_000), reason="not a recording"),
    "tags.mp3": Case(ID3, reason="not a recording|truncated"),
    "picture.wav": Case(b"\x89PNG\r\n\x1a\n" + bytes(100), reason="not a recording"),
    "page.mp3": Case(b"<!DOCTYPE html><html><title>404</title></html>", reason="not a recording"),
    "nan.wav": Case(recorded(np.where(np.arange(RATE)[:, None] == 9, np.nan, SOUND), "WAV", "FLOAT"), reason="NaN"),
    "integers.wav": Case(recorded(SOUND * 32767, "WAV", "FLOAT"), SOUND * 32767, 0.01),
    "pointer.wav": Case(LFS_POINTER + b"v1\noid sha256:0\nsize 9\n", reason="Git LFS pointer"),
    "2**36.flac": Case(FLAC[:21] + bytes([FLAC[21] | 15]) + b"\xff" * 4 + FLAC[26:], reason="truncated"),
    "no rate.wav": Case(patched(WAV, 24, "<I", 0), reason=".*"),
    "no channels.wav": Case(patched(WAV, 22, "<H", 0), reason=".*"),
}


BEFORE = ("empty.wav", "pointer.wav")  # what is told apart before it is decoded


def test_the_table_is_long_enough():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.reason])
def test_whole_recordings_are_read_as_they_are(name, tmp_path):
    case = CASES[name]
    found, _ = read_sound(case.content)
    if case.sound is not None:
        assert 0 <= len(found) - len(case.sound) <= 0.02 * RATE  # codecs fill their last block
        np.testing.assert_allclose(found[: len(case.sound)], case.sound, atol=case.within + 1e-7)
    if case.other and has_ffmpeg():
        np.testing.assert_allclose(found, decoded_by_ffmpeg(case.content, tmp_path, found.shape[1]), atol=2e-5)


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM"])
@pytest.mark.parametrize("format", ["WAV", "W64"])
def test_no_samples_are_invented_behind_the_last_block(format, subtype):
    """Of an odd number of bytes libsndfile decodes one block too many, which is loud."""
    content = recorded(tone(1.0, 8000), format, subtype, rate=8000)
    assert {"GSM610": 8000, "IMA_ADPCM": 8080, "MS_ADPCM": 8000}[subtype] == len(read_sound(content)[0])


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].reason and name not in BEFORE])
def test_others_are_left_out_for_their_reason(name):
    with pytest.raises(Rejected, match=CASES[name].reason):
        read_sound(CASES[name].content)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_headers_that_lead_nowhere_print_no_traceback():
    """An AIFF file without sound has libsndfile go before its beginning."""
    content = recorded(SOUND[:0], "AIFF")
    content = content[: content.index(b"SSND")]
    with pytest.raises(Rejected):
        read_sound(patched(content, 4, ">I", len(content) - 8))


def test_all_of_them_in_one_preparation(tmp_path: Path):
    source = write(tmp_path / "source", {name: case.content for name, case in CASES.items()})
    assert audio.main([str(source), str(tmp_path / "out"), "--sample-rate", "8000", "--seconds", "1"]) == 0
    dataset = PackedDataset(tmp_path / "out")
    lines = (tmp_path / "out" / "rejected.tsv").read_text().splitlines()[1:]
    reasons = dict(line.split("\t") for line in lines)
    expected = {name for name, case in CASES.items() if case.reason} | {"integers.wav"}
    assert set(reasons) == expected
    assert len(dataset) + sum(dataset.meta.rejected.values()) == len(CASES)
    assert reasons["integers.wav"].startswith("far above full scale")
    kept = [name for name in sorted(CASES) if name not in expected]
    reference = dataset.data[kept.index("s16.wav")].astype(float)
    for name in ("s24.wav", "float.aiff", "s16.flac", "streamed.caf", "wave.w64", "s16.sph", "list first.wav"):
        np.testing.assert_allclose(dataset.data[kept.index(name)], reference, atol=2)
