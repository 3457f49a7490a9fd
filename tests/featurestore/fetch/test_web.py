"""One attempt: bytes, or a typed failure, in bounded time and memory, whatever the server does."""

import base64
import datetime
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from featurestore.fetch._web import Reply, Web, WebSettings, _retry_after

LOOSE = WebSettings(allow_private_hosts=True, max_bytes=2_000_000)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web(LOOSE)
    yield made
    made.close()


def kind(reply: Reply) -> str:
    return reply.failure.kind if reply.failure else ""


def test_an_image_comes_as_it_is(web: Web, server: Any) -> None:
    reply = web.get(server.url("/image/7.jpg"), 5)
    assert (reply.data, reply.failure) == (server.jpeg(seed=7), None)
    assert (reply.http_status, reply.final_url) == (200, server.url("/image/7.jpg"))
    assert reply.seconds > 0


def test_a_connection_is_used_again(web: Web, server: Any) -> None:
    for seed in range(10):
        assert not web.get(server.url(f"/image/{seed}"), 5).failure
    assert server.connections == 1


def test_redirects_are_followed_a_bounded_number_of_times(web: Web, server: Any) -> None:
    reply = web.get(server.url("/redirect/5/1"), 5)
    assert reply.data == server.jpeg(seed=1)
    assert reply.final_url == server.url("/image/1")
    assert kind(web.get(server.url("/redirect/6/1"), 5)) == "redirects"


@pytest.mark.parametrize(
    ("code", "expected", "heals"),
    [
        (400, "http_4xx", False),
        (401, "http_4xx", False),
        (403, "http_4xx", False),
        (404, "gone", False),
        (408, "timeout", True),
        (410, "gone", False),
        (429, "rate_limited", True),
        (500, "http_5xx", True),
        (503, "http_5xx", True),
        (304, "redirects", False),
    ],
)
def test_each_status_is_a_failure_of_its_kind(
    web: Web, server: Any, code: int, expected: str, heals: bool
) -> None:
    reply = web.get(server.url(f"/status/{code}"), 5)
    assert kind(reply) == expected
    assert reply.failure is not None
    assert reply.failure.heals is heals
    assert reply.http_status == code


@pytest.mark.parametrize("path", ["/drip", "/drip_headers"])
def test_a_server_that_drips_is_left_at_the_deadline(web: Web, server: Any, path: str) -> None:
    start = time.monotonic()
    reply = web.get(server.url(path), 0.7)
    assert kind(reply) == "timeout"
    assert 0.6 < time.monotonic() - start < 2


def test_a_connection_used_again_has_a_deadline_too(web: Web, server: Any) -> None:
    web.get(server.url("/image/1"), 5)
    start = time.monotonic()
    assert kind(web.get(server.url("/drip"), 0.5)) == "timeout"
    assert time.monotonic() - start < 2
    assert web.get(server.url("/image/2"), 5).data == server.jpeg(seed=2)


def test_a_tls_handshake_that_never_ends_is_left_at_the_deadline(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        reply = web.get(f"https://127.0.0.1:{silent.getsockname()[1]}/x.jpg", 0.5)
    assert kind(reply) == "timeout"
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("path", ["/drip", "/drip_headers"])
def test_closing_ends_what_is_under_way_and_all_that_comes_later(server: Any, path: str) -> None:
    web = Web(LOOSE)
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(web.get(server.url(path), 30)))
    thread.start()
    while not server.active:
        time.sleep(0.01)
    start = time.monotonic()
    web.close()
    thread.join()
    replies.append(web.get(server.url(path), 30))
    assert time.monotonic() - start < 10
    assert [kind(reply) for reply in replies] == ["timeout", "timeout"]
    assert not replies[0].data + replies[1].data


def test_an_endless_body_is_cut_at_the_limit(web: Web, server: Any) -> None:
    assert kind(web.get(server.url("/endless"), 20)) == "too_large"


def test_a_body_that_is_promised_too_large_is_not_read(web: Web, server: Any) -> None:
    reply = web.get(server.url("/huge"), 5)
    assert kind(reply) == "too_large"
    assert "1,000,000,000,000" in str(reply.failure)


def test_a_packed_bomb_is_not_unpacked_beyond_the_limit(web: Web, server: Any) -> None:
    assert kind(web.get(server.url("/bomb"), 20)) == "too_large"


def test_a_packed_image_is_unpacked(web: Web, server: Any) -> None:
    assert web.get(server.url("/packed/3"), 5).data == server.jpeg(seed=3)


def test_fewer_bytes_than_promised_are_a_broken_connection(web: Web, server: Any) -> None:
    reply = web.get(server.url("/short/3"), 5)
    assert kind(reply) == "connect"
    assert reply.failure is not None
    assert reply.failure.heals


def test_a_reset_connection_heals(web: Web, server: Any) -> None:
    assert kind(web.get(server.url("/reset"), 5)) == "connect"


def test_a_closed_port_is_told_from_a_name_that_does_not_exist(web: Web) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert kind(web.get(f"http://127.0.0.1:{port}/", 5)) == "connect"
    assert kind(web.get("http://no-such-name.invalid/", 5)) == "dns"


