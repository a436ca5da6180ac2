"""Files from a folder, a tar or a zip archive, read in place: nothing is unpacked to disk.

A member's name is only ever a label to read, never a path to write, so an archive cannot reach outside of it.
"""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from data_prep.samples import Rejected
from mmspec.errors import InputError, printable
from mmspec.strangers import UNREADABLE, most_unpacked

COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
DAMAGED = (*UNREADABLE, tarfile.TarError, OSError)
CHUNK = 1 << 20
MOST_BYTES, MOST_NAME = 8 << 30, 1 << 20  # of a file; of what a tar says of one beside its header
LENGTHY = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
ENCRYPTED, UTF_8, UNIX = 1, 1 << 11, 3  # bits of a zip member's flags; the system whose file types it has
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Member:
    """One file of a source.

    Attributes:
        name: path within the source, with forward slashes.
        content: its bytes, or why there are none.
        end: how far into the source it reaches, of ``Source.size``.
    """

    name: str
    content: bytes | Rejected
    end: int


class Source:
    """Where files come from. ``size`` is in bytes, as read (an archive's own, so compressed)."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    def members(self, skip: int = 0) -> Iterator[Member]:
        """All files but the first ``skip``, in the order in which they are cheapest to read, which is always the same.

        Raises:
            InputError: if the source as a whole is damaged.
        """
        raise NotImplementedError

    def fingerprint(self) -> dict[str, Any]:
        """Name, size and time of change: by these a second run knows its source again."""
        found = self.path.stat()
        return {"name": self.path.name, "bytes": found.st_size, "modified": found.st_mtime_ns}


class Folder(Source):
    """A folder, with all folders below it; links to files are followed, links to folders are not."""

    def __init__(self, path: Path) -> None:
        self.path, self.unlisted = path, dict[str, Rejected]()
        walked = list(os.walk(path, onerror=self._unlisted))
        files = [self._below(parent, name) for parent, _, names in walked for name in names]
        files += [self._below(parent, name) for parent, names, _ in walked for name in names if _is_link(parent, name)]
        files += self.unlisted
        self.files = sorted(_named(file) for file in files)
        super().__init__(path, sum(_size_and_time(path / file)[0] for _, file in self.files))

    def _below(self, parent: str, name: str) -> str:
        return os.path.relpath(os.path.join(parent, name), self.path)

    def _unlisted(self, error: OSError) -> None:
        folder = self._below(error.filename or str(self.path), "")
        self.unlisted[folder] = Rejected("unreadable folder", error.strerror or str(error))

    def members(self, skip: int = 0) -> Iterator[Member]:
        end = 0
        for number, (name, file) in enumerate(self.files):
            end += _size_and_time(self.path / file)[0]
            if number < skip:
                continue
            yield Member(name, self.unlisted.get(file) or _file_content(self.path / file), end)

    def fingerprint(self) -> dict[str, Any]:
        digest = hashlib.sha256()
        for name, file in self.files:
            size, modified = _size_and_time(self.path / file)
            digest.update(f"{name}\0{size}\0{modified}\n".encode())
        return {"name": self.path.name, "bytes": self.size, "listing": digest.hexdigest()}


class _Header(tarfile.TarInfo):
    """A member's header. Names, and what else there is to say, may stand behind it, and are read as a whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As of the base, but of no names that fill the memory."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in LENGTHY and not 0 <= header.size <= MOST_NAME:
            raise tarfile.ReadError(f"the name of a file of {header.size:,} bytes")
        return header


class Tar(Source):
    """A tar archive, plain or compressed, read once from front to back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, path.stat().st_size)

    def members(self, skip: int = 0) -> Iterator[Member]:
        count = 0
        with self.path.open("rb") as raw:
            try:
                with _decompressed(raw) as stream, _tar(stream, CHUNK) as archive:
                    for info in archive:
                        archive.members = []  # type: ignore[attr-defined]  # or a long listing stays in memory
                        if info.isdir():
                            continue
                        count += 1
                        if count <= skip:
                            continue
                        yield Member(*_checked(info.name, _tar_content(archive, info, raw)), raw.tell())
                    while stream.read(CHUNK):  # to the end, where the compressor's checksum is
                        pass
            except DAMAGED as error:
                raise InputError(f"{self.path} is damaged after {count} files ({error}): fetch it again.") from None


class Zip(Source):
    """A zip archive."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))]
            self.infos = sorted(infos, key=lambda info: info.filename)
        super().__init__(path, sum(info.compress_size for info in self.infos))

    def members(self, skip: int = 0) -> Iterator[Member]:
        end = sum(info.compress_size for info in self.infos[:skip])
        with zipfile.ZipFile(self.path) as archive:
            for info in self.infos[skip:]:
                end += info.compress_size
                yield Member(*_checked(_zip_name(info), _zip_content(archive, info)), end)


