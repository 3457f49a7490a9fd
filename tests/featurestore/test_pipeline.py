"""The pipeline: every record comes out once, whatever fails, in bounded memory."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from featurestore._decode import decode
from featurestore._pipeline import Pipeline, Result
from featurestore.errors import NotFound
from featurestore.fetch import FetchStage, WebSettings
from featurestore.fetch._stage import LOCAL_THREADS

SIZE = 32


class MeanEngine:
    """Embeds an image as its mean colour."""

    def __init__(self, batch: int = 1, workers: int = 2) -> None:
        self.batch = batch
        self.workers = workers
        self.batches: list[int] = []

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.batches.append(len(pixels))
        return pixels.mean(axis=(1, 2), dtype=np.float32)


@pytest.fixture
def photos(jpeg: Callable[..., bytes]) -> list[bytes]:
    return [jpeg(seed) for seed in range(40)]


def run(
    fetch: Callable[[str], bytes], engine: MeanEngine, count: int
) -> Generator[Result, None, None]:
    stage = FetchStage([(i, str(i)) for i in range(count)], fetch, WebSettings())
    return Pipeline(stage, engine, SIZE, min_side=1).run(count)


def by_index(results: list[Result]) -> dict[int, Result]:
    assert len({r.index for r in results}) == len(results)
    return {r.index: r for r in results}


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (1, 3), (8, 1)])
def test_every_record_comes_out_once_with_its_own_embedding(
    photos: list[bytes], batch: int, workers: int
) -> None:
    results = by_index(list(run(lambda i: photos[int(i)], MeanEngine(batch, workers), 40)))
    assert sorted(results) == list(range(40))
    for i, result in results.items():
        assert result.image is not None
        assert result.embedding is not None
        expected = result.image.pixels.mean(axis=(0, 1), dtype=np.float32)
        np.testing.assert_array_equal(result.embedding, expected)
        assert result.sha256 == hashlib.sha256(photos[i]).hexdigest()
        assert result.size == len(photos[i])


@pytest.mark.parametrize("batch", [1, 8])
def test_larger_tensors_come_with_the_results(photos: list[bytes], batch: int) -> None:
    stage = FetchStage([(0, "0"), (1, "1")], lambda i: photos[int(i)], WebSettings())
    results = Pipeline(stage, MeanEngine(batch), SIZE, 1, larger=(48, 64)).run(2)
    for i, result in by_index(list(results)).items():
        assert result.image is not None
        expected = decode(photos[i], SIZE, larger=(48, 64)).larger
        for side in (48, 64):
            np.testing.assert_array_equal(result.image.larger[side], expected[side])


def test_engine_gets_full_batches_and_never_more(photos: list[bytes]) -> None:
    engine = MeanEngine(batch=8, workers=1)
    list(run(lambda i: photos[int(i)], engine, 40))
    assert sum(engine.batches) == 40
    assert max(engine.batches) == 8


def test_failures_are_results_and_stop_nothing(photos: list[bytes]) -> None:
    photos[3] = b"no image"
    photos[5] = photos[5][:200]

    def fetch(location: str) -> bytes:
        if location == "7":
            raise NotFound("no such file: 7")
        return photos[int(location)]

    results = by_index(list(run(fetch, MeanEngine(), 40)))
    failed = {i: r.kind for i, r in results.items() if r.kind}
    assert failed == {3: "not_image", 5: "undecodable", 7: "not_found"}
    assert results[7].detail == "no such file: 7"
    assert results[7].size == 0
    assert all(results[i].embedding is None for i in failed)


def test_nothing_to_do_ends_at_once() -> None:
    assert list(run(lambda i: b"", MeanEngine(), 0)) == []


def test_unexpected_fetch_error_is_raised_and_ends_all_threads(photos: list[bytes]) -> None:
    def fetch(location: str) -> bytes:
        if location == "20":
            raise MemoryError("broken machine")
        return photos[int(location)]

    before = threading.active_count()
    with pytest.raises(MemoryError, match="broken machine"):
        list(run(fetch, MeanEngine(), 40))
    assert threading.active_count() == before


def test_engine_error_is_raised_and_ends_all_threads(photos: list[bytes]) -> None:
    class Broken(MeanEngine):
        def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            raise RuntimeError("out of memory on the device")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="out of memory"):
        list(run(lambda i: photos[int(i)], Broken(), 40))
    assert threading.active_count() == before


def test_closing_early_ends_all_threads(photos: list[bytes]) -> None:
    before = threading.active_count()
    results = run(lambda i: photos[int(i)], MeanEngine(), 40)
    next(results)
    assert threading.active_count() > before
    results.close()
    assert threading.active_count() == before


def test_closing_early_does_not_wait_for_downloads(server: Any) -> None:
    urls = [server.url("/image/1"), *(server.url(f"/drip?{n}") for n in range(4))]
    settings = WebSettings(allow_private_hosts=True, threads=5, seconds=30)
    stage = FetchStage(list(enumerate(urls)), lambda _: b"", settings)
    results = Pipeline(stage, MeanEngine(), SIZE, min_side=1).run(5)
    assert next(results).index == 0
    while server.active < 4:
        time.sleep(0.01)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10


def test_time_is_told_while_nothing_becomes_ready(
    photos: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore._pipeline.TICK_SECONDS", 0.01)
    told = threading.Event()
    stage = FetchStage([(0, "0")], lambda _: photos[0] if told.wait(10) else b"", WebSettings())
    (result,) = Pipeline(stage, MeanEngine(), SIZE, min_side=1).run(1, told.set)
    assert result.kind == ""


def test_an_error_of_whoever_is_told_the_time_is_raised_and_ends_all_threads(
    photos: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore._pipeline.TICK_SECONDS", 0.01)

    def fetch(_: str) -> bytes:
        time.sleep(0.2)
        return photos[0]

    def tick() -> None:
        raise OSError("the disk is full")

    before = threading.active_count()
    stage = FetchStage([(i, "") for i in range(99)], fetch, WebSettings())
    with pytest.raises(OSError, match="the disk is full"):
        list(Pipeline(stage, MeanEngine(), SIZE, min_side=1).run(99, tick))
    assert threading.active_count() == before


def test_fetching_waits_for_a_slow_consumer(jpeg: Callable[..., bytes]) -> None:
    data = jpeg()
    fetched: list[str] = []

    def fetch(location: str) -> bytes:
        fetched.append(location)
        return data

    results = run(fetch, MeanEngine(workers=1), 500)
    next(results)
    time.sleep(0.5)
    assert LOCAL_THREADS < len(fetched) < 100
    results.close()


def test_an_interrupt_at_any_moment_ends_it(photos: list[bytes]) -> None:
    # Should the thread that takes results be stopped while it holds a lock, no other thread would
    # ever get that. In a process of its own, so that a hang is a failure and nothing worse.
    code = """
import sys
import numpy as np
from featurestore._pipeline import Pipeline
from featurestore.fetch import FetchStage, WebSettings

class Engine:
    batch, workers = 1, 2
    def embed(self, pixels):
        return np.zeros((len(pixels), 1), np.float32)

def stopped_after(steps):
    def trace(frame, event, argument):
        nonlocal steps
        steps -= 1
        if steps == 0:
            raise KeyboardInterrupt
        return trace
    return trace

photo = sys.stdin.buffer.read()
for steps in range(1, 40):
    stage = FetchStage([(i, str(i)) for i in range(1000)], lambda i: photo, WebSettings())
    results = Pipeline(stage, Engine(), 32, min_side=1).run(1000)
    next(results)
    sys.settrace(stopped_after(steps))
    try:
        for result in results:
            pass
    except KeyboardInterrupt:
        sys.settrace(None)
    else:
        sys.exit("was not stopped")
    results.close()
    stage.close()
print("ended")
"""
    run = subprocess.run(
        [sys.executable, "-c", code], input=photos[0], capture_output=True, timeout=60, check=False
    )
    assert (run.stdout, run.stderr) == (b"ended\n", b"")
