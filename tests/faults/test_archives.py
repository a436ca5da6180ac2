"""What other people's archives hold: encryption, links, names in unmarked UTF-8, rests of their systems."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from data_prep import images
from mmspec.data import PackedDataset
from tests.faults.test_class_names import PICTURES, png, write

FILES = {f"{kind}/{i}.png": png(PICTURES[i]) for i, kind in enumerate(("cats", "cats", "dogs", "dogs"))}


def zipped(files: dict[str, bytes] = FILES, compression: int = zipfile.ZIP_STORED, **how: bool) -> bytearray:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, each in files.items():
            with archive.open(zipfile.ZipInfo(name), "w", **how) as file:
                file.write(each)
    return bytearray(content.getvalue())


def altered(place: int, layout: str, value: int, count: int = 1) -> bytes:
    """With another value in the first members' headers: at ``place`` of their own, and 2 behind in the listing."""
    content = zipped()
    for mark, behind in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        at = 0
        for _ in range(count):
            at = content.index(mark, at) + 4
            struct.pack_into(layout, content, at - 4 + place + behind, value)
    return bytes(content)


def prepared(folder: Path, content: bytes) -> tuple[PackedDataset, dict[str, str]]:
    (folder / "set.zip").write_bytes(content)
    assert images.main([str(folder / "set.zip"), str(folder / "out"), "--size", "8"]) == 0
    lines = (folder / "out" / "rejected.tsv").read_text().splitlines()[1:]
    return PackedDataset(folder / "out"), dict(line.split("\t") for line in lines)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("wide", [False, True])
def test_zips_of_all_compressions_and_of_64_bits(tmp_path, compression, wide):
    dataset, rejected = prepared(tmp_path, bytes(zipped(compression=compression, force_zip64=wide)))
    assert (dataset.data == PICTURES[:4]).all() and dataset.labels.tolist() == [0, 0, 1, 1] and rejected == {}


@pytest.mark.parametrize("around", [lambda zip: b"#!/bin/sh\n" * 9 + zip, lambda zip: zip + bytes(99)])
def test_zips_with_something_before_or_behind(tmp_path, around):
    dataset, rejected = prepared(tmp_path, around(bytes(zipped())))
    assert len(dataset) == 4 and rejected == {}


def test_encrypted_members_are_named_as_such(tmp_path, capsys):
    dataset, rejected = prepared(tmp_path, altered(6, "<H", 1))
    assert len(dataset) == 3
    assert rejected == {"cats/0.png": "encrypted in the archive (unpack it with its password, and give the folder)"}
    (tmp_path / "all.zip").write_bytes(altered(6, "<H", 1, count=4))
    assert images.main([str(tmp_path / "all.zip"), str(tmp_path / "none"), "--size", "8"]) == 2
    assert "holds no usable file (4 encrypted in the archive; first cats/0.png" in capsys.readouterr().err


def test_unknown_compressions_are_no_damage(tmp_path):
    dataset, rejected = prepared(tmp_path, altered(8, "<H", 99))
    assert len(dataset) == 3
    assert rejected == {"cats/0.png": "unsupported in the archive (That compression method is not supported)"}


def test_damage_is_one_members(tmp_path):
    content = zipped()
    content[60] ^= 255
    dataset, rejected = prepared(tmp_path, bytes(content))
    assert len(dataset) == 3 and rejected["cats/0.png"].startswith("damaged in the archive (Bad CRC-32")


def test_links_within_a_zip_are_no_pictures(tmp_path):
    content = io.BytesIO(bytes(zipped()))
    with zipfile.ZipFile(content, "a") as archive:
        link = zipfile.ZipInfo("cats/link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "0.png")
    dataset, rejected = prepared(tmp_path, content.getvalue())
    assert len(dataset) == 4 and rejected == {"cats/link.png": "not a file (a link in the archive)"}


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("été".encode(), "été"),
        ("猫".encode(), "猫"),
        ("é".encode("latin-1"), "\u0398"),
        ("猫".encode("shift-jis"), None),
    ],
)
def test_names_that_do_not_say_their_encoding_are_utf_8_where_they_can_be(tmp_path, name, read):
    content = bytes(zipped({key.replace("cats", "?" * len(name)): value for key, value in FILES.items()}))
    dataset, rejected = prepared(tmp_path, content.replace(b"?" * len(name) + b"/", name + b"/"))
    assert rejected == {} and len(dataset) == 4 and dataset.meta.classes is not None
    assert set(dataset.meta.classes) - {"dogs"} == {read or name.decode("cp437")}


def test_rests_of_other_systems_are_counted_and_no_class(tmp_path):
    rests = ("__MACOSX/cats/._0.png", "cats/._0.png", ".DS_Store", "dogs/Thumbs.db", "cats/desktop.ini")
    files = FILES | {name: b"\0\5\x16\7\0\2\0\0" + bytes(99) for name in rests} | {"inner.zip": bytes(zipped())}
    dataset, rejected = prepared(tmp_path, bytes(zipped(files)))
    assert dataset.meta.classes == ("cats", "dogs") and len(dataset) == 4
    assert rejected.keys() == {*rests, "inner.zip"}
    assert {why.split(" (")[0] for why in rejected.values()} == {"not a picture"}


def test_suffixes_say_nothing(tmp_path):
    names = ("0.PNG", "1.JPEG", "2", "3.txt", "4.wav.png")
    source = write(tmp_path / "folder", {name: png(PICTURES[i]) for i, name in enumerate(names)})
    assert images.main([str(source), str(tmp_path / "out"), "--size", "8"]) == 0
    assert (PackedDataset(tmp_path / "out").data == PICTURES[:5]).all()
