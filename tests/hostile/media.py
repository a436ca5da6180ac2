"""Pictures, recordings and drawings whose headers lie, that grow, or that would run in a page."""

import struct
import zlib

from tests.hostile import seeds
from tests.hostile.archives import png, zeros
from tests.hostile.hostile import Hostile, content

PIXELS = 13_000 * 13_000


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def drawn(width: int, height: int, bits: int = 8, kind: int = 2, *more: bytes, interlaced: int = 0) -> bytes:
    """A PNG of one colour, whole, however large."""
    size = (1 + -(-width * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind] // 8)) * height
    body = b"\x78\x9c" + zeros(size) + zlib.compress(bytes(size % (1 << 20)))[2:]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def with_size(data: bytes, place: int, layout: str, width: int, height: int) -> bytes:
    """A picture whose header says another size."""
    size = struct.pack(layout, width, height)
    return data[:place] + size + data[place + len(size) :]


TEXT = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20)) * 1)
PICTURES = [
    Hostile(name, "picture", content(data))
    for name, data in (
        ("13000_squared.png", drawn(13_000, 13_000)),
        ("13000_squared_grey_16.png", drawn(13_000, 13_000, 16, 0)),
        ("13000_squared_alpha.png", drawn(13_000, 13_000, 8, 6)),
        ("13000_squared_bits.png", drawn(13_000, 13_000, 1, 0)),
        ("13000_squared_interlaced.png", drawn(13_000, 13_000, interlaced=1)),
        ("a_billion_wide.png", png(1 << 30, 1)),
        ("a_billion_high.png", png(1, 1 << 30)),
        ("2_31_squared.png", png((1 << 31) - 1, (1 << 31) - 1)),
        ("size_0.png", png(0, 0)),
        ("long_texts.png", png()[:33] + TEXT * 200 + png()[33:]),
        ("profile_bomb.png", png()[:33] + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 27), 1)) + png()[33:]),
        ("chunk_of_4_gigabytes.png", png()[:33] + b"\xff\xff\xff\xffIDAT" + png()[33:]),
        ("wrong_checksum.png", png()[:-20] + b"\0" + png()[-19:]),
        ("animated.png", png()[:33] + chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0)) + png()[33:]),
        ("65000_squared.jpg", with_size(seeds.image("JPEG"), seeds.image("JPEG").index(b"\xff\xc0") + 5, ">HH", 65000,
                                        65000)),
        ("13000_squared.jpg", with_size(seeds.image("JPEG"), seeds.image("JPEG").index(b"\xff\xc0") + 5, ">HH", 13000,
                                        13000)),
        ("cut.jpg", seeds.image("JPEG")[:-200]),
        ("13000_squared.gif", with_size(seeds.image("GIF", mode="P"), 6, "<HH", 13000, 13000)),
        ("13000_squared.bmp", with_size(seeds.image("BMP"), 18, "<ii", 13000, 13000)),
        ("negative.bmp", with_size(seeds.image("BMP"), 18, "<ii", -8, -8)),
        ("offset_beyond.bmp", with_size(seeds.image("BMP"), 10, "<II", 0xFFFFFFF0, 40)),
        ("13000_squared.tga", with_size(seeds.image("TGA"), 12, "<HH", 13000, 13000)),
        ("13000_squared.webp", with_size(seeds.image("WEBP"), 26, "<HH", 13000, 13000)),
        ("13000_squared.ppm", b"P6 13000 13000 255\n" + bytes(100)),
        ("of_1e9_digits.ppm", b"P6 " + b"9" * 100_000 + b" 8 255\n"),
        ("as_text.ppm", b"P3 8 8 255\n" + b"9" * 10_000_000),
        ("13000_squared.tif", seeds.image("TIFF").replace(struct.pack("<HHII", 256, 4, 1, 8), struct.pack("<HHII", 256,
                              4, 1, 1 << 30))),
        ("itself.tif", seeds.image("TIFF")[:4] + struct.pack("<I", 4) + seeds.image("TIFF")[8:]),
        ("13000_squared.jp2", seeds.image("JPEG2000").replace(struct.pack(">II", 8, 8), struct.pack(">II", 13000,
                              13000))),
        ("13000_squared.ico", seeds.image("ICO", (16, 16)).replace(struct.pack(">II", 16, 16), struct.pack(">II",
                              1 << 30, 16))),
        ("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(CANARY) (w) file\n"),
        ("program_of_windows.eps", b"\xc5\xd0\xd3\xc6" + bytes(28) + b"%!PS\n%%BoundingBox: 0 0 8 8\n"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("meta.wmf", b"\xd7\xcd\xc6\x9a" + bytes(100)),
        ("movie.fli", bytes(4) + b"\x12\xaf" + bytes(200)),
        ("camera.hdf", b"\x89HDF\r\n\x1a\n" + bytes(100)),
        ("of_text.xpm", b'/* XPM */\nstatic char *a[] = {\n"13000 13000 1 1",\n"a c #fff",\n'),
        ("of_text.xbm", b"#define a_width 1000000000\n#define a_height 8\nstatic char a_bits[] = {\n"),
        ("dict.fits", b"SIMPLE  = T" + b" " * 69 + b"NAXIS   = 2" + b" " * 69 + b"NAXIS1  = 13000" + b" " * 65
         + b"NAXIS2  = 13000" + b" " * 65 + b"END" + b" " * 2637),
    )
]  # fmt: skip
WAV = seeds.encoded("WAV")
FLAC = seeds.encoded("FLAC")


