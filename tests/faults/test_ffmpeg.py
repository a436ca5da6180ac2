"""What libsndfile does not know is decoded by ffmpeg where it is installed, and otherwise left out with its name."""

import numpy as np
import pytest

from data_prep import audio, ffmpeg
from data_prep.audio import read_sound
from data_prep.samples import Rejected
from mmspec.data import PackedDataset
from tests.faults.sounds import converted_file, decoded_by_ffmpeg, recorded, tone

FORMATS = {  # name: options, whether the codec is lossless
    "aac.m4a": (("-c:a", "aac"), False),
    "first.m4a": (("-c:a", "aac", "-movflags", "+faststart"), False),
    "alac.m4a": (("-c:a", "alac"), True),
    "fragments.mp4": (("-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"), False),
    "opus.webm": (("-c:a", "libopus"), False),
    "vorbis.webm": (("-c:a", "libvorbis"), False),
    "flac.mka": (("-c:a", "flac"), True),
    "v2.wma": (("-c:a", "wmav2"), False),
    "v1.wma": (("-c:a", "wmav1"), False),
    "raw.aac": (("-c:a", "aac"), False),
    "wavpack.wv": (("-c:a", "wavpack"), True),
    "tta.tta": (("-c:a", "tta"), True),
    "ac3.ac3": (("-c:a", "ac3", "-ar", "48000"), False),
    "speex.spx": (("-c:a", "libspeex"), False),
    "wma.wav": (("-c:a", "wmav2"), False),
    "flac.oga": (("-c:a", "flac"), True),
    "alac.caf": (("-c:a", "alac"), True),
}
STORED = np.rint(tone(2.0) * 32767).astype(np.int16)


@pytest.mark.parametrize("name", FORMATS)
def test_formats_of_ffmpeg_are_kept_as_it_decodes_them_and_left_out_where_cut(name, tmp_path):
    options, lossless = FORMATS[name]
    content = converted_file(recorded(STORED), tmp_path, name, *options)
    sound, _ = read_sound(content)
    np.testing.assert_allclose(sound, decoded_by_ffmpeg(content, tmp_path, 1), atol=1e-6)
    if lossless:
        np.testing.assert_array_equal(sound, STORED / np.float32(32768))
    for share in (0.5, 0.9):
        with pytest.raises(Rejected, match="truncated"):
            read_sound(content[: int(share * len(content))])


def test_rate_and_channels_are_the_files(tmp_path):
    stereo = np.stack([STORED[:, 0], -STORED[:, 0] // 2], 1)
    content = converted_file(recorded(stereo, rate=22050), tmp_path, "x.m4a", "-c:a", "alac")
    sound, rate = read_sound(content)
    assert rate == 22050
    np.testing.assert_array_equal(sound, stereo / np.float32(32768))


def test_a_film_gives_its_sound_and_a_silent_film_none(tmp_path):
    film = ("-f", "lavfi", "-i", "color=s=16x16:d=2", "-c:v", "mpeg4")
    with_sound = converted_file(recorded(STORED), tmp_path, "film.mp4", *film, "-c:a", "alac")
    np.testing.assert_array_equal(read_sound(with_sound)[0], STORED / np.float32(32768))
    silent = converted_file(recorded(STORED), tmp_path, "silent.mp4", *film, "-map", "1:v")
    with pytest.raises(Rejected, match=r"truncated or damaged recording|not a recording"):
        read_sound(silent)


def test_without_ffmpeg_its_name_is_in_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "source").mkdir()
    for name, content in (("a.wav", recorded(STORED)), ("b.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0"), ("c.txt", b"To be")):
        (tmp_path / "source" / name).write_bytes(content)
    assert audio.main([str(tmp_path / "source"), str(tmp_path / "out"), "--sample-rate", "16000"]) == 0
    meta = PackedDataset(tmp_path / "out").meta
    assert meta.rejected == {"needs ffmpeg": 1, "not a recording": 1}
    assert "install ffmpeg" in (tmp_path / "out" / "rejected.tsv").read_text()


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost/secret.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"\x89PNG\r\n\x1a\n",
        b"To be or not to be",
    ],
)
def test_lists_and_texts_are_never_handed_to_ffmpeg(content):
    assert ffmpeg.format_of(content) is None
    with pytest.raises(Rejected, match="not a recording"):
        read_sound(content)
