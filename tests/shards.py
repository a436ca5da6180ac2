"""Tar shards for tests, and a server that gives them."""

import http.server
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep import images


def write_pictures(folder, count, size=8):
    """Random pictures in two folders, which are their classes, with a text beside each; returns the folder."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number:03}.png")
        (place / f"{number:03}.txt").write_text(f"picture {number}")
    return folder


def prepared(source, out, *options):
    """A data set of pictures of 8 by 8 pixels; returns its folder."""
    assert images.main([str(source), str(out), "--size", "8", *map(str, options)]) == 0
    return out


@contextmanager
def served(folder, *, ranges=True, fault=None):
    """The address of a server of a folder; ``fault(path, times asked)`` may give a status, "stall" or "break"."""
    asked: dict[str, int] = {}
    seen: list[tuple[str, str | None]] = []
    leave = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] = asked.get(self.path, 0) + 1
            seen.append((self.path, self.headers["Range"]))
            found = fault(self.path, asked[self.path]) if fault else None
            file = Path(folder) / self.path.lstrip("/").partition("?")[0]
            if isinstance(found, int) or not file.is_file():
                self.send_error(found or 404)
                return
            content, start = file.read_bytes(), 0
            if ranges and self.headers["Range"]:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : len(content) // 2] if found else content[start:])
            if found == "stall":
                leave.wait(10)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        leave.set()
        server.shutdown()
        thread.join()
        server.server_close()