def flac(samples: int = 1 << 35, rate: int = 8000, channels: int = 1) -> bytes:
    """A FLAC file whose header says other things than are true."""
    word = rate << 44 | (channels - 1) << 41 | 15 << 36 | samples
    return FLAC[:18] + word.to_bytes(8, "big") + FLAC[26:]


def wav(rate: int = 8000, channels: int = 1, bits: int = 16, size: int | None = None, kind: int = 1) -> bytes:
    """As `flac`, of a WAV file."""
    step = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels & 0xFFFF, rate, rate * step & 0xFFFFFFFF, step & 0xFFFF, bits)
    body = WAV[44:]
    size = len(body) if size is None else size
    return (
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", size)
        + body
    )


def mp3(frames: int = 0xFFFFFFF0) -> bytes:
    """An MP3 whose header promises so many frames."""
    head = b"\xff\xfb\x90\xc0"
    first = head + bytes(17) + b"Xing" + struct.pack(">II", 1, frames)
    return first + bytes(417 - len(first)) + (head + bytes(413)) * 4


SOUNDS = [
    Hostile(name, "recording", content(data))
    for name, data in (
        ("of_68_billion_samples.flac", flac((1 << 36) - 1)),
        ("at_655350_hz.flac", flac(4000, 655_350)),
        ("at_0_hz.flac", flac(4000, 0)),
        ("of_8_channels.flac", flac(4000, 8000, 8)),
        ("without_samples.flac", flac(0)),
        ("metadata_of_16_megabytes.flac", FLAC[:4] + b"\x81\xff\xff\xff" + FLAC[8:]),
        ("picture_of_4_gigabytes.flac", FLAC[:42] + b"\x06\0\0\x20\0\0\0\3" + b"\xff\xff\xff\xf0" * 6 + FLAC[42:]),
        ("of_4_billion_frames.mp3", mp3()),
        ("of_0_frames.mp3", mp3(0)),
        ("tag_of_256_megabytes.mp3", b"ID3\3\0\0\x7f\x7f\x7f\x7f" + mp3()),
        ("tags_in_a_row.mp3", b"ID3\3\0\0\0\0\0\0" * 50_000 + mp3()),
        ("headers_alone.mp3", b"\xff\xfb\x90\xc0" * 200_000),
        ("almost_headers.mp3", b"\xff\xfb\x90" * 500_000),
        ("at_8001_hz.wav", wav(8001)),
        ("at_7919_hz.wav", wav(7919)),
        ("at_1_hz.wav", wav(1)),
        ("at_0_hz.wav", wav(0)),
        ("at_4_gigahertz.wav", wav(0xFFFFFFFF)),
        ("at_999999937_hz.wav", wav(999_999_937)),
        ("of_65535_channels.wav", wav(8000, 65_535)),
        ("of_0_channels.wav", wav(8000, 0)),
        ("of_1024_channels.wav", wav(8000, 1024)),
        ("of_0_bits.wav", wav(bits=0)),
        ("of_4_gigabytes.wav", wav(size=0xFFFFFFF0)),
        ("of_2_gigabytes.wav", wav(size=0x7FFFFF00)),
        ("of_an_unknown_codec.wav", wav(kind=0x7777)),
        ("of_infinities.wav", wav(bits=32, kind=3)[:44] + struct.pack("<f", float("inf")) * 100),
        ("chunks_in_a_row.wav", WAV[:36] + b"LIST\0\0\0\0" * 100_000 + WAV[36:]),
        ("chunks_in_themselves.wav", WAV[:36] + b"LIST\xff\xff\xff\xff" + WAV[36:]),
        ("of_exabytes.w64", seeds.encoded("W64").replace(b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
                            b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a")[:-9000]),
        ("of_exabytes.rf64", seeds.encoded("RF64")[:20] + b"\xff" * 24 + seeds.encoded("RF64")[44:]),
        ("of_4_gigabytes.aiff", seeds.encoded("AIFF")[:22] + b"\xff\xff\xff\xf0" + seeds.encoded("AIFF")[26:]),
        ("at_1e4932_hz.aiff", seeds.encoded("AIFF")[:28] + b"\x7f\xfe" + b"\xff" * 8 + seeds.encoded("AIFF")[38:]),
        ("at_minus_1_hz.au", seeds.encoded("AU")[:16] + b"\xff\xff\xff\xff" + seeds.encoded("AU")[20:]),
        ("header_of_4_gigabytes.au", seeds.encoded("AU")[:4] + b"\xff\xff\xff\xf0" + seeds.encoded("AU")[8:]),
        ("pages_of_nothing.ogg", b"OggS\0\2" + bytes(20) + b"\0" + b"OggS" * 100_000),
        ("of_255_segments.ogg", b"OggS\0\2" + bytes(20) + b"\xff" + b"\xff" * 200_000),
        ("streams_in_a_row.ogg", (b"OggS\0\2" + bytes(21)) * 5_000),
        ("of_terabytes.caf", seeds.encoded("CAF")[:60] + b"\x7f" * 8 + seeds.encoded("CAF")[68:]),
        ("of_matrices.mat", seeds.encoded("MAT5")[:140] + b"\xff" * 40 + seeds.encoded("MAT5")[180:]),
        ("blocks_in_a_row.voc", seeds.encoded("VOC", "PCM_16")[:26] + b"\x03\3\0\0\xff\xff\0" * 60_000),
        ("raw.sds", seeds.encoded("SDS", "PCM_16")[:16] + b"\x7f" * 40 + seeds.encoded("SDS", "PCM_16")[56:]),
        ("list_of_files.m3u", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("list_of_addresses.concat", b"ffconcat version 1.0\nfile 'http://127.0.0.1:9/a.mp3'\n"),
    )
]  # fmt: skip
OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"{}>'
    "<metadata><dc:title>t</dc:title><dc:creator>mmspec analyze</dc:creator></metadata>"
)


def svg(body: str, attributes: str = "", before: str = "") -> bytes:
    """A drawing that says that it is ours."""
    return f"{before}{OPENING.format(attributes and ' ' + attributes)}{body}</svg>".encode()


ENTITIES = '<!DOCTYPE a [<!ENTITY l0 "lol">' + "".join(
    f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 20)
)  # fmt: skip
DRAWINGS = [
    Hostile(f"{name}.svg", "figure", content(data))
    for name, data in (
        ("script", svg("<script>alert(1)</script>")),
        ("script_elsewhere", svg('<script xlink:href="http://127.0.0.1:9/a.js"/>')),
        ("script_of_html", svg('<script xmlns="http://www.w3.org/1999/xhtml">alert(1)</script>')),
        ("script_in_defs", svg("<defs><g><script>alert(1)</script></g></defs>")),
        ("onload", svg("", 'onload="alert(1)"')),
        ("onclick", svg('<g onclick="alert(1)"/>')),
        ("onbegin", svg('<animate onbegin="alert(1)" attributeName="x"/>')),
        ("onload_in_capitals", svg('<g ONLOAD="alert(1)"/>')),
        ("link_of_javascript", svg('<a xlink:href="javascript:alert(1)"><text>x</text></a>')),
        ("use_of_javascript", svg('<use xlink:href="javascript:alert(1)"/>')),
        ("use_elsewhere", svg('<use xlink:href="http://127.0.0.1:9/a.svg#a"/>')),
        ("use_of_data", svg('<use xlink:href="data:image/svg+xml;base64,AAAA#a"/>')),
        ("href_without_xlink", svg('<use href="javascript:alert(1)"/>')),
        ("image_elsewhere", svg('<image xlink:href="http://127.0.0.1:9/a.png"/>')),
        ("image_of_svg", svg('<image xlink:href="data:image/svg+xml;base64,AAAA"/>')),
        ("image_of_html", svg('<image xlink:href="data:text/html,&lt;script&gt;"/>')),
        ("image_of_a_file", svg('<image xlink:href="file:///etc/passwd"/>')),
        ("foreign_object", svg('<foreignObject><p xmlns="http://www.w3.org/1999/xhtml"/></foreignObject>')),
        ("frame", svg('<iframe xmlns="http://www.w3.org/1999/xhtml" src="http://127.0.0.1:9"/>')),
        ("set_of_href", svg('<set attributeName="xlink:href" to="javascript:alert(1)"/>')),
        ("handler", svg('<handler xmlns:ev="http://www.w3.org/2001/xml-events" ev:event="load">alert(1)</handler>')),
        ("style_sheet", svg("<style>@import url(http://127.0.0.1:9/a.css);</style><path d='M0 0'/>")),
        ("style_with_url", svg('<g style="fill: url(http://127.0.0.1:9/a#b)"/>')),
        ("style_with_escape", svg('<g style="fill: u\\72l(http://127.0.0.1:9)"/>')),
        ("style_with_expression", svg('<g style="width: expression(alert(1))"/>')),
        ("style_that_covers_the_page", svg('<g style="position: fixed; top: 0"/>')),
        ("clip_elsewhere", svg('<g clip-path="url(http://127.0.0.1:9/a#b)"/>')),
        ("filter", svg('<filter id="a"><feImage xlink:href="http://127.0.0.1:9/a"/></filter>')),
        ("base", svg("<g xml:base='http://127.0.0.1:9'/>")),
        ("processing_instruction", svg("", "", '<?xml-stylesheet href="http://127.0.0.1:9/a.css"?>')),
        ("billion_laughs", svg("<text>&l19;</text>", "", ENTITIES + "]>")),
        ("entity_of_a_file", svg("<text>&e;</text>", "", '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>')),
        ("entity_elsewhere", svg("<text>&e;</text>", "", '<!DOCTYPE a [<!ENTITY e SYSTEM "http://127.0.0.1:9/">]>')),
        ("types_elsewhere", svg("", "", '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">')),
        ("defaults_of_attributes", svg("<g/>", "", '<!DOCTYPE svg [<!ATTLIST g onclick CDATA "alert(1)">]>')),
        ("text_that_looks_like_markup", svg("<text>&lt;script&gt;alert(1)&lt;/script&gt;</text>")),
        ("title_that_looks_like_markup", svg("").replace(b">t<", b">&lt;script&gt;alert(1)&lt;/script&gt;<")),
        ("section_of_markup", svg("<text><![CDATA[</text><script>alert(1)</script>]]></text>")),
        ("nested_deep", svg("<g>" * 5000 + "</g>" * 5000)),
        ("nested_deeper", svg("<g>" * 50_000 + "</g>" * 50_000)),
        ("1100000_marks", svg("<g/>" * 1_100_000)),
        ("10_million_marks", svg("<g/>" * 10_000_000)),
        ("other_root", b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>"),
        ("root_within", b"<a>" + svg("<script>alert(1)</script>") + b"</a>"),
        ("in_utf_16", svg("<script>alert(1)</script>").decode().encode("utf-16")),
        ("in_utf_7", b'<?xml version="1.0" encoding="utf-7"?>+ADw-script+AD4-'),
        ("empty", b""),
    )
]  # fmt: skip
FILES = [*PICTURES, *SOUNDS, *DRAWINGS]
