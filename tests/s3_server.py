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


@pytest.fixture(scope="session")
def s3_environment() -> Iterator[dict[str, str]]:
    """The environment in which a real S3 server on loopback is found; its bucket is "bucket"."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        requests.put(f"{address}/{BUCKET}", timeout=30).raise_for_status()
        yield ENVIRONMENT | {"AWS_ENDPOINT_URL": address}
    finally:
        server.stop()


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same, for this process, too."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return s3_environment
