"""The gallery's server: for this machine alone, and for nothing but the folders that it was given.

A request names what it wants by numbers and by names that are looked up; none of it becomes a path. Other sites that a
browser shows can neither read answers (the Host header is checked, which stops DNS rebinding) nor embed them.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmspec.data import PackedDataset
from mmspec.data.walk import Walk
from mmspec.errors import InputError
from mmspec.gallery import shown as shown_module
from mmspec.gallery.colours import colour, colours
from mmspec.gallery.shown import Shown, facts, label

if TYPE_CHECKING:
    from mmspec.gallery.figures import Drawings

HOST = "127.0.0.1"
PAGE = {
    "index.html": "text/html",
    "gallery.js": "text/javascript",
    "gallery.css": "text/css",
    "icon.svg": "image/svg+xml",
}
SELF = "script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'"
POLICY = f"default-src 'none'; {SELF}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
KEPT = {"Cache-Control": "private, max-age=86400, immutable"}  # of what its address names by a checksum
DRAWING = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}


class Headers:
    """Puts `HEADERS` on every answer that does not have its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.decode().lower() for name, _ in message["headers"]}
                own = [(key, value) for key, value in HEADERS.items() if key.lower() not in given]
                message["headers"] += [(key.lower().encode(), value.encode()) for key, value in own]
            await send(message)

        await self.app(scope, receive, with_headers)


def application(runs: Sequence[Shown]) -> Starlette:
    """The gallery of runs, as an ASGI application; it answers GET and HEAD for localhost alone."""
    answers = Answers(runs)
    paths: dict[str, Callable[[Request], Response]] = {
        "/api/runs": answers.runs,
        "/api/figures": answers.figures,
        "/api/figures/{number:int}.svg": answers.figure,
        "/api/runs/{run:int}/previews/{step:int}.png": answers.preview,
        "/api/runs/{run:int}/sets/{set}/labels": answers.labels,
        "/api/runs/{run:int}/sets/{set}/{index:int}/{part}": answers.sample,
        "/api/runs/{run:int}/walks/{set}/{index:int}/{part}": answers.step,
        "/": _file("index.html"),
        **{f"/{name}": _file(name) for name in PAGE},
    }
    return Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in paths.items()],
        middleware=[
            Middleware(Headers),
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False),
        ],
        exception_handlers={InputError: _refused, HTTPException: _refused},
    )


class Answers:
    """What each address answers.

    Args:
        shown: the runs, which the page calls by their indices.
    """

    def __init__(self, shown: Sequence[Shown]) -> None:
        self.shown = shown

    @cached_property
    def drawings(self) -> "Drawings":
        """Of figures, when the first is asked for: they need torch, whose import takes seconds."""
        from mmspec.gallery.figures import Drawings

        return Drawings()

    def runs(self, request: Request) -> Response:
        """All runs, with what each holds now."""
        return JSONResponse([self._run(index, run) for index, run in enumerate(self.shown)])

    def _run(self, index: int, run: Shown) -> dict[str, Any]:
        answer: dict[str, Any] = {"name": run.name, "colour": colour(index), "stamp": run.stamp()}
        try:
            sets = {name: facts(dataset) for name, dataset in run.sets().items()}
            walks = {name: {**facts(walk.dataset), **_steps(walk)} for name, walk in run.walks().items()}
        except InputError as error:
            return {**answer, "sets": {}, "walks": {}, "previews": [], "error": str(error)}
        return {**answer, "sets": sets, "walks": walks, "previews": list(run.previews())}

    def figures(self, request: Request) -> Response:
        """Titles, captions and legends of the figures of ``?runs=0,1``."""
        drawn = [figure for figure, _ in self.drawings.of(self._chosen(request))]
        return JSONResponse([{"title": f.title, "caption": f.caption, "legend": list(f.legend)} for f in drawn])

    def figure(self, request: Request) -> Response:
        """One of them."""
        drawn = self.drawings.of(self._chosen(request))
        number = request.path_params["number"]
        if number >= len(drawn):
            raise HTTPException(404)
        return Response(drawn[number][1], media_type="image/svg+xml", headers=DRAWING)

    def preview(self, request: Request) -> Response:
        """The picture of a step of training."""
        file = self._of(request).previews().get(request.path_params["step"])
        if file is None:
            raise HTTPException(404)
        return Response(file.read_bytes(), media_type="image/png")

    def labels(self, request: Request) -> Response:
        """Classes of the samples ``?from=0&count=64``."""
        dataset = self._set(request)
        first, count = (_whole_number(request.query_params.get(name, "0")) for name in ("from", "count"))
        return JSONResponse([label(dataset, index) for index in range(first, min(first + count, len(dataset)))])

    def sample(self, request: Request) -> Response:
        """A sample: ``thumbnail.png``, ``whole.png`` or ``sound.wav``."""
        return self._part(request, self._of(request).sets().get(request.path_params["set"]))

    def step(self, request: Request) -> Response:
        """What was predicted at a step of a walk, in the same parts."""
        walk = self._of(request).walks().get(request.path_params["set"])
        return self._part(request, walk.dataset if walk is not None else None)

    def _part(self, request: Request, dataset: PackedDataset | None) -> Response:
        parts = {
            "thumbnail.png": (shown_module.thumbnail, "image/png"),
            "whole.png": (shown_module.whole, "image/png"),
            "sound.wav": (shown_module.sound, "audio/wav"),
        }
        index = request.path_params["index"]
        if dataset is None or request.path_params["part"] not in parts or index >= len(dataset):
            raise HTTPException(404)
        made, media_type = parts[request.path_params["part"]]
        try:
            return Response(made(dataset, index), media_type=media_type, headers=KEPT)
        except IndexError:
            raise HTTPException(404) from None

    def _of(self, request: Request) -> Shown:
        if (index := request.path_params["run"]) >= len(self.shown):
            raise HTTPException(404)
        found: Shown = self.shown[index]
        return found

    def _set(self, request: Request) -> PackedDataset:
        sets = self._of(request).sets()
        if request.path_params["set"] not in sets:
            raise HTTPException(404)
        return sets[request.path_params["set"]]

    def _chosen(self, request: Request) -> list[tuple[int, Shown]]:
        numbers = [_whole_number(text) for text in request.query_params.get("runs", "").split(",") if text]
        if any(number >= len(self.shown) for number in numbers):
            raise HTTPException(404)
        return [(number, self.shown[number]) for number in numbers]


def serve(runs: Sequence[Shown], port: int, started: Callable[[str], None]) -> None:
    """Answer until interrupted; ``started`` is told the address.

    Raises:
        InputError: if the port is taken.
    """
    import socket

    import uvicorn

    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"port={port} cannot be used ({error.strerror}): give another, or port=0 for a free one."
            ) from None
        config = uvicorn.Config(application(runs), log_level="warning", server_header=False, lifespan="off")
        bound.listen()  # whoever comes before the server waits
        started(f"http://{HOST}:{bound.getsockname()[1]}/")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([bound])


def _file(name: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        text = files("mmspec.gallery").joinpath("page", name).read_text(encoding="utf-8")
        return Response(colours() + text if name.endswith(".css") else text, media_type=PAGE[name])

    return answer


def _steps(walk: Walk) -> dict[str, Any]:
    return {"count": walk.samples, "sigmas": walk.sigmas}


def _whole_number(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise HTTPException(400)
    return int(text)


def _refused(request: Request, error: Exception) -> Response:
    """A sentence of ours with 409; what is not there or malformed, by its number alone."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    return JSONResponse({"error": str(error)}, 409)
