"""The server: it listens to this computer alone."""

import errno
import socket
import sys
from collections.abc import Callable

import uvicorn

from bench._errors import BenchError
from bench.explore._catalogue import Catalogue
from bench.explore._routes import make_app

ADDRESS = "127.0.0.1"
_PATIENCE = 2  # seconds that requests under way get when the server ends


def listen(port: int) -> socket.socket:
    """Return a socket that listens at a port of this computer; 0 stands for a free one.

    Raises
    ------
    BenchError
        If the port can't be had.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # where it would take a port from who has it
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port))
        found.listen()
    except OSError as error:
        found.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"can't be had ({error.strerror})"
        raise BenchError(f"--port {port}: {why}; give another one, or 0 for any") from None
    return found


def make_server(catalogue: Catalogue, port: int) -> uvicorn.Server:
    """Return the server; ``run(sockets=[listen(port)])`` keeps it up until it is told to end."""
    config = uvicorn.Config(
        make_app(catalogue, port),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    return uvicorn.Server(config)


def serve(catalogue: Catalogue, listening: socket.socket, opened: Callable[[str], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Parameters
    ----------
    catalogue : Catalogue
    listening : socket
        Closed at the end.
    opened : callable
        Told the page's address as soon as it answers.
    """
    port = listening.getsockname()[1]
    server = make_server(catalogue, port)
    opened(f"http://{ADDRESS}:{port}/")
    with listening:
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # raised again by uvicorn once it has ended
            return
