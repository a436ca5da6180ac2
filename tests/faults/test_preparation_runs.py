"""The faults of whole preparations: bad sources, options and outputs, interruptions; nothing is half written."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep import audio, images, preparation
from mmspec.data import PackedDataset

NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


JPEG, PNG = encoded(NOISE, "JPEG"), encoded(NOISE)


def main_of_images(source: Path, out: Path, *options: str) -> int:
    return images.main([str(source), str(out), "--size", "16", "--label", "none", *options])


def main_of_audio(source: Path, out: Path, *options: str) -> int:
    return audio.main([str(source), str(out), "--sample-rate", "8000", "--seconds", "0.5", *options])


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with two good pictures and one of each kind of bad file."""
    source = tmp_path / "mixed"
    source.mkdir()
    for name, content in {
        "good.png": PNG,
        "also_good.jpg": JPEG,
        "empty.png": b"",
        "text.png": b"To be",
        "half.jpg": JPEG[:1000],
    }.items():
        (source / name).write_bytes(content)
    (source / "nowhere.png").symlink_to(source / "gone.png")
    os.mkfifo(source / "pipe.png")
    return source


def test_bad_files_are_listed_with_their_reason_and_the_rest_is_used(mixed, tmp_path, capsys):
    assert main_of_images(mixed, tmp_path / "out") == 0
    assert "2 kept" in (printed := capsys.readouterr().out) and "not a file 2, " in printed
    listed = (tmp_path / "out" / "rejected.tsv").read_text().splitlines()
    assert listed[0] == "path\treason" and [line.split("\t")[0] for line in listed[1:]] == [
        "empty.png",
        "half.jpg",
        "nowhere.png",
        "pipe.png",
        "text.png",
    ]
    assert listed[1] == "empty.png\tempty file"
    assert listed[2].startswith("half.jpg\ttruncated or damaged picture (image file is truncated")
    assert listed[5] == "text.png\tnot a picture (of no format that Pillow knows)"
    meta = PackedDataset(tmp_path / "out").meta
    assert meta.rejected == {
        "not a file": 2,
        "empty file": 1,
        "truncated or damaged picture": 1,
        "not a picture": 1,
    }


def test_mixed_rates_and_channels_are_counted(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name, rate, channels in (("a", 8000, 1), ("b", 16000, 1), ("c", 16000, 2), ("d", 44100, 1)):
        soundfile.write(source / f"{name}.wav", 0.5 * np.sin(np.arange(4000))[:, None].repeat(channels, 1), rate)
    assert main_of_audio(source, tmp_path / "out") == 0
    assert PackedDataset(tmp_path / "out").meta.converted == {
        "padded at the end": 3,
        "resampled from 16000 Hz": 2,
        "2 channels to mono": 1,
        "resampled from 44100 Hz": 1,
    }
    assert main_of_audio(source, tmp_path / "kept", "--channel-rule", "keep") == 0
    assert PackedDataset(tmp_path / "kept").meta.rejected == {"another shape": 1}


def test_an_archive_cannot_reach_outside_of_itself(tmp_path):
    source = tmp_path / "evil.tar"
    with tarfile.open(source, "w") as archive:
        for name in ("../escaped.png", "/tmp/absolute.png", "a/../../b.png", "good.png"):
            info = tarfile.TarInfo(name)
            info.size = len(PNG)
            archive.addfile(info, io.BytesIO(PNG))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../escaped.png", PNG)
        archive.writestr("good.png", PNG)
    before = set(tmp_path.parent.iterdir())
    for name, rejected in (("evil.tar", {"unsafe path": 3, "not a file": 1}), ("evil.zip", {"unsafe path": 1})):
        out = tmp_path / name.replace(".", "_")
        assert main_of_images(tmp_path / name, out) == 0
        assert PackedDataset(out).meta.rejected == rejected and len(PackedDataset(out)) == 1
    assert set(tmp_path.parent.iterdir()) == before
    assert {path.name for path in tmp_path.iterdir()} == {"evil.tar", "evil.zip", "evil_tar", "evil_zip"}


def _tar_gz(path: Path, names: int = 40) -> bytes:
    with tarfile.open(path, "w:gz") as archive:
        for index in range(names):
            info = tarfile.TarInfo(f"{index}.png")
            content = encoded(np.roll(NOISE, 7 * index) ^ np.uint8(index))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["cut in half", "last bytes gone", "a bit flipped"])
