"""Tar shards: written from files, and indexed where others wrote them."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep import audio, check, images, journal, sharding, shards
from mmspec.data import open_dataset
from tests.programs import ENVIRONMENT
from tests.shards import prepared, served, write_pictures

NOISE = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def write_tar(file, members):
    """Name -> content, in this order; returns the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def sound(samples, rate, form="WAV", subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def index(given, out, *options):
    return shards.main([str(given), str(out), "--workers", "1", *map(str, options)])


def test_recordings_are_those_of_the_packed_set(tmp_path):
    for number in range(9):
        samples = (NOISE[number].reshape(-1).astype(np.int16) - 128) * 99
        (tmp_path / "source").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"source/{number % 3}_{number}.wav", samples[: 50 + 7 * number], 8000)
    words = [str(tmp_path / "source"), "--sample-rate", "8000", "--label", "name:0"]
    assert audio.main([words[0], str(tmp_path / "packed"), *words[1:]]) == 0
    assert audio.main([words[0], str(tmp_path / "shards"), *words[1:], "--shards", "4"]) == 0
    packed, sharded = open_dataset(tmp_path / "packed"), open_dataset(tmp_path / "shards")
    rows = np.arange(9)
    assert sharded.batch(rows)[0].equal(packed.batch(rows)[0]) and (sharded.lengths == packed.lengths).all()
    assert sharded.batch(rows)[1].equal(packed.batch(rows)[1])
    own = ("preparation", "sha256")
    assert {k: v for k, v in vars(sharded.meta).items() if k not in own} == {
        k: v for k, v in vars(packed.meta).items() if k not in own
    }


def test_several_processes_write_the_bytes_that_one_writes(tmp_path, monkeypatch):
    source = write_pictures(tmp_path / "source", 30)
    prepared(source, tmp_path / "one", "--shards", 7, "--holdout", 0.3)
    monkeypatch.setattr(sharding, "BUSY_FROM", 0)
    prepared(source, tmp_path / "two", "--shards", 7, "--holdout", 0.3, "--workers", 2)
    written = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*"))
    assert written == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*"))
    assert all(
        (tmp_path / "one" / each).read_bytes() == (tmp_path / "two" / each).read_bytes()
        for each in written
        if (tmp_path / "one" / each).is_file()
    )


def test_what_was_killed_goes_on_behind_the_last_file_and_ends_the_same(tmp_path):
    source, out = write_pictures(tmp_path / "source", 40), tmp_path / "out"
    whole = prepared(source, tmp_path / "whole", "--shards", 9, "--captions")
    program = (
        "import sys, time, data_prep.journal as journal, data_prep.images as images\n"
        "journal.AT_A_TIME = 5\n"
        "decode = images.PictureDecoder.__call__\n"
        "def slowly(self, *given):\n"
        "    time.sleep(0.05)\n"
        "    return decode(self, *given)\n"
        "images.PictureDecoder.__call__ = slowly\n"
        "sys.exit(images.main(sys.argv[1:]))\n"
    )
    words = [str(source), str(out), "--size", "8", "--shards", "9", "--captions"]
    process = subprocess.Popen([sys.executable, "-c", program, *words], env=ENVIRONMENT)
    contents = tmp_path / ".writing-out/new/contents"
    while not (contents.is_file() and contents.stat().st_size > 1000):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    decoded = []
    with pytest.MonkeyPatch.context() as patch:
        decode = images.PictureDecoder.__call__
        patch.setattr(
            images.PictureDecoder,
            "__call__",
            lambda self, name, content: (decoded.append(name), decode(self, name, content))[1],
        )
        assert images.main(words) == 0
    assert 0 < len(decoded) < 40
    for file in whole.iterdir():
        assert (out / file.name).read_bytes() == file.read_bytes()
    assert not list(tmp_path.glob(".writing-*"))


def test_a_set_that_is_there_is_left_alone_or_refused(tmp_path, capsys):
    source, out = write_pictures(tmp_path / "source", 6), tmp_path / "out"
    prepared(source, out, "--shards", 4)
    capsys.readouterr()
    assert images.main([str(source), str(out), "--size", "8", "--shards", "4"]) == 0
    assert capsys.readouterr().out == f"{out} is up to date.\n"
    assert images.main([str(source), str(out), "--size", "8"]) == 2
    assert f"{out} was made with --shards 4, not None: delete it to make it again" in capsys.readouterr().err


def test_a_check_reads_everything(tmp_path, capsys):
    source = write_pictures(tmp_path / "source", 20)
    sharded, packed = prepared(source, tmp_path / "shards", "--shards", 6), prepared(source, tmp_path / "packed")
    capsys.readouterr()
    assert check.main([str(sharded)]) == check.main([str(packed)]) == 0
    assert capsys.readouterr().out == (
        f"{sharded}: all 4 shards are as they were indexed.\n{packed}: all 20 samples are as they were written.\n"
    )
    with (sharded / "shard-000002.tar").open("r+b") as file:
        file.seek(520)
        file.write(b"!")
    os.truncate(sharded / "shard-000003.tar", 99)
    assert check.main([str(sharded)]) == 2
    said = capsys.readouterr().err
    assert f"{sharded}/shard-000002.tar does not match its checksum in shards.json.\n" in said
    assert "shard-000003.tar is of 99 bytes, expected " in said
    assert said.endswith(f"error: 2 of the 4 shards of {sharded} are broken: fetch them again.\n")


