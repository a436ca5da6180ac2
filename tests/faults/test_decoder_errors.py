"""What is wrong with one file is a line in rejected.tsv, in memory and time that the file's own size bounds."""

import io
import json
import resource
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from data_prep import audio, chunks, images
from data_prep.audio import RecordingDecoder, read_sound
from data_prep.labels import LabelRule
from data_prep.resampling import Resampler
from data_prep.samples import Rejected, Sample
from mmspec.data import PackedDataset
from tests.faults.sounds import recorded, tone
from tests.faults.test_class_names import PICTURES, png, write
from tests.faults.test_unfinished_headers import patched

WHOLE = recorded(tone(1.0))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 12345\n"
GIB = 1 << 30


def decoded(content: bytes, rate: int = 16000, **options) -> Sample:
    return RecordingDecoder(rate, None, "mono", LabelRule("none"), **options)("x", content)


def rejected(out: Path) -> dict[str, str]:
    return dict(line.split("\t") for line in (out / "rejected.tsv").read_text().splitlines()[1:])


def at_rate(rate: int, content: bytes = WHOLE) -> bytes:
    return patched(content, 24, "<I", rate)


# Decoders


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ULAW", "ALAW", "PCM_U8", "PCM_24", "DOUBLE"])
def test_every_codec_of_wav_is_decoded(subtype):
    sound = tone(1.0, 8000)
    found, rate = read_sound(recorded(sound, "WAV", subtype, rate=8000))
    assert rate == 8000 and 8000 <= len(found) < 8800
    np.testing.assert_allclose(found[:8000], sound, atol=0.15)


@pytest.mark.parametrize(
    "error", [RuntimeError, IndexError, struct.error, ZeroDivisionError, UnicodeError, MemoryError]
)
def test_any_error_of_a_decoder_is_one_files(tmp_path, monkeypatch, error):
    source = write(tmp_path / "source", {f"{i}.png": png(PICTURES[i]) for i in range(4)} | {"bad.png": b"bad"})
    decode = images.PictureDecoder._pixels

    def pixels(self, content):
        if content == b"bad":
            raise error("much is wrong")
        return decode(self, content)

    monkeypatch.setattr(images.PictureDecoder, "_pixels", pixels)
    assert images.main([str(source), str(tmp_path / "out"), "--size", "8"]) == 0
    (reason,) = rejected(tmp_path / "out").values()
    assert ("too large" if error is MemoryError else "much is wrong") in reason
    assert len(PackedDataset(tmp_path / "out")) == 4


def test_any_error_outside_of_a_decoders_own_is_one_files(tmp_path, monkeypatch):
    source = write(tmp_path / "source", {f"{i}.wav": WHOLE for i in range(2)} | {"bad.wav": WHOLE[:-2]})

    def opened(content, keep_truncated):
        raise ZeroDivisionError("nothing is left")

    call = RecordingDecoder.__call__
    monkeypatch.setattr(
        RecordingDecoder, "__call__", lambda self, name, x: opened(x, False) if "bad" in name else call(self, name, x)
    )
    assert audio.main([str(source), str(tmp_path / "out"), "--sample-rate", "16000"]) == 0
    assert rejected(tmp_path / "out") == {"bad.wav": "cannot be decoded (ZeroDivisionError: nothing is left)"}


def test_git_lfs_pointers_are_named(tmp_path, capsys):
    source = write(tmp_path / "source", {f"{i}.wav": POINTER for i in range(3)} | {"whole.wav": WHOLE})
    assert audio.main([str(source), str(tmp_path / "out"), "--sample-rate", "16000"]) == 0
    assert PackedDataset(tmp_path / "out").meta.rejected == {"Git LFS pointer": 3}
    assert "git lfs pull" in rejected(tmp_path / "out")["0.wav"]
    (source / "whole.wav").unlink()
    assert audio.main([str(source), str(tmp_path / "none"), "--sample-rate", "16000"]) == 2
    assert "3 Git LFS pointer; first 0.wav: Git LFS pointer (not the file itself: run `git lfs pull`" in (
        capsys.readouterr().err
    )
    (tmp_path / "set.zip").write_bytes(POINTER)
    assert images.main([str(tmp_path / "set.zip"), str(tmp_path / "none"), "--size", "8"]) == 2
    assert "set.zip is a Git LFS pointer, not the archive itself: run `git lfs pull`." in capsys.readouterr().err