def test_a_damaged_archive_stops_the_preparation_and_leaves_nothing(tmp_path, capsys, damage):
    source = tmp_path / "a.tar.gz"
    whole = _tar_gz(source)
    middle = len(whole) // 2
    source.write_bytes(
        {
            "cut in half": whole[:middle],
            "last bytes gone": whole[:-6],
            "a bit flipped": whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :],
        }[damage]
    )
    assert main_of_images(source, tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {source} is damaged after ") and message.endswith("fetch it again.\n")
    assert message.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


def test_a_damaged_member_of_a_zip_is_rejected(tmp_path):
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("bad.png", PNG)
        archive.writestr("good.png", JPEG)
    content = bytearray(source.read_bytes())
    content[200] ^= 1
    source.write_bytes(content)
    assert main_of_images(source, tmp_path / "out") == 0
    assert PackedDataset(tmp_path / "out").meta.rejected == {"damaged in the archive": 1}


def test_nothing_usable_is_one_sentence(tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    assert main_of_images(source, tmp_path / "out") == 2
    assert capsys.readouterr().err == "error: source holds no files: give another source.\n"
    (source / "a.txt").write_text("To be")
    (source / "b.txt").touch()
    assert main_of_images(source, tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "error: source holds no usable file (1 not a picture, 1 empty file; "
        "first a.txt: not a picture (of no format that Pillow knows)).\n"
    )
    (source / "c.png").write_bytes(encoded(np.full((16, 16, 3), 7, np.uint8)))
    assert main_of_images(source, tmp_path / "out") == 2
    assert "All samples of source have one and the same value" in capsys.readouterr().err
    (source / "c.png").write_bytes(PNG)
    assert main_of_images(source, tmp_path / "out", "--holdout-pattern", "*.webp") == 2
    assert "No usable file of source falls into the test part" in capsys.readouterr().err
    assert main_of_images(source, tmp_path / "out", "--label", "parent") == 2
    assert "no label" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone", "gone does not exist: give a folder, a .tar, .tar.gz, .tgz or .zip archive."),
        ("text.tar.gz", "text.tar.gz cannot be read as an archive: give a folder, or an undamaged"),
        ("picture.png", "picture.png cannot be read as an archive"),
        ("empty.zip", "empty.zip cannot be read as an archive"),
    ],
)
def test_what_is_no_source_is_one_sentence(tmp_path, capsys, source, message):
    (tmp_path / "text.tar.gz").write_text("To be")
    (tmp_path / "picture.png").write_bytes(PNG)
    (tmp_path / "empty.zip").touch()
    assert main_of_images(tmp_path / source, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "0"], "'0' is neither a number of pixels nor HEIGHTxWIDTH"),
        (["--size", "3x4x5"], "'3x4x5' is neither a number of pixels nor HEIGHTxWIDTH"),
        (["--background", "puce-ish"], "'puce-ish' is no colour, expected a name or #rrggbb"),
        (["--label", "folder"], "label rule 'folder' is none of parent, none, name:N, regex:PATTERN"),
        (["--holdout", "1.5"], "'1.5' is not a number between 0 and 1"),
        (["--workers", "0"], "'0' is not a whole number of at least 1"),
        (["--sizes", "3"], "unrecognized arguments: --sizes 3"),
    ],
)
def test_bad_options_are_named(tmp_path, capsys, options, message):
    with pytest.raises(SystemExit) as caught:
        images.main([str(tmp_path), str(tmp_path / "out"), "--size", "4", *options])
    assert caught.value.code == 2 and message in capsys.readouterr().err