def test_shards_of_webdataset_are_read_and_ours_by_it(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="needs the package webdataset")
    with webdataset.ShardWriter(str(tmp_path / "theirs-%04d.tar"), maxcount=15, verbose=0) as writer:
        for number, pixels in enumerate(NOISE):
            writer.write(
                {"__key__": f"a.b/{number:03}", "png": pixels, "cls": number % 3, "json": {"caption": f"no. {number}"}}
            )
    assert index(tmp_path / "theirs-{0000..0002}.tar", tmp_path / "index", "--captions") == 0
    dataset = open_dataset(tmp_path / "index")
    assert (dataset.stored(np.arange(40)) == NOISE).all() and dataset.meta.classes == ("0", "1", "2")
    assert dataset.labels.tolist() == [n % 3 for n in range(40)] and dataset.captions == [f"no. {n}" for n in range(40)]

    ours = prepared(write_pictures(tmp_path / "source", 20), tmp_path / "ours", "--captions", "--shards", 8)
    urls, dataset = f"{ours}/shard-{{000000..000002}}.tar", open_dataset(ours)
    rows = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8").to_tuple("png", "cls", "txt"))
    assert (np.stack([pixels for pixels, _, _ in rows]) == dataset.stored(np.arange(20))).all()
    assert [label for _, label, _ in rows] == dataset.labels.tolist()
    assert [text for _, _, text in rows] == dataset.captions


def test_all_kinds_of_signals_are_read_as_packed_ones_are(tmp_path):
    ints = (NOISE[:4].reshape(4, -1).astype(np.int16) - 128) * 200
    kinds = {
        "a.wav": sound(ints[0], 8000),
        "b.flac": sound(ints[1], 8000, "FLAC"),
        "c.npy": npy(ints[2]),
        "d.wav": sound(ints[3] / 32768, 8000, subtype="FLOAT"),
    }
    write_tar(tmp_path / "s/sound.tar", kinds)
    assert index(tmp_path / "s", tmp_path / "sounds", "--sample-rate", 8000) == 0
    dataset = open_dataset(tmp_path / "sounds")
    assert (dataset.stored(np.arange(4)) == ints).all() and dataset.meta.sample_rate == 8000

    jpeg = io.BytesIO()
    Image.fromarray(NOISE[0]).save(jpeg, "JPEG")
    pictures = {"a.png": png(NOISE[1]), "b.jpg": jpeg.getvalue(), "c.npy": npy(NOISE[2]), "d.JPEG": jpeg.getvalue()}
    write_tar(tmp_path / "p/pictures.tar", pictures)
    assert index(tmp_path / "p", tmp_path / "pictures") == 0
    found = open_dataset(tmp_path / "pictures").stored(np.arange(4))
    decoded = np.asarray(Image.open(jpeg))
    assert (found == np.stack([NOISE[1], decoded, NOISE[2], decoded])).all()


