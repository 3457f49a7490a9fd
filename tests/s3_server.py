"""A real S3 server on loopback."""

import logging
from collections.abc import Iterator

import pytest
import requests

BUCKET = "bucket"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


class S3Server:
    """It may go away and come back, at the same port and with all that it had."""

    def __init__(self) -> None:
        self._port = 0
        self.start()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        host, self._port = self._server.get_host_and_port()
        self.address = f"http://{host}:{self._port}"

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server whose bucket is "bucket"."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = S3Server()
    try:
        requests.put(f"{server.address}/{BUCKET}", timeout=30).raise_for_status()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_environment(s3_server: S3Server) -> dict[str, str]:
    """The environment in which the server is found."""
    return ENVIRONMENT | {"AWS_ENDPOINT_URL": s3_server.address}


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same, for this process, too."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return s3_environment
