"""MPEG audio (MP3 and its elder layers) frame by frame: what a file holds, whatever its headers say or do not say.

libsndfile takes the length of a file from its Xing header, and without one from the size of its first frame; it stops
there, though there may be more. Here every frame is counted (ISO/IEC 11172-3 and 13818-3, 2.4.1 and 2.4.2), and a
stream without a right header is given one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

KBITS = {  # (MPEG-1 or not, layer) -> bitrates by their index
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the version's code
XING, VBRI = (b"Xing", b"Info"), b"VBRI"
MOST_JUNK = 1 << 16  # bytes before the first frame


@dataclass(frozen=True)
class Frame:
    """A frame's header.

    Attributes:
        size: bytes, with the header; 0 where the bitrate is free.
        samples: that it decodes to.
        kind: version, layer, rate in Hz and channels: of all frames of a stream alike.
        tag: where a Xing header would be, in bytes from the beginning.
    """

    size: int
    samples: int
    kind: tuple[int, int, int, int]
    tag: int


@dataclass(frozen=True)
class Stream:
    """Frames that belong together.

    Attributes:
        content: the frames, with their Xing header where that is right.
        first: header of the first frame.
        frames: those of sound.
        promised: by its header; None where none promises any.
        headed: whether ``content`` begins with a Xing header.
        fault: what is wrong behind the last frame, or nothing.
    """

    content: bytes
    first: Frame
    frames: int = 0
    promised: int | None = None
    headed: bool = False
    fault: str = ""

    @property
    def missing(self) -> str:
        """What of it is not there, or nothing."""
        if self.promised is not None and self.frames < self.promised:
            return f"{self.frames} of the {self.promised} frames in its header"
        return self.fault

    @property
    def samples(self) -> int:
        """That its frames decode to."""
        return self.frames * self.first.samples

    @property
    def silent(self) -> bool:
        """Whether `decodable` puts silence before the sound."""
        return not self.headed and self.first.kind[1] == 3

    def decodable(self) -> bytes:
        """The stream with a header that says how long it is, before a frame of silence where it had none.

        Decoders leave out their own delay, half a frame, behind a Xing header: here of the silence, whose rest is then
        before the sound.
        """
        if not self.silent:
            return self.content
        silence = _silence(self.content, self.first)
        header, at = bytearray(silence), self.first.tag
        header[at : at + 12] = b"Xing" + (1).to_bytes(4, "big") + (self.frames + 1).to_bytes(4, "big")
        return bytes(header) + silence + self.content


def streams(content: bytes) -> list[Stream]:
    """The streams of a file one after the other; none if it is no MPEG audio.

    A stream ends where its header says, where another header or tag stands, or where the kind of frames changes.
    """
    found: list[Stream] = []
    for start, end, frame, fault in _runs(content):
        found += _split(content, start, end, frame, fault)
    return [stream for stream in found if stream.frames or stream.promised]


def _runs(content: bytes) -> Iterator[tuple[int, int, Frame, str]]:
    """Start and end of every unbroken run of frames of one kind, its first frame, and what is wrong behind it."""
    at = _first(content)
    while at is not None:
        start, first, head = at, _frame(content, at), content[at : at + 3]
        assert first is not None
        frame: Frame | None = first
        while frame is not None and frame.kind == first.kind and at + frame.size <= len(content):
            at += frame.size
            frame = _frame(content, at)
            if frame is not None and _promise(content, at, frame) is not None:
                break
        following = _next(content, at, len(content))
        if following is None and (frame is not None or content[at:] in (b"\xff", content[start : start + 2], head)):
            yield start, at, first, "its last frame is cut short"
        elif following is None or _is_tag(content[at:following]):
            yield start, at, first, ""
        else:
            yield start, at, first, f"damaged: {following - at} bytes are no frame"
        at = following


def _first(content: bytes) -> int | None:
    """Where sound begins: behind tags and zeros, or, where a tag is longer than it says, some way behind it."""
    begin = behind_tags(content, 0)
    junk = content[begin : begin + MOST_JUNK]
    begin += len(junk) - len(junk.lstrip(b"\0"))
    at = _next(content, begin, begin + 1)
    if at is None and content.startswith(b"ID3") and not content.startswith(b"fLaC", begin):
        at = _next(content, begin, begin + MOST_JUNK)
        return None if at is None or _count(content, at, _after(content, at, 4)) < 4 else at
    return at


def _split(content: bytes, start: int, end: int, first: Frame, fault: str) -> list[Stream]:
    """A run as the stream that its header promises and what stands behind that."""
    promise = _promise(content, start, first)
    if promise is None:
        return [Stream(content[start:end], first, _count(content, start, end), fault=fault)]
    body = start + first.size
    frames = _count(content, body, end)
    headed = promise > 0 and content[start + first.tag : start + first.tag + 4] in XING
    if not 0 < promise < frames:
        begin = start if headed else body
        return [Stream(content[begin:end], first, frames, promise or None, headed, fault)]
    middle = _after(content, body, promise)
    kept = Stream(content[start if headed else body : middle], first, promise, promise, headed)
    return [kept, Stream(content[middle:end], first, frames - promise, fault=fault)]


def _after(content: bytes, at: int, frames: int) -> int:
    for _ in range(frames):
        frame = _frame(content, at)
        at += frame.size if frame else 0
    return at


def _count(content: bytes, at: int, end: int) -> int:
    count = 0
    while at < end and (frame := _frame(content, at)) is not None:
        at += frame.size
        count += 1
    return count


def _next(content: bytes, at: int, end: int) -> int | None:
    """Where the next run begins before ``end``: two headers of one kind, a frame apart, behind any tags."""
    at = content.find(b"\xff", behind_tags(content, at))
    while 0 <= at < end:
        frame = _frame(content, at)
        following = None if frame is None else _frame(content, at + frame.size)
        if frame is not None and following is not None and following.kind == frame.kind:
            return at
        at = content.find(b"\xff", behind_tags(content, at + 1))
    return None


def _is_tag(between: bytes) -> bool:
    """Whether what lies between two runs is nothing, zeros, or known tags."""
    return not between.strip(b"\0") or between.startswith((b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN"))


def behind_tags(content: bytes, at: int) -> int:
    """Where ID3 and APE tags end that begin here."""
    while True:
        head = content[at : at + 32]
        if head[:3] == b"ID3" and len(head) > 10:
            at += 10 + 10 * (head[5] >> 4 & 1) + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
        elif head[:3] == b"TAG":
            at += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            at += 32 + int.from_bytes(head[12:16], "little")
        else:
            return at


def _frame(content: bytes, at: int) -> Frame | None:
    head = content[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    return _HEADERS.get(head[1:4]) or _remember(head[1:4])


_HEADERS: dict[bytes, Frame] = {}


def _remember(head: bytes) -> Frame | None:
    """The header of a frame by its last three bytes, of which a file has few."""
    version, layer = head[0] >> 3 & 3, 4 - (head[0] >> 1 & 3)
    bitrate, rate, padding = head[1] >> 4, head[1] >> 2 & 3, head[1] >> 1 & 1
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    newest, channels = version == 3, 1 if head[2] >> 6 == 3 else 2
    hertz, bits = HERTZ[version][rate], 1000 * KBITS[newest, layer][bitrate]
    samples = 384 if layer == 1 else 576 if layer == 3 and not newest else 1152
    size = 4 * (12 * bits // hertz + padding) if layer == 1 else samples // 8 * bits // hertz + padding
    side = (32 if channels == 2 else 17) if newest else (17 if channels == 2 else 9)
    _HEADERS[head] = frame = Frame(size, samples, (version, layer, hertz, channels), 4 + side)
    return frame


def _promise(content: bytes, at: int, frame: Frame) -> int | None:
    """Frames of sound that a header in this frame promises, 0 if it does not say; None if it is a frame of sound."""
    for tag in (frame.tag, frame.tag + 2):  # behind a checksum
        if content[at + tag : at + tag + 4] in XING:
            counted = content[at + tag + 7] & 1
            return int.from_bytes(content[at + tag + 8 : at + tag + 12], "big") if counted else 0
    if content[at + 36 : at + 40] == VBRI:
        return int.from_bytes(content[at + 50 : at + 54], "big")
    return None


def _silence(content: bytes, first: Frame) -> bytes:
    """A frame of the same kind without a checksum, long enough for a Xing header, that says nothing."""
    head = bytearray(content[:4])
    head[1] |= 1
    head[2] = 0x90 | head[2] & 0x0C
    head[3] &= 0xC0 | 0x0F
    frame = _frame(bytes(head), 0)
    assert frame is not None
    return bytes(head) + bytes(frame.size - 4)
