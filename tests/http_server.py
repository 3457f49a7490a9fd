"""A real HTTP server on loopback that behaves as badly as it is asked to."""

import gzip
import http.server
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Counts what it is asked for."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, jpeg: Callable[..., bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.jpeg = jpeg
        self.asked: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {}
        self.agents: set[str] = set()
        self.connections = 0
        self.active = 0
        self.most_active = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.server_address[1]}{path}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up: most tests make them do so."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.asked[self.path] += 1
            server.times.setdefault(self.path, []).append(time.monotonic())
            server.agents.add(self.headers.get("User-Agent", ""))
            server.active += 1
            server.most_active = max(server.most_active, server.active)
        try:
            parts = urlsplit(self.path)
            name, *rest = parts.path.strip("/").split("/")
            getattr(self, f"serve_{name.partition('.')[0]}")(*rest, **parse_qs(parts.query))
        finally:
            with server.lock:
                server.active -= 1

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for header, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def slowly(self, pieces: Iterator[bytes]) -> None:
        self.close_connection = True
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            if self.server.closing.wait(0.05):
                return

    def serve_image(self, seed: str) -> None:
        self.answer(self.server.jpeg(seed=int(seed.partition(".")[0])))

    def serve_cut(self, seed: str) -> None:
        """Half of a JPEG, said to be all of it."""
        body = self.server.jpeg(seed=int(seed))
        self.answer(body[: len(body) // 2])

    def serve_tiny(self, seed: str) -> None:
        self.answer(self.server.jpeg(seed=int(seed), size=(20, 12)))

    def serve_slow(self, seed: str) -> None:
        time.sleep(0.1)
        self.serve_image(seed)

    def serve_status(self, code: str, *_: str) -> None:
        self.answer(b"no", int(code))

    def serve_heals(self, code: str, times: str, seed: str) -> None:
        """Fail so many times, then give the image."""
        if self.server.asked[self.path] <= int(times):
            self.answer(b"no", int(code))
        else:
            self.serve_image(seed)

    def serve_limited(self, seconds: str, seed: str) -> None:
        if self.server.asked[self.path] == 1:
            self.answer(b"slower", 429, Retry_After=unquote(seconds))
        else:
            self.serve_image(seed)

    def serve_redirect(self, times: str, seed: str) -> None:
        left = int(times)
        target = f"/redirect/{left - 1}/{seed}" if left > 1 else f"/image/{seed}"
        self.answer(b"", 302, Location=target)

    def serve_to(self, url: list[str]) -> None:
        self.answer(b"", 302, Location=url[0])

    def serve_removed(self, *_: str) -> None:
        self.answer(b"", 302, Location="/photo_unavailable.png")

    def serve_photo_unavailable(self) -> None:
        self.answer(self.server.jpeg(seed=999))

    def serve_drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.slowly(b"x" for _ in range(10_000))

    def serve_drip_headers(self) -> None:
        self.slowly(iter([b"HTTP/1.1 200 OK\r\n", *(b"X: y\r\n" for _ in range(10_000))]))

    def serve_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while not self.server.closing.is_set():
            self.wfile.write(bytes(65536))

    def serve_short(self, seed: str) -> None:
        """Promise more than is sent."""
        body = self.server.jpeg(seed=int(seed))
        self.close_connection = True
        self.answer(body, Content_Length=str(2 * len(body)))

    def serve_huge(self) -> None:
        self.close_connection = True
        self.answer(b"x", Content_Length=str(10**12))

    def serve_packed(self, seed: str) -> None:
        self.answer(gzip.compress(self.server.jpeg(seed=int(seed))), Content_Encoding="gzip")

    def serve_bomb(self) -> None:
        self.answer(gzip.compress(bytes(200_000_000), 1), Content_Encoding="gzip")

    def serve_mispacked(self, encoding: str) -> None:
        """A body that isn't packed as its header says."""
        self.answer(b"no such stream", Content_Encoding=encoding)

    def serve_reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def serve_html(self) -> None:
        self.answer(b"<html>Log in</html>")

    def serve_empty(self) -> None:
        self.answer(b"")

    def serve_password(self, *_: str) -> None:
        self.answer(self.headers.get("Authorization", "none").encode())

    def serve_cookie(self) -> None:
        kept = self.headers.get("Cookie", "")
        self.answer(kept.encode(), Set_Cookie="name=value")


@pytest.fixture
def server(jpeg: Callable[..., bytes]) -> Iterator[Server]:
    """A server that runs as long as the test."""
    running = Server(jpeg)
    thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield running
    running.closing.set()
    running.shutdown()
    running.server_close()
    thread.join()
