"""The fetch stage: retries what can heal, and knows what happened to every address."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import NotFound
from featurestore.fetch import Fetched, FetchStage, Originals, WebSettings, is_remote

SETTINGS = WebSettings(allow_private_hosts=True, threads=8, seconds=5.0)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.fetch._stage.FIRST_DELAY", 0.05)
    monkeypatch.setattr("featurestore.fetch._stage.DELAY_FACTOR", 1.5)


def no_files(location: str) -> bytes:
    raise NotFound(f"no such file: {location}")


def fetch_all(
    locations: list[str],
    settings: WebSettings = SETTINGS,
    local: Callable[[str], bytes] = no_files,
    originals: Originals | None = None,
) -> dict[str, Fetched]:
    """Fetch with as many threads as the stage asks for."""
    stage = FetchStage(enumerate(locations), local, settings, originals)
    found, never = [], threading.Event()

    def work(_: int) -> None:
        while (fetched := stage.next(never)) is not None:
            found.append(fetched)

    with ThreadPoolExecutor(stage.threads) as pool:
        list(pool.map(work, range(stage.threads)))
    stage.close()
    assert sorted(f.index for f in found) == list(range(len(locations)))
    return {locations[f.index]: f for f in found}


def kind(fetched: Fetched) -> str:
    return fetched.failure.kind if fetched.failure else ""


@pytest.mark.parametrize("code", [500, 502, 503, 408, 429])
def test_what_can_heal_is_tried_again_until_it_does(server: Any, code: int) -> None:
    url = server.url(f"/heals/{code}/2/5")
    fetched = fetch_all([url])[url]
    assert (fetched.data, kind(fetched)) == (server.jpeg(seed=5), "")
    assert (fetched.tries, fetched.http_status) == (3, 200)


def test_what_does_not_heal_is_given_up_after_the_last_try(server: Any) -> None:
    url = server.url("/status/503")
    fetched = fetch_all([url], replace(SETTINGS, tries=3))[url]
    assert (kind(fetched), fetched.tries, fetched.http_status) == ("http_5xx", 3, 503)
    assert server.asked["/status/503"] == 3


@pytest.mark.parametrize("path", ["/status/404", "/status/410", "/status/403", "/removed/1.jpg"])
def test_what_cannot_heal_is_asked_once(server: Any, path: str) -> None:
    url = server.url(path)
    assert fetch_all([url])[url].tries == 1
    assert server.asked[path] == 1


def test_attempts_are_spread_by_a_growing_delay(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.fetch._stage.FIRST_DELAY", 0.2)
    monkeypatch.setattr("featurestore.fetch._stage.DELAY_FACTOR", 2.0)
    fetch_all([server.url("/status/500")], replace(SETTINGS, tries=3))
    first, second, third = server.times["/status/500"]
    assert 0.15 <= second - first < 0.5
    assert 0.3 <= third - second < 0.9


@pytest.mark.slow
def test_retry_after_is_obeyed_and_pauses_the_whole_host(server: Any) -> None:
    limited = server.url("/limited/1/3")
    others = [server.url(f"/image/{seed}") for seed in range(30)]
    found = fetch_all([limited, *others], replace(SETTINGS, per_host=1))
    assert not any(map(kind, found.values()))
    first, second = server.times["/limited/1/3"]
    assert second - first >= 1
    for url in others:
        (asked,) = server.times[url.removeprefix(server.url(""))]
        assert not first + 0.05 < asked < first + 1


def test_a_server_that_asks_for_too_long_a_pause_is_not_waited_for(server: Any) -> None:
    url = server.url("/limited/3600/3")
    start = time.monotonic()
    assert kind(fetch_all([url])[url]) == "rate_limited"
    assert time.monotonic() - start < 2


def test_a_host_is_left_alone_after_the_last_try_as_well(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.fetch._web._retry_after", lambda _: 0.3)
    urls = [server.url(f"/status/429/{n}") for n in range(3)]
    found = fetch_all(urls, replace(SETTINGS, tries=1, per_host=1))
    assert set(map(kind, found.values())) == {"rate_limited"}
    times = sorted(when for times in server.times.values() for when in times)
    assert len(times) == 3
    assert all(after - before > 0.28 for before, after in pairwise(times))


@pytest.mark.parametrize(("code", "expected"), [(429, "rate_limited"), (503, "http_5xx")])
def test_a_host_that_asks_for_too_long_a_pause_is_not_asked_again(
    server: Any, monkeypatch: pytest.MonkeyPatch, code: int, expected: str
) -> None:
    monkeypatch.setattr("featurestore.fetch._web._retry_after", lambda _: 400.0)
    urls = [server.url(f"/status/{code}/{n}") for n in range(200)]
    other = server.url("/image/1", "localhost")
    found = fetch_all([*urls, other], replace(SETTINGS, per_host=2))
    assert server.asked.total() <= 3
    assert {kind(found[url]) for url in urls} == {expected}
    assert found[other].data == server.jpeg(seed=1)
    said = Counter(str(found[url].failure) for url in urls)
    assert said["not asked: 127.0.0.1 asks for a pause of 400 s"] >= 198


def test_all_attempts_together_keep_to_the_deadline(server: Any) -> None:
    url = server.url("/drip")
    start = time.monotonic()
    fetched = fetch_all([url], replace(SETTINGS, seconds=0.6))[url]
    assert kind(fetched) == "timeout"
    assert 0.5 < fetched.seconds < 1
    assert time.monotonic() - start < 2


def test_one_host_gets_no_more_requests_at_a_time_than_its_share(server: Any) -> None:
    urls = [server.url(f"/slow/{seed}") for seed in range(24)]
    assert not any(map(kind, fetch_all(urls, replace(SETTINGS, per_host=3)).values()))
    assert server.most_active == 3
    assert server.connections <= 8


def test_a_rate_limit_holds(server: Any) -> None:
    urls = [server.url(f"/image/{seed}") for seed in range(6)]
    fetch_all(urls, replace(SETTINGS, rate=20))
    times = sorted(when for times in server.times.values() for when in times)
    assert times[-1] - times[0] > 0.2


@pytest.mark.slow
def test_one_bad_host_does_not_hold_up_the_others(server: Any) -> None:
    bad = [server.url("/drip", "localhost") + f"?{n}" for n in range(6)]
    good = [server.url(f"/image/{seed}") for seed in range(40)]
    settings = replace(SETTINGS, seconds=1.0, per_host=2, tries=1)
    found = fetch_all([*bad, *good], settings)
    assert Counter(map(kind, found.values())) == {"": 40, "timeout": 6}
    last = max(max(server.times[f"/image/{seed}"]) for seed in range(40))
    first = min(times[0] for path, times in server.times.items() if path.startswith("/drip"))
    assert last - first < 0.9


def test_local_files_and_addresses_may_be_mixed(server: Any) -> None:
    url = server.url("/image/1")
    found = fetch_all(["a.jpg", url], local=lambda location: location.encode())
    assert (found["a.jpg"].data, found["a.jpg"].tries) == (b"a.jpg", 0)
    assert found[url].data == server.jpeg(seed=1)


def test_kept_originals_need_no_network(server: Any, tmp_path: Path) -> None:
    urls = [server.url(f"/redirect/1/{seed}") for seed in range(5)]
    with Originals(tmp_path) as originals:
        fetch_all([*urls, server.url("/status/404")], originals=originals)
    server.asked.clear()
    with Originals(tmp_path) as originals:
        found = fetch_all(urls, originals=originals)
    assert [found[url].data for url in urls] == [server.jpeg(seed=n) for n in range(5)]
    assert [(found[url].http_status, found[url].final_url) for url in urls] == [
        (200, server.url(f"/image/{n}")) for n in range(5)
    ]
    assert {f.tries for f in found.values()} == {0}
    assert not server.asked


@pytest.mark.parametrize(
    ("location", "expected"),
    [("http://a/b", True), ("HTTPS://a", True), ("a.jpg", False), ("file:///a", False)],
)
def test_what_is_remote(location: str, expected: bool) -> None:
    assert is_remote(location) is expected
