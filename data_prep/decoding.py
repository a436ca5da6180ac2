"""Decode the files of a source, in this process or in several; the results and their order are the same."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context, parent_process

from data_prep.samples import Decoded, Rejected
from data_prep.sources import LFS_POINTER, Member
from mmspec.errors import InputError

Decoder = Callable[[str, bytes], Decoded]
Outcome = tuple[Member, Decoded | Rejected]

GROUP_FILES, GROUP_BYTES = 64, 1 << 20  # as results wait for their turn, a hundred times as large
BYTES_A_WORKER = 32 << 20  # a process takes half a second to start, in which another decodes some tens of megabytes


def default_workers(size: int) -> int:
    """Processes that pay for a source of ``size`` bytes."""
    return max(1, min(os.cpu_count() or 1, size // BYTES_A_WORKER))


def decode_members(members: Iterable[Member], decoder: Decoder, workers: int) -> Iterator[Outcome]:
    """Every member (without its content) with what became of it, in the order of ``members``.

    Args:
        members: files.
        decoder: (name, content) -> what was decoded, or raises Rejected; a picklable object.
        workers: processes; 1 decodes in this one.

    Raises:
        InputError: if a worker process dies.
    """
    if workers == 1:
        yield from (_decode(decoder, member) for member in members)
        return
    groups = _grouped(members)
    # Spawned, not forked: a fork of a process with running threads can hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=start_worker)
    try:
        waiting: deque[Future[list[Outcome]]] = deque()
        for group in groups:
            waiting.append(pool.submit(_decode_group, decoder, group))
            if len(waiting) > workers + 2:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError(
            "A decoding process died, most likely for want of memory: run again with --workers 1."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _grouped(members: Iterable[Member]) -> Iterator[list[Member]]:
    """Groups that are worth the way to another process and fit into memory."""
    group: list[Member] = []
    held = 0
    for member in members:
        group.append(member)
        held += len(member.content) if isinstance(member.content, bytes) else 0
        if len(group) == GROUP_FILES or held >= GROUP_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _decode_group(decoder: Decoder, group: list[Member]) -> list[Outcome]:
    return [_decode(decoder, member) for member in group]


def _decode(decoder: Decoder, member: Member) -> Outcome:
    return replace(member, content=b""), _outcome(decoder, member)


def _outcome(decoder: Decoder, member: Member) -> Decoded | Rejected:
    if isinstance(member.content, Rejected):
        return member.content
    try:
        if not member.content:
            raise Rejected("empty file")
        if member.content.startswith(LFS_POINTER):
            raise Rejected("Git LFS pointer", "not the file itself: run `git lfs pull` where it came from")
        return decoder(member.name, member.content)
    except Rejected as rejected:
        return rejected
    except InputError:
        raise
    except MemoryError:
        return Rejected("too large", "it needs more memory than there is")
    except Exception as error:  # what decoders raise is beyond counting, and one file must not end all others' work
        return Rejected("cannot be decoded", f"{type(error).__name__}: {error}")


def start_worker() -> None:
    """What a process of a pool does first: leave interruptions to its parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Or a killed program's workers would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
