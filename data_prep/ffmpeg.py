"""Formats that libsndfile does not know, decoded by the program ffmpeg where it is installed."""

import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np

from data_prep import chunks
from data_prep.samples import Rejected, undecodable

# Where a format is named, and ffmpeg's name of its demuxer: only what is known is handed over, as some demuxers read
# other files, or the network, at a file's bidding.
FORMATS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"#!AMR", "amr"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"MAC ", "ape"),
    (0, b"wvpk", "wv"),
    (0, b"TTA1", "tta"),
    (0, b"MPCK", "mpc8"),
    (0, b"MP+", "mpc"),
    (0, b"DSD ", "dsf"),
    (0, b"OggS", "ogg"),
    (0, b"caff", "caf"),
    (0, b"fLaC", "flac"),
    (8, b"WAVE", "wav"),
    (0, chunks.W64, "w64"),
    (8, b"AVI ", "avi"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    (8, b"AIFC", "aiff"),
    (0, b".snd", "au"),
    (0, b"Creative Voice", "voc"),
)
TIMED = ("mov", "matroska", "asf")  # whose headers say how long they are
SECONDS, BYTES_A_SECOND = 60, 100_000  # that a file may take
BLOCK_VALUES = 1 << 18
LINE = re.compile(r"^(?:\[.* @ .*\] )?\[(?:error|fatal)\] *(.*)$", re.M)
DURATION = re.compile(r"Duration: (\d+):(\d+):([\d.]+)")
HEADER = 24  # bytes of an AU header


def format_of(content: bytes) -> str | None:
    """ffmpeg's name for the format of a file; None for what is not handed to it."""
    for place, mark, name in FORMATS:
        if content[place : place + len(mark)] == mark:
            return name
    return None


def program() -> str | None:
    """Where ffmpeg is, or None."""
    return shutil.which("ffmpeg")


def decoded(content: bytes, format: str) -> Iterator[tuple[int, np.ndarray]]:
    """The first audio stream of a file: its rate in Hz with each float32 ``[t, C]`` block, the first of which is empty.

    Raises:
        Rejected: if ffmpeg is not installed, or reports anything wrong with the file, at once or once all was read.
    """
    if (installed := program()) is None:
        codec = chunks.codec(content)
        described = f"{format}, codec {codec}" if codec else format
        raise Rejected("needs ffmpeg", f"libsndfile cannot read such ({described}): install ffmpeg")
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryFile() as log:
        file.write(content)
        file.flush()
        command = [installed, "-nostdin", "-hide_banner", "-v", "level+info", "-nostats", "-protocol_whitelist", "file"]
        command += ["-f", format, "-i", file.name, "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au"]
        process = subprocess.Popen(
            [*command, "-protocol_whitelist", "pipe", "pipe:1"], stdout=subprocess.PIPE, stderr=log
        )
        limit = threading.Timer(SECONDS + len(content) / BYTES_A_SECOND, process.kill)
        limit.start()
        frames = 0
        try:
            assert process.stdout is not None
            rate, channels = _header(process.stdout)
            yield rate, np.zeros((0, channels), np.float32)
            for block in _blocks(process.stdout, channels):
                frames += len(block)
                yield rate, block
        except Rejected:
            process.wait()
            _refuse(log, process.returncode, format, 0.0)
            raise
        finally:
            limit.cancel()
            process.kill()
            process.wait()
        _refuse(log, process.returncode, format, frames / rate)


def _header(stream: IO[bytes]) -> tuple[int, int]:
    """Rate and channels."""
    head = stream.read(HEADER)
    if len(head) < HEADER or head[:4] != b".snd":
        raise Rejected("not a recording", "there is no sound in it that ffmpeg can decode")
    rest, _, _, rate, channels = (int.from_bytes(head[at : at + 4], "big") for at in range(4, HEADER, 4))
    stream.read(rest - HEADER)
    return rate, channels


def _blocks(stream: IO[bytes], channels: int) -> Iterator[np.ndarray]:
    frames = max(1, BLOCK_VALUES // channels)
    while content := stream.read(4 * channels * frames):
        whole = len(content) - len(content) % (4 * channels)
        yield np.frombuffer(content[:whole], ">f4").astype(np.float32).reshape(-1, channels)


def _refuse(log: IO[bytes], status: int, format: str, seconds: float) -> None:
    """Raise Rejected for what ffmpeg says of a file, or a header that promises more than there was."""
    log.seek(0)
    said = log.read().decode("utf-8", "replace")
    if errors := LINE.findall(said):
        raise undecodable("recording", f"ffmpeg: {errors[0]}")
    if status:
        raise Rejected("truncated or damaged recording", f"ffmpeg ended with status {status}")
    promised = DURATION.search(said) if format in TIMED else None
    if promised is not None:
        hours, minutes, rest = promised.groups()
        length = 3600 * int(hours) + 60 * int(minutes) + float(rest)
        if seconds < 0.98 * length - 0.2:
            raise Rejected("truncated recording", f"{seconds:.2f} of the {length:.2f} seconds in its header")
