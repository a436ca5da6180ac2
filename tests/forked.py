"""Programs of Python that begin with torch imported, as importing it takes longer than most of them: a server forks.

``python forked.py serve SOCKET MODULES...`` is the server; ``python forked.py run SOCKET`` stands for ``python``, with
``-m MODULE`` or ``-c CODE`` and arguments: same folder, environment, streams and exit status; who kills it kills the
program.
"""

import array
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading

STREAMS = (0, 1, 2)


def run(path: str, arguments: list[str]) -> int:
    """Have the server run a program; returns its exit status."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        order = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", STREAMS))
        server.sendmsg([len(order).to_bytes(8, "big")], [rights])
        server.sendall(order)
        return int.from_bytes(server.recv(1) or b"\1", "big")


def serve(path: str, preloaded: list[str]) -> None:
    """Fork for each order until the standard input ends."""
    for name in preloaded:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()  # or each program would spend a second at its end on looking through all that was imported
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)  # so that whoever sees it is heard
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if listener not in ready:
                return
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                obey(client)
                return
            client.close()


def obey(client: socket.socket) -> None:
    """Become the program that a client asks for, under a parent that waits for its end."""
    size, control, _, _ = client.recvmsg(8, socket.CMSG_SPACE(len(STREAMS) * array.array("i").itemsize))
    streams = array.array("i", control[0][2])
    order = b""
    while len(order) < int.from_bytes(size, "big"):
        order += client.recv(1 << 16)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        client.send(bytes([status % 256]))
        os._exit(0)
    for stream, given in zip(STREAMS, streams, strict=True):
        os.dup2(given, stream)
        os.close(given)
    threading.Thread(target=die_with, args=(client,), daemon=True).start()
    (kind, program, *arguments), folder, environment = json.loads(order)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [kind, *arguments]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})


def die_with(client: socket.socket) -> None:
    client.recv(1)  # nothing comes but the end
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    action, path, *words = sys.argv[1:]
    if action == "run":
        sys.exit(run(path, words))
    serve(path, words)