def test_a_second_run_does_nothing_or_says_what_differs(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main_of_images(mixed, out) == 0
    written = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    assert main_of_images(mixed, out) == 0
    assert capsys.readouterr().out == f"{out} is up to date.\n"
    mend = "delete it to make it again, or give another OUT."
    assert main_of_images(mixed, out, "--channels", "1") == 2
    assert capsys.readouterr().err == f"error: {out} was made with --channels 3, not 1: {mend}\n"
    assert main_of_images(mixed, out, "--holdout", "0.5") == 2
    assert capsys.readouterr().err == f"error: {out} was made with --holdout None, not 0.5: {mend}\n"
    assert main_of_audio(mixed, out) == 2
    assert "was made with program data_prep.images, not data_prep.audio" in capsys.readouterr().err
    (mixed / "new.png").write_bytes(PNG)
    assert main_of_images(mixed, out) == 2
    assert f"{out} was made from mixed of " in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == written


def test_other_peoples_folders_are_not_touched(mixed, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    assert main_of_images(mixed, tmp_path / "thesis") == 2
    assert "thesis exists and is not a packed data set" in capsys.readouterr().err
    assert main_of_images(mixed, mixed / "out") == 2
    assert "lies inside of its source" in capsys.readouterr().err
    assert main_of_images(mixed, tmp_path / "thesis" / "thesis.tex" / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


def test_a_damaged_output_is_not_taken_for_done(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    assert main_of_images(mixed, out) == 0
    (out / "data.npy").write_bytes((out / "data.npy").read_bytes()[:-5])
    assert main_of_images(mixed, out) == 2
    assert "data.npy is truncated" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_leaves_nothing(mixed, tmp_path, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "out"))

    monkeypatch.setattr("data_prep.packing.DataFile", lambda *_, **__: full())
    assert main_of_images(mixed, tmp_path / "out") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'out'}: No space left on device.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["mixed"]


# Processes


SLOW = (  # decodes for ever: a fault in time, not in a file
    "import sys, time, data_prep.images as i; from data_prep.images import PictureDecoder as D;"
    "D.__call__ = lambda *_: (print('decoding', flush=True), time.sleep(60)); sys.exit(i.main(sys.argv[1:]))"
)


def start_slow(source: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", SLOW, str(source), str(out), "--size", "16", "--label", "none"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored behind a shell's `&`
    )
    assert process.stdout.readline() == "decoding\n"
    return process


def test_killed_midway_nothing_half_written_is_in_place_and_the_next_run_succeeds(mixed, tmp_path):
    out = tmp_path / "out"
    process = start_slow(mixed, out)
    process.kill()
    process.communicate()
    assert not out.exists() and (tmp_path / ".writing-out").exists()
    assert main_of_images(mixed, out) == 0
    PackedDataset(out).verify()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed", "out"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up_and_says_so(mixed, tmp_path, sent):
    process = start_slow(mixed, tmp_path / "out")
    process.send_signal(sent)
    _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (preparation.INTERRUPTED, "interrupted: nothing was written.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["mixed"]


def test_two_writers_of_one_folder_are_kept_apart(mixed, tmp_path, capsys):
    process = start_slow(mixed, tmp_path / "out")
    try:
        assert main_of_images(mixed, tmp_path / "out") == 2
        assert "out is being written by another process" in capsys.readouterr().err
    finally:
        process.kill()
        process.communicate()


def test_a_worker_that_dies_is_one_sentence_and_its_pool_ends(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for index in range(3):
        (source / f"{index}.png").write_bytes(PNG)
    code = (
        "import os, sys, data_prep.decoding as d; from data_prep.sources import open_source; from pathlib import Path\n"
        "class Deadly:\n"
        "    def __call__(self, name, content): os._exit(9)\n"
        "if __name__ == '__main__':\n"
        "    print(*d.decode_members(open_source(Path(sys.argv[1])).members(), Deadly(), 2))\n"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(images.__file__).parents[1])}
    command = [sys.executable, str(program), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert "InputError: A decoding process died" in result.stderr.splitlines()[-1]


def test_the_command_line_in_a_process_of_its_own(mixed, tmp_path):
    command = [sys.executable, "-m", "data_prep.images", str(mixed), str(tmp_path / "out"), "--size", "16"]
    result = subprocess.run([*command, "--label", "parent"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert "holds no usable file" in result.stderr and "Traceback" not in result.stderr
    result = subprocess.run([*command, "--label", "none"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    result = subprocess.run([*command, "--label", "none"], capture_output=True, text=True, timeout=60)
    assert result.stdout == f"{tmp_path / 'out'} is up to date.\n"
    stored = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert stored["kept"] == 2 and stored["source"] == "mixed"