def test_pictures_that_lie_on_their_side_are_turned_as_packed_ones_are(tmp_path):
    coarse = np.kron(NOISE[0], np.ones((8, 8, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "source").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(coarse).save(tmp_path / "source" / name, exif=exif)
    write_tar(tmp_path / "s/a.tar", {name: (tmp_path / "source" / name).read_bytes() for name in ("a.jpg", "b.jpg")})
    assert index(tmp_path / "s", tmp_path / "index") == 0
    assert images.main([str(tmp_path / "source"), str(tmp_path / "packed"), "--size", "64"]) == 0
    rows = np.arange(2)
    assert (open_dataset(tmp_path / "index").stored(rows) == open_dataset(tmp_path / "packed").stored(rows)).all()


def test_what_does_not_go_with_the_rest_is_listed(tmp_path, capsys):
    good = {f"{n:02}.png": png(NOISE[n]) for n in range(3)}
    bad = {
        "10.png": png(NOISE[0][:4]),
        "11.png": png(NOISE[0])[:60],
        "12.txt": b"no picture",
        "13.png": png(NOISE[0]),
        "13.wav": sound(np.zeros(9), 8000),
        "14.png": png(NOISE[0]),
        "14.cls": b"3",
        "15.mp4": b"video",
        "16.npy": npy(np.zeros((8, 8, 3))),
        "17.npy": b"\x93NUMPY\x01\x00\xff",
        "__info__/18.png": png(NOISE[0]),
    }
    write_tar(tmp_path / "s/a.tar", good | bad)
    assert index(tmp_path / "s", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert f"{tmp_path}/out: 3 kept" in out and "  not read   .mp4 1\n" in out
    rejected = dict(line.split("\t") for line in (tmp_path / "out/rejected.tsv").read_text().splitlines()[1:])
    assert sorted(rejected) == [f"a.tar/{n}" for n in range(10, 18)]
    assert rejected["a.tar/10"] == "another shape ([4, 8, 3], the first has [8, 8, 3])"
    assert rejected["a.tar/11"].startswith("unusable .png (cannot be decoded")
    assert rejected["a.tar/12"] == "no signal (it has .txt)" and rejected["a.tar/15"] == "no signal (it has .mp4)"
    assert rejected["a.tar/13"] == "several signals (it has .png, .wav)"
    assert rejected["a.tar/14"] == "a label (unlike the first sample)"
    assert rejected["a.tar/16"].endswith("is an array of float64 [8, 8, 3], expected uint8 [H, W, C] or int16 [T, C])")
    assert open_dataset(tmp_path / "out").batch(np.arange(3))[0].shape == (3, 3, 8, 8)


def test_rates_must_agree(tmp_path, capsys):
    members = {"a.wav": sound(NOISE[0].reshape(-1) / 999, 8000), "b.wav": sound(np.zeros(9), 16000)}
    write_tar(tmp_path / "s/a.tar", {**members, "c.npy": npy(np.ones(5, np.int16))})
    assert index(tmp_path / "s", tmp_path / "out") == 0
    listed = (tmp_path / "out/rejected.tsv").read_text()
    assert "a.tar/b\tanother sample rate (16000 Hz, the first has 8000 Hz)" in listed
    assert "a.tar/c\tno sample rate (arrays of sound do not say theirs: give --sample-rate)" in listed


BROKEN = {
    "cut": (lambda content: content[:2700], r"is no whole tar archive \(unexpected end of data\)"),
    "cut between members": (lambda content: content[:2048], "is cut short: the zeros are missing that end an archive"),
    "text": (lambda content: b"To be" * 200, "is no whole tar archive"),
    "compressed": (lambda content: b"\x1f\x8b" + content[2:], "is compressed: unpack it, as by 'pipe:gunzip -c FILE'"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_shard_is_named_and_passed_over(tmp_path, fault, capsys):
    whole = write_tar(tmp_path / "s/a.tar", {f"{n}.png": png(NOISE[n]) for n in range(4)})
    (tmp_path / "s/b.tar").write_bytes(BROKEN[fault][0](whole.read_bytes()))
    assert index(tmp_path / "s", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "  broken     1 of 2 shards" in printed.out
    assert f"{tmp_path}/s/b.tar " in printed.err and printed.err.endswith(": it is passed over.\n")
    whole.unlink()
    assert index(tmp_path / "s", tmp_path / "other") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: {tmp_path}/s holds no usable sample (1 broken shards, first b.tar ")
    assert re.search(BROKEN[fault][1], said)


def test_streams_are_indexed_and_the_index_keeps_no_address(tmp_path):
    ours = prepared(write_pictures(tmp_path / "source", 20), tmp_path / "ours", "--shards", 8)
    with served(ours) as (address, _):
        assert index(f"{address}/shard-{{000000..000002}}.tar?key=secret", tmp_path / "web") == 0
        given = f"{address}/shard-{{000000..000002}}.tar"
        web = open_dataset(tmp_path / "web", given).batch(np.arange(20))[0]
    assert index(f"pipe:cat {ours}/shard-{{000000..000002}}.tar # secret", tmp_path / "pipe") == 0
    pipe = open_dataset(tmp_path / "pipe", f"pipe:cat {ours}/shard-{{000000..000002}}.tar").batch(np.arange(20))[0]
    assert web.equal(pipe) and web.equal(open_dataset(ours).batch(np.arange(20))[0])
    for file in (*(tmp_path / "web").iterdir(), *(tmp_path / "pipe").iterdir()):
        assert b"secret" not in file.read_bytes() and b"127.0.0.1" not in file.read_bytes()
    assert json.loads((tmp_path / "pipe/shards.json").read_text())["names"] == ["000000", "000001", "000002"]


def test_a_source_that_does_not_come_ends_the_indexing(tmp_path, capsys):
    assert index("pipe:exit 4", tmp_path / "out") == 2
    assert capsys.readouterr().err == "error: pipe:exit 4 ended with status 4: see that it can be read from here.\n"
    assert index("http://127.0.0.1:9/a.tar", tmp_path / "out") == 2
    assert "http://127.0.0.1:9/a.tar cannot be reached (" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_journal_without_its_contents_is_one_sentence(tmp_path, capsys, monkeypatch):
    source, out = write_pictures(tmp_path / "source", 6), tmp_path / "out"
    monkeypatch.setattr(sharding, "write_shard", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    words = [str(source), str(out), "--size", "8", "--shards", "4"]
    assert images.main(words) == 130
    assert capsys.readouterr().err == "interrupted: the same command goes on.\n"
    assert journal.Journal(tmp_path / ".writing-out/new").done == 12
    os.truncate(tmp_path / ".writing-out/new/contents", 10)
    assert images.main(words) == 2
    assert "contents is shorter than its journal says" in capsys.readouterr().err
