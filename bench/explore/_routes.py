"""The addresses of the page, and what each answers."""

from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bench._errors import BenchError
from bench.explore._catalogue import PAGE, Catalogue
from bench.explore._dropped import Listener, UnusableImageError
from bench.explore._guard import Guard, one_line
from bench.explore._images import NoSuchImageError
from bench.explore._parameters import (
    BadRequestError,
    check_names,
    read_filters,
    read_kind,
    read_number,
    read_page,
)
from featurestore.errors import FeatureStoreError

MOST_BYTES = 20_000_000
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _Routes:
    """Answers requests; plain functions run in threads, so that none keeps others waiting."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._listener = Listener(
            catalogue.store, catalogue.backbone, catalogue.folder, catalogue.results
        )
        # Read once: no address can name any other file.
        self._files = {
            file.name: file.read_bytes() for file in (files(__package__) / "static").iterdir()
        }

    def page(self, request: Request) -> Response:
        return self._file("index.html")

    def static(self, request: Request) -> Response:
        return self._file(request.path_params["name"])

    def _file(self, name: str) -> Response:
        if name not in self._files:
            raise HTTPException(404)
        kind = _TYPES[name[name.rindex(".") :]]
        # Asked for anew each time: they may be of another version of this program.
        return Response(self._files[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    def about(self, request: Request) -> Response:
        check_names(request.query_params, ())
        limits = {"page": PAGE, "most_bytes": MOST_BYTES}
        return JSONResponse(self._catalogue.about() | {"limits": limits})

    def browse(self, request: Request) -> Response:
        filters, number = read_filters(request.query_params, self._catalogue)
        return JSONResponse(self._catalogue.browse(filters, number))

    def image(self, request: Request) -> Response:
        return JSONResponse(self._catalogue.image(_row(request)))

    def neighbours(self, request: Request) -> Response:
        return JSONResponse({"neighbours": self._catalogue.near_row(_row(request))})

    def pixels(self, request: Request) -> Response:
        fingerprint = self._catalogue.store.fingerprint[:16]
        if request.path_params["fingerprint"] != fingerprint:
            raise HTTPException(404)
        row, size = _row(request), read_number("size", request.path_params["size"])
        # The address names the data, so that what a browser keeps can't be another store's.
        tag = f'"{fingerprint}-{size}-{row}"'
        headers = {"Cache-Control": "private, max-age=31536000, immutable", "ETag": tag}
        if row < len(self._catalogue.store) and tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        data, kind = self._catalogue.images.encode(row, size)
        return Response(data, media_type=kind, headers=headers)

    def failed(self, request: Request) -> Response:
        query = request.query_params
        check_names(query, ("kind", "page"))
        kinds = [found["kind"] for found in self._catalogue.failed.kinds()]
        kind = read_kind(query, kinds)
        return JSONResponse(self._catalogue.failed.page(kind, read_page(query), PAGE))

    async def predict(self, request: Request) -> Response:
        check_names(request.query_params, ("networks",))
        networks = request.query_params.get("networks", "0")
        if networks not in ("0", "1"):
            raise BadRequestError("networks: must be 0 or 1")
        data = await _body(request)
        return await run_in_threadpool(self._predict, data, networks == "1")

    def _predict(self, data: bytes, networks: bool) -> Response:
        try:
            heard = self._listener.hear(data, networks=networks)
        except UnusableImageError as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse(
            {
                "format": heard.format,
                "width": heard.width,
                "height": heard.height,
                "bytes": len(data),
                "row": self._catalogue.same_file(heard.sha256),
                "models": heard.models,
                "networks": heard.networks,
                "neighbours": self._catalogue.near(heard.embedding),
            }
        )


def make_app(catalogue: Catalogue, port: int) -> ASGIApp:
    """Return the application that shows a store to who asks at a port of this computer."""
    routes = _Routes(catalogue)
    app = Starlette(
        routes=[
            Route("/", routes.page),
            Route("/static/{name}", routes.static),
            Route("/images/{fingerprint}/{size}/{row}", routes.pixels),
            Route("/api/about", routes.about),
            Route("/api/images", routes.browse),
            Route("/api/images/{row}", routes.image),
            Route("/api/images/{row}/neighbours", routes.neighbours),
            Route("/api/failed", routes.failed),
            Route("/api/predict", routes.predict, methods=["POST"]),
        ],
        exception_handlers={
            HTTPException: _refuse,
            BadRequestError: _bad_request,
            NoSuchImageError: _nothing_there,
            FeatureStoreError: _broken,
            BenchError: _broken,
            Exception: _bug,
        },
    )
    return Guard(app, port)


def _row(request: Request) -> int:
    return read_number("row", request.path_params["row"])


async def _body(request: Request) -> bytes:
    """Return the body, or refuse it as soon as it is known to be too large."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > MOST_BYTES:
        raise _too_large()
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise _too_large()
    if not data:
        raise BadRequestError("the body must be an image file, and is empty")
    return bytes(data)


def _too_large() -> HTTPException:
    limit = f"the file is larger than {MOST_BYTES // 1_000_000} MB"
    return HTTPException(413, limit, headers={"Connection": "close"})


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _bad_request(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _nothing_there(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "there is no such image"}, 404)


def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 500)


def _bug(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": one_line(error)}, 500)  # and Guard writes the same down