# Levels


@pytest.mark.parametrize("scale", [127, 32767, 2.0**23, 1e9])
def test_integers_in_a_file_of_floating_point_numbers_are_refused(scale):
    content = recorded(tone(1.0) * scale, "WAV", "FLOAT")
    with pytest.raises(Rejected, match=r"far above full scale .its largest value is .*: give --peak"):
        decoded(content)
    expected = decoded(recorded(tone(1.0), "WAV", "FLOAT"), peak=0.5)
    np.testing.assert_allclose(decoded(content, peak=0.5).data, expected.data, atol=1)


def test_an_overshoot_is_clipped_and_counted():
    sample = decoded(recorded(3 * tone(1.0), "WAV", "FLOAT"))
    assert sample.converted == ("clipped to [-1, 1]",) and sample.data.max() == 32767


# Rates


@pytest.mark.parametrize("cuts", [[], [1, 2, 3], [4000, 4000, 7777]])
@pytest.mark.parametrize(
    ("rate", "target"), [(44100, 16000), (8000, 16000), (22050, 8000), (48000, 44100), (7, 5), (500, 16000), (4, 1)]
)
@pytest.mark.parametrize("samples", [1, 13, 9000])
def test_resampling_is_torchaudios_wherever_blocks_end(rate, target, samples, cuts):
    sound = np.random.default_rng(0).standard_normal((samples, 2)).astype(np.float32)
    found = np.concatenate(list(Resampler(rate, target)(np.split(sound, cuts))))
    expected = resample(torch.from_numpy(sound.T.copy()), rate, target).numpy().T
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("rate", [15999, 16001, 44101, 47999, 192_001])
def test_rates_without_a_common_divisor_take_no_more_than_others(rate):
    seconds = 0.2
    time_ = np.arange(round(seconds * rate)) / rate
    content = recorded(0.5 * np.sin(2 * np.pi * 440 * time_), rate=rate)
    start = time.monotonic()
    sample = decoded(content)
    assert time.monotonic() - start < 5
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(sample.length) / 16000)
    np.testing.assert_allclose(sample.data[100:-100, 0] / 32768, expected[100:-100], atol=0.002)
    assert sample.length == -(-round(seconds * rate) * 16000 // rate)


@pytest.mark.parametrize("rate", [1, 7, 100, 2**31 - 1, 2_000_003])
def test_rates_of_no_recording_are_refused(rate):
    with pytest.raises(Rejected, match=f"improbable sample rate .{rate} Hz in its header"):
        decoded(at_rate(rate))


# Headers that lie, and files that grow


def lying_flac(samples: int) -> bytes:
    content = recorded(tone(1.0), "FLAC")
    return (
        content[:21] + bytes([content[21] & 0xF0 | samples >> 32]) + struct.pack(">I", samples % 2**32) + content[26:]
    )


def with_length(format: str, chunk: bytes, behind: int, layout: str, length: int, subtype: str = "PCM_16") -> bytes:
    content = recorded(tone(1.0), format, subtype)
    return patched(content, content.index(chunk) + behind, layout, length)


@pytest.mark.parametrize(
    "content",
    [
        lying_flac(2**36 - 1),
        with_length("WAV", b"data", 4, "<I", 0x70000000, "IMA_ADPCM"),
        recorded(tone(1.0), "OGG")[:3000],
        patched(recorded(tone(1.0), "AU"), 8, ">I", 0x70000000),
        patched(recorded(tone(1.0), "AIFF"), 22, ">I", 0x70000000)[:16000],
        with_length("W64", chunks.W64_DATA, 16, "<Q", 2**40),
        patched(recorded(tone(1.0), "RF64"), 28, "<Q", 2**40),
    ],
    ids=["flac", "adpcm", "ogg", "au", "aiff", "w64", "rf64"],
)
def test_headers_that_promise_too_much_are_refused(content):
    with pytest.raises(Rejected, match="truncated"):
        decoded(content)


LIARS = """
import resource, sys
from data_prep import audio, images
program = {"audio": audio, "images": images}[sys.argv[1]]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = program.main(sys.argv[2:])
print(status, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(*arguments: str) -> int:
    """Bytes that a preparation takes on top of what its imports do."""
    command = [sys.executable, "-c", LIARS, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    status, before, after = map(int, result.stdout.splitlines()[-1].split())
    assert status == 0, result.stderr
    return 1024 * (after - before)


@pytest.mark.parametrize("options", [[], ["--loudness", "-23", "--trim", "60"]], ids=["plain", "conditioned"])
def test_the_memory_of_a_preparation_of_sound_is_bounded(tmp_path, options):
    silence = np.zeros((20_000_000, 1), np.int16)  # 80 MB at 32 bits
    files = {
        "a.wav": recorded(tone(1.0)),
        "flac.flac": lying_flac(2**36 - 1),
        "rate.wav": recorded(tone(1.0), rate=15999),
        "slow.wav": at_rate(1),
        "fast.wav": at_rate(2**31 - 1),
        "codec.wav": with_length("WAV", b"data", 4, "<I", 0x70000000, "GSM610"),
        "channels.wav": patched(WHOLE, 22, "<HIIH", 1024, 16000, 16000 * 2048, 2048),
        "silence.flac": recorded(silence, "FLAC"),
        "silence.wav": recorded(silence),
    }
    source = write(tmp_path / "source", files)
    used = memory("audio", str(source), str(tmp_path / "out"), "--sample-rate", "16000", "--seconds", "2", *options)
    assert used < 80e6 + GIB / 4, used
    dataset = PackedDataset(tmp_path / "out")
    reasons = {"truncated recording": 2, "improbable sample rate": 2} | ({"too short": 1} if options else {})
    assert dataset.meta.rejected == reasons
    assert len(dataset) + sum(dataset.meta.rejected.values()) == len(files)


def test_the_memory_of_a_preparation_of_pictures_is_bounded(tmp_path):
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGBA", (6000, 6000), (255, 0, 0, 128)).save(file, "PNG", compress_level=1)
    files = {"large.png": file.getvalue(), "small.png": png(PICTURES[0])}
    used = memory("images", str(write(tmp_path / "source", files)), str(tmp_path / "out"), "--size", "8")
    assert used < 6000 * 6000 * 4 + GIB // 3
    assert len(PackedDataset(tmp_path / "out")) == 2


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_archives_that_grow_out_of_proportion(tmp_path, name, monkeypatch):
    monkeypatch.setattr("mmspec.strangers.FREE_BYTES", 1 << 20)
    files = {"0.png": png(PICTURES[0]), "1.png": png(PICTURES[1]), "bomb.png": bytes(150 << 20)}
    source = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in files.items():
                archive.writestr(path, content)
    else:
        with tarfile.open(source, "w:gz", compresslevel=6) as archive:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    assert images.main([str(source), str(tmp_path / "out"), "--size", "8"]) == 0
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert (meta["kept"], meta["rejected"]) == (2, {"too large": 1})


@pytest.mark.parametrize("name", ["gsm610.wav", "streamed_unknown_length.flac", "rate_15999.wav", "rate_44101.wav"])
def test_the_recordings_that_failed(shared, name):
    source = shared / "faults" / "audio" / name
    if not source.exists():
        pytest.skip(f"{source} is not here")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert decoded(source.read_bytes()).length > 2000
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < GIB / 2
