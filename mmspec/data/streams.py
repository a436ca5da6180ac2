"""Shards that are read from front to back: what a server sends, and what a command prints."""

import contextlib
import http.client
import os
import selectors
import signal
import subprocess
import urllib.error
import urllib.request
import weakref
from abc import ABC, abstractmethod
from typing import Any

from mmspec.data.locations import PIPE, WEB, is_stream
from mmspec.data.members import Damaged
from mmspec.errors import InputError

SECONDS = 30.0  # of silence, after which a server or a command is given up
CHUNK = 1 << 20
GONE, BEYOND, PARTIAL = (404, 410), 416, 206
AGAIN = (408, 429, 500, 502, 503, 504)  # what servers answer that may answer otherwise in a moment


class Unreachable(Exception):
    """A source that does not answer, or stops in the midst of it, which it may not do the next time."""


class ShardStream(ABC):
    """A shard, from ``position`` on.

    Attributes:
        position: in bytes from the beginning of the shard, of what is read next.
    """

    position = 0

    @abstractmethod
    def _read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the server or the command."""

    def at(self, offset: int, size: int) -> bytes:
        """The bytes from ``offset`` on, fewer where the shard ends before.

        Raises:
            Damaged: if they lie before what was read.
            Unreachable: if the source stops in the midst.
        """
        if offset < self.position:
            raise Damaged(f"holds its samples in another order than its index, at byte {offset:,}")
        while self.position < offset:
            if not (skipped := self._read(min(CHUNK, offset - self.position))):
                return b""
            self.position += len(skipped)
        content = bytearray()
        while len(content) < size and (chunk := self._read(size - len(content))):
            content += chunk
            self.position += len(chunk)
        return bytes(content)


class WebStream(ShardStream):
    """What a server sends, from a byte on if it can, else from the first.

    Args:
        url: of the shard, http or https.
        offset: of the first byte that is needed.

    Raises:
        Damaged: if it is not there, or ends before.
        Unreachable: if the server does not answer now.
        InputError: if it refuses.
    """

    def __init__(self, url: str, offset: int) -> None:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            self._response: Any = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            raise _refusal(url, error) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_said(getattr(error, "reason", error))) from None
        except ValueError as error:
            raise InputError(f"{url} is no address ({error}): mend data.shards.") from None
        self.position = offset if self._response.status == PARTIAL else 0

    def _read(self, size: int) -> bytes:
        try:
            chunk: bytes = self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_said(error)) from None
        if not chunk and self._response.length:
            raise Unreachable(f"broke off {self._response.length:,} bytes before its end")
        return chunk

    def close(self) -> None:
        self._response.close()


class PipeStream(ShardStream):
    """What a command prints.

    Args:
        command: for ``/bin/sh``, as the user who trains gave it: it runs with all of that user's rights.
    """

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        self._end = weakref.finalize(self, _end, self._process)  # at the latest with this process
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def _read(self, size: int) -> bytes:
        if not self._selector.select(SECONDS):
            raise Unreachable(f"sent nothing for {SECONDS:g} s")
        chunk = os.read(self._output.fileno(), min(size, CHUNK))
        if not chunk and (status := self._process.wait()):
            raise Unreachable(f"ended with status {status}")
        return chunk

    def close(self) -> None:
        self._selector.close()
        self._output.close()
        self._end()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """A command, with what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
            return


class FileStream(ShardStream):
    """A file, from the first byte on; raises OSError if it cannot be read."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place must not hold us up

    def _read(self, size: int) -> bytes:
        return os.read(self._descriptor, min(size, CHUNK))

    def close(self) -> None:
        os.close(self._descriptor)


def open_stream(location: str, offset: int) -> ShardStream:
    """A shard from a byte on, or from before it; raises as `WebStream` does."""
    if not is_stream(location):
        return FileStream(location)
    if location.startswith(WEB):
        return WebStream(location, offset)
    return PipeStream(location.removeprefix(PIPE))


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    answer = f"{error.code} {error.reason}"
    if error.code in GONE:
        return Damaged(f"is not there ({answer})")
    if error.code == BEYOND:
        return Damaged(f"ends before what is needed of it ({answer})")
    if error.code in AGAIN:
        return Unreachable(f"answered {answer}")
    return InputError(f"{url} answered {answer}: see that data.shards is right, and that it may be read from here.")


def _said(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"sent nothing for {SECONDS:g} s"
    return f"cannot be reached ({error})"
