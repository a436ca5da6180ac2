"""The content of a sound file -> its samples block by block, all of them, or why it cannot be used."""

import io
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import soundfile

from data_prep import chunks, ffmpeg, mp3, ogg, unfinished
from data_prep.samples import Rejected, undecodable

# libsndfile cuts the length to what the file holds, and says so in its log only.
SHORT_BYTES = re.compile(r"(?:^|\s)(?:data|SSND|BODY|riff|Data Size|Data length)\s*:? (\d+) \(?should be (\d+)")
SHORT_FRAMES = re.compile(r"Calculated frame count (\d+) does not match .* (\d+)\.")
SAMPLES = {  # what the log, or the file's first lines, say of their number
    "AVR": re.compile(r"Frames +: (\d+)"),
    "MPC2K": re.compile(r"Frames +: (\d+)"),
    "SDS": re.compile(r"Frames +: (\d+)"),
    "MAT4": re.compile(r"Cols +: (\d+)"),
    "MAT5": re.compile(r"Cols +: (\d+)"),
    "NIST": re.compile(r"sample_count -i (\d+)"),
}
UNRECOGNISED, BEYOND = 1, (1, 4, 18)  # libsndfile's errors: no format that it knows; nor encoding
SEGMENTED = "multi-segment"  # in the log of a VOC file whose segments' headers libsndfile takes for sound
BLOCK_VALUES, KEPT_VALUES = 1 << 15, 1 << 12  # read at once; in a block that fails, all is lost
FREE_BYTES, MOST_GROWTH = 256 << 20, 1000  # decoded bytes of a file of any size, and of each of its bytes
KEPT = "truncated, kept"

Blocks = Iterator[tuple[int, np.ndarray]]


@dataclass
class Recording:
    """A sound file as it is read.

    Attributes:
        rate: in Hz.
        channels: C.
        blocks: float32 ``[t, C]`` at full scale 1; raises Rejected for what turns out to be missing or damaged.
        converted: what is worth counting; complete when all blocks were read.
    """

    rate: int
    channels: int
    blocks: Iterator[np.ndarray]
    converted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Part:
    """What is decoded on its own: one of a file's streams, or all of it.

    Attributes:
        content: as a decoder gets it.
        missing: what of it is not there.
        promised: samples by its header, where libsndfile is not asked for them; 0 where nothing is.
        silence: whether silence is decoded before the ``promised`` samples.
        most: samples that it holds, where libsndfile invents more behind them.
    """

    content: bytes
    missing: str = ""
    promised: int | None = None
    silence: bool = False
    most: int | None = None


class _File(soundfile.SoundFile):  # type: ignore[misc, unused-ignore]
    """Read from front to back: after every read, soundfile seeks otherwise, which some decoders do not stand."""

    def seekable(self) -> bool:
        """No."""
        return False


class _Content(io.BytesIO):
    """In which damaged headers lead nowhere: Python would print a traceback, as nobody is there to catch an error."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """To the beginning in place of before it."""
        start = (0, self.tell(), len(self.getbuffer()))[whence]
        return super().seek(max(0, start + offset))


def opened(content: bytes, keep_truncated: bool = False) -> Recording:
    """The recording in a file's content.

    Args:
        content: of any format that libsndfile knows, or ffmpeg where it is installed.
        keep_truncated: take what there is of one that ends before it says.

    Raises:
        Rejected: if it is no recording, or not all of it is there.
    """
    parts = _parts(content)
    converted = [f"{len(parts)} streams in one file"] if len(parts) > 1 else []
    blocks = _decoded(parts, keep_truncated, converted)
    rate, first = next(blocks, (0, None))
    if first is None:
        raise Rejected("truncated recording", "there is no sound in what there is of it")
    return Recording(rate, first.shape[1], _checked(blocks, rate, first.shape[1], len(content)), converted)


def _parts(content: bytes) -> list[Part]:
    """The streams of a file, or of what its container holds, or the whole file."""
    content = _untagged(content)
    if parts := _streams(content):
        return parts
    whole, missing, most = unfinished.completed(content)
    sound = chunks.samples(whole)
    if sound is not None and chunks.codec(whole) not in (None, *chunks.PLAIN):
        # libsndfile takes the length of such a stream from its bitrate, or does not know it in this place.
        streams = _streams(whole[sound.body : sound.body + sound.length])
        return [replace(part, missing=missing or part.missing) for part in streams] or [Part(whole, missing, most=most)]
    return [Part(whole, missing, most=most)]


def _streams(content: bytes) -> list[Part]:
    """Those of MPEG, Ogg or FLAC, one after the other; none of all else."""
    if content.startswith(ogg.CAPTURE):
        return [Part(ogg.ended(part), ogg.missing(part), promised=0) for part in ogg.chained(content)]
    if content.startswith(unfinished.FLAC):
        return [Part(*unfinished.flac(content))]
    return [
        Part(stream.decodable(), stream.missing, None if stream.headed else stream.samples, silence=stream.silent)
        for stream in mp3.streams(content)
    ]


def _untagged(content: bytes) -> bytes:
    """Without ID3 tags in front, where a file of another kind than MPEG follows them."""
    rest = content[mp3.behind_tags(content, 0) :]
    known = rest[:4] in chunks.CONTAINERS or rest.startswith((ogg.CAPTURE, unfinished.FLAC))
    return rest if known else content


def _decoded(parts: list[Part], keep_truncated: bool, converted: list[str]) -> Blocks:
    """Rate in Hz and block by block, the first of each part empty; by libsndfile where it can."""
    for part in parts:
        _note(part.missing, keep_truncated, converted)
        try:
            with _File(_Content(part.content)) as file:
                if SEGMENTED not in file.extra_info:
                    missing = yield from _read(file, part, KEPT_VALUES if keep_truncated else BLOCK_VALUES)
                    _note(missing, keep_truncated, converted)
                    continue
                format = "voc"
        except soundfile.LibsndfileError as error:
            format = _format(part.content, error)
        try:
            yield from ffmpeg.decoded(part.content, format)
        except Rejected as rejected:
            if not keep_truncated:
                raise
            _note(str(rejected), keep_truncated, converted)


def _format(content: bytes, error: soundfile.LibsndfileError) -> str:
    """ffmpeg's name for the format of what libsndfile does not open."""
    format = ffmpeg.format_of(content[mp3.behind_tags(content, 0) :])
    foreign = chunks.codec(content) not in (None, *chunks.PLAIN)
    beyond = error.code in BEYOND or foreign or content.startswith((ogg.CAPTURE, unfinished.VOC))
    if format is not None and (beyond or ffmpeg.program()):
        return format
    if error.code == UNRECOGNISED:
        raise Rejected("not a recording", "of no format that libsndfile knows")
    raise undecodable("recording", error.error_string)