def open_source(path: Path) -> Source:
    """The source at a path, by what it is and not by its name.

    Raises:
        InputError: if there is no folder and no archive.
    """
    try:
        if path.is_dir():
            return Folder(path.resolve())
        if zipfile.is_zipfile(path):
            return Zip(path)
        with path.open("rb") as raw, _decompressed(raw) as stream, _tar(stream):
            return Tar(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a folder, a .tar, .tar.gz, .tgz or .zip archive.") from None
    except DAMAGED:
        with path.open("rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise InputError(f"{path} is a Git LFS pointer, not the archive itself: run `git lfs pull`.") from None
        raise InputError(
            f"{path} cannot be read as an archive: give a folder, or an undamaged .tar, .tar.gz, .tgz or .zip."
        ) from None


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(8)
    raw.seek(0)
    for magic, opened in COMPRESSED.items():
        if start.startswith(magic):
            stream: IO[bytes] = opened(raw)
            return stream
    return raw


def _tar(stream: IO[bytes], chunk: int = tarfile.RECORDSIZE) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="r|", bufsize=chunk, tarinfo=_Header)


def _tar_content(archive: tarfile.TarFile, info: tarfile.TarInfo, raw: IO[bytes]) -> bytes | Rejected:
    if not info.isreg():
        return Rejected("not a file", "a link or a device in the archive")
    file, start = archive.extractfile(info), raw.tell()
    return _read(file, lambda: raw.tell() - start + CHUNK) if file else b""


def _zip_name(info: zipfile.ZipInfo) -> str:
    """As it was meant: many programs write UTF-8 and do not say so."""
    if info.flag_bits & UTF_8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | Rejected:
    if info.flag_bits & ENCRYPTED:
        return Rejected("encrypted in the archive", "unpack it with its password, and give the folder")
    if info.create_system == UNIX and stat.S_ISLNK(info.external_attr >> 16):
        return Rejected("not a file", "a link in the archive")
    try:
        with archive.open(info) as file:
            return _read(file, lambda: info.compress_size)
    except NotImplementedError as error:
        return Rejected("unsupported in the archive", str(error))
    except DAMAGED as error:
        return Rejected("damaged in the archive", str(error))


def _read(file: IO[bytes], packed: Callable[[], int]) -> bytes | Rejected:
    """All of a file of an archive, unless it outgrows the ``packed()`` bytes that were read of the archive for it."""
    content = io.BytesIO()
    while chunk := file.read(CHUNK):
        content.write(chunk)
        if content.tell() > (most := most_unpacked(packed())):
            return Rejected("too large", f"it unpacks to more than {most:,} bytes, which is too much for its size")
    return content.getvalue()


def _file_content(file: Path) -> bytes | Rejected:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
            return Rejected("not a file", "a link to a folder, a pipe or a device")
        if found.st_size > MOST_BYTES:
            return Rejected("too large", f"{found.st_size:,} bytes, and at most {MOST_BYTES:,} are read")
        return file.read_bytes()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP) and file.is_symlink():
            return Rejected("not a file", "a link to nowhere")
        return Rejected("unreadable", error.strerror or str(error))


def _checked(name: str, content: bytes | Rejected) -> tuple[str, bytes | Rejected]:
    """A member's name made printable, and its content unless the name points out of the archive."""
    path = PurePosixPath(_slashed(name))
    if path.is_absolute() or ".." in path.parts:
        content = Rejected("unsafe path", "it leads out of the archive")
    return _printable(str(path)), content


def _named(file: str) -> tuple[str, str]:
    """A file's path by which it is called, and that by which it is opened: one text where they are alike."""
    name = _printable(_slashed(PurePosixPath(file).as_posix()))
    return name, name if name == file else file


def _slashed(name: str) -> str:
    r"""Windows' ``\`` separates folders too: in its archives, and in the names that unpacking them elsewhere makes."""
    return name.replace("\\", "/")


def _printable(name: str) -> str:
    return printable(name.encode("utf-8", "backslashreplace").decode())


def _is_link(parent: str, name: str) -> bool:
    return os.path.islink(os.path.join(parent, name))


def _size_and_time(file: Path) -> tuple[int, int]:
    """Bytes, and nanoseconds of the last change: of what a link points at, or of the link if that cannot be looked at.

    Zeros of what was removed since, or lies in a folder that may be listed but not entered.
    """
    for status in (file.stat, file.lstat):
        try:
            found = status()
        except OSError:
            continue
        return found.st_size, found.st_mtime_ns
    return 0, 0