def test_plain_http_on_a_tls_address_is_a_tls_failure(web: Web, server: Any) -> None:
    reply = web.get(server.url("/image/1").replace("http:", "https:"), 5)
    assert kind(reply) == "tls"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x.jpg",
        "http://[::1/x.jpg",
        "http://host:99999/",
        "http://a..b/x.jpg",
        "http://" + "a" * 70 + ".com/",
        "https://%zz/",
        "http://exa mple.com/",
    ],
)
def test_an_address_that_cannot_be_is_a_failure_without_a_request(web: Web, url: str) -> None:
    reply = web.get(url, 5)
    assert kind(reply) in ("bad_url", "dns")
    assert reply.http_status == 0


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_does_not_unpack_is_a_failure(web: Web, server: Any, encoding: str) -> None:
    reply = web.get(server.url(f"/mispacked/{encoding}"), 5)
    assert kind(reply) == "connect"
    assert "decompress" in str(reply.failure)


def test_a_redirect_to_another_scheme_is_refused(web: Web, server: Any) -> None:
    assert kind(web.get(server.url("/to?url=file:///etc/passwd"), 5)) == "bad_url"


def test_a_redirect_to_what_is_no_address_does_not_heal(web: Web, server: Any) -> None:
    reply = web.get(server.url("/to?url=http:%2F%2F%5Bbad"), 5)
    assert (kind(reply), reply.http_status) == ("redirects", 302)
    assert reply.failure is not None
    assert str(reply.failure) == "leads nowhere: http://[bad (Invalid IPv6 URL)"
    assert not reply.failure.heals


def test_what_stands_for_a_removed_photo_is_known_by_its_address(web: Web, server: Any) -> None:
    reply = web.get(server.url("/removed/1.jpg"), 5)
    assert kind(reply) == "placeholder"
    assert server.asked["/photo_unavailable.png"] == 0


def test_no_cookies_are_kept(web: Web, server: Any) -> None:
    web.get(server.url("/cookie"), 5)
    assert web.get(server.url("/cookie"), 5).data == b""


@pytest.mark.parametrize("path", ["/password", "/to?url=/password"])
def test_passwords_come_from_the_url_and_from_nowhere_else(
    web: Web, server: Any, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert web.get(server.url(path), 5).data == b"none"
    given = web.get(server.url(path, "you:pass%40word@127.0.0.1"), 5).data
    assert given == b"Basic " + base64.b64encode(b"you:pass@word")


def test_a_proxy_is_taken_from_the_environment(
    web: Web, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "")
    web.get("http://192.0.2.1/image/1", 5)
    assert server.asked["http://192.0.2.1/image/1"] == 1


def test_the_user_agent_can_be_set_and_is_honest_by_default(server: Any) -> None:
    for settings in (LOOSE, WebSettings(allow_private_hosts=True, user_agent="me@example.org")):
        web = Web(settings)
        web.get(server.url("/image/1"), 5)
        web.close()
    assert server.agents == {LOOSE.user_agent, "me@example.org"}
    assert LOOSE.user_agent.startswith("emotion-bench/")


class TestPrivateHosts:
    @pytest.fixture
    def strict(self) -> Iterator[Web]:
        made = Web(WebSettings())
        yield made
        made.close()

    def test_loopback_is_refused_and_never_asked(self, strict: Web, server: Any) -> None:
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"):
            reply = strict.get(server.url("/image/1", host), 5)
            assert kind(reply) == "blocked_host", host
        assert server.connections == 0

    def test_a_name_that_resolves_to_a_private_address_is_refused(
        self, strict: Web, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolve = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, **k: resolve("127.0.0.1", *a, **k)
        )
        reply = strict.get(server.url("/image/1", "innocent.example.com"), 5)
        assert kind(reply) == "blocked_host"
        assert server.connections == 0

    def test_a_name_is_resolved_once_for_check_and_connection(
        self, server: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolve, answers = socket.getaddrinfo, []

        def rebinding(host: str, *args: object, **kwargs: object) -> object:
            answers.append(host)
            return resolve("127.0.0.1", *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        web = Web(LOOSE)
        assert not web.get(server.url("/image/1", "rebinding.example.com"), 5).failure
        web.close()
        assert answers == ["rebinding.example.com"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-3", None), ("1.5", None)),
        *(("nan", None), ("9" * 40, 999_999_999.0)),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_retry_after_in_seconds(text: str, expected: float | None) -> None:
    response = requests.Response()
    response.headers["Retry-After"] = text
    assert _retry_after(response) == expected


def test_retry_after_as_a_date() -> None:
    response = requests.Response()
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    response.headers["Retry-After"] = format_datetime(when, usegmt=True)
    assert 55 < (_retry_after(response) or 0) <= 60
    response.headers["Retry-After"] = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert _retry_after(response) == 0


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_attempts_leave_no_thread_and_no_open_file_behind(web: Web, server: Any) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    web.get(server.url("/image/0"), 5)
    threads, files = threading.active_count(), open_files()
    for seed in range(20):
        web.get(server.url(f"/image/{seed}"), 5)
    time.sleep(0.1)
    assert threading.active_count() <= threads
    assert open_files() <= files