def _read(file: soundfile.SoundFile, part: Part, values: int) -> Generator[tuple[int, np.ndarray], None, str]:
    """The blocks of a part; returns what of it was missing."""
    rate, channels, found = file.samplerate, file.channels, 0
    promised = min(file.frames, part.most or file.frames) if part.promised is None else part.promised
    skipped = file.frames - promised if part.silence else 0
    yield rate, np.zeros((0, channels), np.float32)
    try:
        # The last promised samples end what is read at once: behind them there may be no sound.
        while len(block := file.read(_frames(values // channels, promised - found), dtype="float32", always_2d=True)):
            yield rate, block[max(0, skipped - found) :]
            found += len(block)
            if found == part.most:
                break
    except soundfile.LibsndfileError as error:
        if not promised or found != promised:
            return f"damaged after {found} samples: {error.error_string}"
        return unfinished.behind_flac(part.content)
    if found - skipped < promised:
        return f"{found - skipped} of the {promised} samples in its header"
    return "" if file.format == "OGG" else _short(file, part.content[:1024].decode("latin-1"))


def _frames(most: int, left: int) -> int:
    return max(1, min(most, left) if left > 0 else most)


def _note(missing: str, keep_truncated: bool, converted: list[str]) -> None:
    """Raise Rejected for what is missing, or count it."""
    if not missing:
        return
    if not keep_truncated:
        raise Rejected("truncated or damaged recording" if "damaged" in missing else "truncated recording", missing)
    if KEPT not in converted:
        converted.append(KEPT)


def _checked(blocks: Blocks, rate: int, channels: int, size: int) -> Iterator[np.ndarray]:
    """The blocks of a file of ``size`` bytes, which must be alike, finite and in proportion."""
    held = 0
    for found, block in blocks:
        if (found, block.shape[1]) != (rate, channels):
            kinds = [
                f"{hertz} Hz with {count} channels" for hertz, count in ((rate, channels), (found, block.shape[1]))
            ]
            raise Rejected("streams of different kinds", " and ".join(kinds))
        held += block.nbytes
        if held > FREE_BYTES + MOST_GROWTH * size:
            raise Rejected("too large", f"it decodes to more than {MOST_GROWTH} times its size")
        if not np.isfinite(block).all():
            raise Rejected("NaN or infinity")
        if len(block):
            yield block
    if not held:
        raise Rejected("zero length")


def _short(file: soundfile.SoundFile, head: str) -> str:
    """What libsndfile's log and a file's first lines say of one that ends before its header says, or nothing."""
    log = file.extra_info
    for said, found in SHORT_BYTES.findall(log):
        if int(found) < int(said) and int(said) >> 24 not in unfinished.STREAMED:
            return f"{found} of the {said} bytes in its header"
    for found, said in SHORT_FRAMES.findall(log):
        if int(found) < int(said):
            return f"{found} of the {said} samples in its header"
    if file.format in SAMPLES and (counts := SAMPLES[file.format].findall(log + head)):
        there, promised = file.frames, int(counts[-1])
        if file.format == "SDS":  # whose log says what there is
            there, promised = promised, there
        if there < promised:
            return f"{there} of the {promised} samples in its header"
    return ""
