"""The schedule: hosts take turns, none gets more than its share, failed jobs come again."""

import threading
import time
from collections.abc import Iterable

from featurestore.fetch._schedule import Job, Schedule

RUNNING = threading.Event()


def schedule(locations: Iterable[str], per_host: int = 2, rate: float | None = None) -> Schedule:
    return Schedule(enumerate(locations), lambda location: location[:1].strip("-"), per_host, rate)


def take(made: Schedule) -> Job:
    job = made.take(RUNNING)
    assert job is not None
    return job


def test_all_jobs_come_once_and_then_none() -> None:
    made = schedule(["a1", "b1", "a2", "-local"])
    seen = []
    while (job := made.take(RUNNING)) is not None:
        seen.append(job.location)
        made.done(job)
    assert sorted(seen) == ["-local", "a1", "a2", "b1"]
    assert made.take(RUNNING) is None


def test_a_host_gets_no_more_than_its_share_and_others_go_on() -> None:
    made = schedule(["a1", "a2", "a3", "b1"])
    first = [take(made), take(made), take(made)]
    assert sorted(job.location for job in first) == ["a1", "a2", "b1"]
    threading.Timer(0.1, made.done, [first[0]]).start()
    start = time.monotonic()
    assert take(made).location == "a3"
    assert time.monotonic() - start > 0.05


def test_local_jobs_have_no_limit() -> None:
    made = schedule([f"-{n}" for n in range(50)], per_host=1)
    assert len([take(made) for _ in range(50)]) == 50


def test_a_rate_limit_spreads_the_jobs_of_a_host() -> None:
    made = schedule(["a1", "a2", "a3", "b1"], per_host=9, rate=10)
    start = time.monotonic()
    order = [take(made).location for _ in range(4)]
    assert 0.18 < time.monotonic() - start < 1
    assert order == ["a1", "b1", "a2", "a3"]


def test_a_job_comes_again_after_its_delay_and_holds_no_place_until_then() -> None:
    made = schedule(["a1", "a2"], per_host=1)
    job = take(made)
    job.tries += 1
    start = time.monotonic()
    made.again(job, 0.5)
    other = take(made)
    assert other.location == "a2"
    assert time.monotonic() - start < 0.4
    made.done(other)
    again = take(made)
    assert (again.location, again.tries) == ("a1", 1)
    assert time.monotonic() - start >= 0.5


def test_a_paused_host_gets_no_jobs() -> None:
    """Also where it is in the line already, as it is with more jobs waiting than it may have."""
    made = schedule(["a1", "a2", "b1"])
    start = time.monotonic()
    job = take(made)
    made.pause("a", 0.5)
    made.again(job, 0.1)
    assert take(made).location == "b1"
    assert time.monotonic() - start < 0.4
    assert {take(made).location, take(made).location} == {"a1", "a2"}
    assert time.monotonic() - start >= 0.5


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    made = schedule(["a1", "a2"])
    start = time.monotonic()
    take(made)
    made.pause("a", 0.3)
    made.pause("a", 0.1)
    take(made)
    assert time.monotonic() - start >= 0.3


def test_waiting_ends_when_another_thread_finishes_the_last_job() -> None:
    made = schedule(["a1"])
    job = take(made)
    threading.Timer(0.1, made.done, [job]).start()
    assert made.take(RUNNING) is None


def test_waiting_ends_on_a_stop() -> None:
    made, stopping = schedule(["a1"], per_host=1), threading.Event()
    take(made)
    threading.Timer(0.1, stopping.set).start()
    start = time.monotonic()
    assert made.take(stopping) is None
    assert time.monotonic() - start < 1


def test_many_threads_get_every_job_once() -> None:
    made = schedule((f"{'abc'[n % 3]}{n}" for n in range(2000)), per_host=3)
    seen: list[str] = []
    active, most, lock = {"a": 0, "b": 0, "c": 0}, 0, threading.Lock()

    def work() -> None:
        nonlocal most
        while (job := made.take(RUNNING)) is not None:
            with lock:
                seen.append(job.location)
                active[job.host] += 1
                most = max(most, *active.values())
            with lock:
                active[job.host] -= 1
            made.done(job)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == 2000
    assert most <= 3


def test_the_source_is_read_only_so_far_ahead() -> None:
    read = 0

    def endless() -> Iterable[str]:
        nonlocal read
        while True:
            read += 1
            yield "a"

    take(schedule(endless()))
    assert read < 10_000
