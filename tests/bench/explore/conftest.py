"""A server over a store, and questions to it."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.explore._catalogue import Catalogue
from bench.explore._server import listen, make_server
from featurestore import FeatureStore


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Explorer:
    """A server that runs in a thread."""

    catalogue: Catalogue
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Reply:
        """Ask as a program would: without what browsers add, unless given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def begin(self, head: bytes) -> bytes:
        """Send raw bytes, and return what comes back until the server hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(head)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def running(store: FeatureStore, results: Path | None = None) -> Iterator[Explorer]:
    """Run the real server on a free port, and end it as Ctrl-C would."""
    catalogue = Catalogue(store, results)
    with listen(0) as listening:
        port = listening.getsockname()[1]
        server = make_server(catalogue, port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Explorer(catalogue, port)
        finally:
            server.should_exit = True
            thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def explorer(album_store: FeatureStore, album_results: Path) -> Iterator[Explorer]:
    """A server over the album and three models' results on it."""
    with running(album_store, album_results) as found:
        yield found


@pytest.fixture
def explore() -> Callable[..., Any]:
    """What runs a server over any store, in a ``with`` statement."""
    return running
