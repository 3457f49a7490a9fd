"""Extraction on a Dask cluster: the same bytes, whoever dies on the way."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import psutil
import pytest

from featurestore import ExtractSettings, FeatureStore, Progress, Source, extract, read_source
from featurestore._dask import _divide, _for_part, _for_workers, _shard_for_workers, connect
from featurestore._engines import usable_cores
from featurestore._job import BackboneJob
from featurestore._place import LocalPlace, place_of
from featurestore._segments import Where
from featurestore._tasks import Embedding, Probe, Shard, Staged, _see_the_same
from featurestore.errors import SourceError, WorkersError
from featurestore.fetch import WebSettings


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files but what tells how long something took."""
    place = LocalPlace(folder)
    return {key: place.read(key) for key in place.keys()}  # noqa: SIM118  # no dict


@pytest.fixture
def how(small_sample: Source, settings: ExtractSettings, tmp_path: Path) -> Embedding:
    job = BackboneJob.prepare(settings)
    staging = LocalPlace(tmp_path / "s" / ".staging")
    return Embedding(staging, job, small_sample.fetch, WebSettings(), 32, ())


@pytest.mark.parametrize("scheduler", ["local", "local:0", "local:x", "http://a:1", "tcp://a", ""])
def test_a_scheduler_that_can_not_be_read_is_one_line(
    small_sample: Source, settings: ExtractSettings, tmp_path: Path, scheduler: str
) -> None:
    with pytest.raises(WorkersError, match="give local:N for N processes here, or"):
        extract(small_sample, tmp_path / "s", settings, scheduler=scheduler)


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [("tcp://127.0.0.1:9", "can't be reached"), ("tls://127.0.0.1:9", "give certificates")],
)
def test_a_scheduler_that_can_not_be_had_is_one_line(
    small_sample: Source,
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheduler: str,
    said: str,
) -> None:
    monkeypatch.setattr("featurestore._dask.CONNECT_SECONDS", 1)
    with pytest.raises(WorkersError, match=said) as caught:
        extract(small_sample, tmp_path / "s", settings, scheduler=scheduler)
    assert "\n" not in str(caught.value)


def test_packages_that_are_not_installed_are_named(
    small_sample: Source,
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WorkersError, match=r"pip install 'emotion-bench\[dask\]'"):
        extract(small_sample, tmp_path / "s", settings, scheduler="local:1")


def test_more_processes_than_make_sense_are_refused(
    small_sample: Source, settings: ExtractSettings, tmp_path: Path
) -> None:
    most = 8 * usable_cores()
    with pytest.raises(WorkersError, match=f"too many processes for .*; give local:{most} at most"):
        extract(small_sample, tmp_path / "s", settings, scheduler=f"local:{most + 1}")


def test_originals_are_for_this_machine_alone(
    small_sample: Source, settings: ExtractSettings, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="give one of them"):
        extract(
            small_sample, tmp_path / "s", settings, originals=tmp_path / "o", scheduler="local:1"
        )


def test_a_worker_that_sees_another_disk_refuses_to_work(
    how: Embedding, small_sample: Source
) -> None:
    image = small_sample.records[0].id
    probe = Probe.choose(how, [(0, "http://a/b"), (1, "no such image"), (2, image)])
    with pytest.raises(WorkersError, match="a worker doesn't see this folder"):
        _see_the_same(how, probe)
    how.staging.write("settings.json", b"{}")
    _see_the_same(how, probe)
    assert probe == Probe(image, hashlib.sha256(small_sample.fetch(image)).hexdigest())
    said = f"a worker that runs in {Path.cwd()} doesn't find this image .* give .* full path"
    with pytest.raises(WorkersError, match=said):
        _see_the_same(how, replace(probe, sha256="0" * 64))


@pytest.mark.parametrize(("count", "threads"), [(0, 2), (5, 2), (1600, 2), (1601, 3), (9999, 64)])
def test_parts_are_all_of_the_work_and_small_in_the_end(count: int, threads: int) -> None:
    todo = [(i, str(i)) for i in range(count)]
    parts = list(_divide(todo, 128, threads))
    assert [record for part in parts for record in part] == todo
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size <= 128 for size in sizes)
    assert count == 0 or sizes[-1] <= 16


def test_addresses_alone_need_no_probe(how: Embedding) -> None:
    assert Probe.choose(how, [(0, "http://a/b")]) is None


def test_a_store_and_weights_are_sent_by_their_full_paths(
    how: Embedding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = LocalPlace(Path("s"))
    sent = _for_workers(replace(how, staging=place, job=replace(how.job, weights=Path("w.h5"))))
    assert (str(sent.staging), sent.job.weights) == (str(tmp_path / "s"), tmp_path / "w.h5")
    staged = Staged(place, Where([], np.zeros(0), np.zeros(0)))
    shard = _shard_for_workers(Shard(place, "labels", 0, 9, True, place, 4, staged))
    assert shard.base
    assert shard.staged
    for found in (shard.folder, shard.base, shard.staged.place):
        assert str(found) == str(tmp_path / "s")


def test_work_can_be_sent(photo_folder: Path, how: Embedding, tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    listing.write_text("path,label\nphotos/joy/1.jpg,awe\n")
    for name in ("sample", str(photo_folder), str(listing)):
        source = read_source(name)
        part = [(i, record.id) for i, record in enumerate(source.records[:2])]
        sent = _for_part(replace(how, fetch=source.fetch), part, None)
        sent = pickle.loads(pickle.dumps(sent))
        for _, place in part:
            assert sent.fetch(place) == source.fetch(place)


@pytest.mark.slow
def test_a_cluster_makes_the_same_store(
    finished: Path, small_sample: Source, settings: ExtractSettings, tmp_path: Path
) -> None:
    kinds: list[str] = []
    totals: list[tuple[int, int]] = []
    progress = Progress(begin=lambda *counts: totals.append(counts), step=kinds.append)
    extract(small_sample, tmp_path / "s", settings, progress, scheduler="local:2")
    assert tree(tmp_path / "s") == tree(finished)
    assert (totals, kinds) == ([(80, 0)], [""] * 80)


@pytest.mark.slow
def test_what_failed_is_told_tried_again_and_appended_as_here(
    photo_folder: Path, settings: ExtractSettings, tmp_path: Path
) -> None:
    healed = (photo_folder / "joy" / "3.jpg").read_bytes()
    (photo_folder / "joy" / "3.jpg").write_bytes(b"damaged")
    source = read_source(str(photo_folder))
    stores = {tmp_path / "here": None, tmp_path / "there": "local:2"}
    kinds: list[str] = []
    for store, scheduler in stores.items():
        extract(source, store, settings, Progress(step=kinds.append), scheduler=scheduler)
    assert kinds.count("not_image") == 2
    (photo_folder / "joy" / "3.jpg").write_bytes(healed)
    for store, scheduler in stores.items():
        extract(source, store, settings, retry=["not_image"], scheduler=scheduler)
    here, there = (tree(store) for store in stores)
    assert here == there


@pytest.fixture
def many_photos(tmp_path: Path, jpeg: Callable[..., bytes]) -> Path:
    """A folder of 1,500 JPEGs, enough to be killed in the middle."""
    root = tmp_path / "many"
    for label in range(3):
        (root / f"label{label}").mkdir(parents=True)
        for number in range(500):
            content = jpeg(seed=1000 * label + number, size=(640, 480))
            (root / f"label{label}" / f"{number}.jpg").write_bytes(content)
    return root


def command(source: Path, store: Path | str, *more: str) -> list[str]:
    wanted = ["--store", str(store), "--embed-size", "32", "--image-size", "64", *more]
    return [sys.executable, "-m", "bench", "extract", str(source), *wanted]


def segments(store: Path) -> int:
    return len(list((store / ".staging" / "segments").rglob("*.npz")))


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    family = psutil.Process(process.pid).children(recursive=True)
    return [child for child in family if "spawn_main" in " ".join(child.cmdline())]


def started(source: Path, store: Path) -> "subprocess.Popen[str]":
    """Start an extraction by two workers here."""
    return subprocess.Popen(
        command(source, store, "--scheduler", "local:2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_worker_may_die_at_any_time(many_photos: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    subprocess.run(command(many_photos, here), check=True, capture_output=True)
    with started(many_photos, there) as run:
        killed = 0
        while run.poll() is None and killed < 2:
            if segments(there) >= 2 * (killed + 1) and (found := workers_of(run)):
                found[-1].kill()
                killed += 1
            time.sleep(0.05)
        output, errors = run.communicate(timeout=300)
    assert killed == 2
    assert run.returncode == 0, errors
    assert "Traceback" not in output + errors
    assert tree(there) == tree(here)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_cluster_that_was_stopped_leaves_nobody_and_loses_nothing(
    many_photos: Path, tmp_path: Path, number: signal.Signals
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    subprocess.run(command(many_photos, here), check=True, capture_output=True)
    with started(many_photos, there) as run:
        while segments(there) < 3:
            assert run.poll() is None
            time.sleep(0.05)
        left = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(number)
        _, errors = run.communicate(timeout=120)
    if number == signal.SIGTERM:
        assert run.returncode == 130
        assert errors.rstrip().endswith("Stopped. Give the same command again to go on.")
        assert "Traceback" not in errors
    _, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []
    subprocess.run(command(many_photos, there), check=True, capture_output=True)
    assert tree(there) == tree(here)


@contextmanager
def dask_scheduler() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A scheduler of its own, as a user starts it: its address and its process."""
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    with subprocess.Popen(
        [*dask, "--port", "0", "--no-dashboard"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        address = ""
        while not address:
            line = process.stderr.readline()
            assert line, "the scheduler ended"
            if "Scheduler at:" in line:
                address = line.split()[-1]
        yield address, process
        process.kill()


@contextmanager
def dask_worker(
    address: str,
    before: str = "",
    environment: dict[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[None]:
    """A worker of a scheduler, which runs some code ``before``."""
    code = f"{before}\nfrom distributed.cli.dask_worker import main\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", code, address, "--no-dashboard", "--nthreads", "2", "--no-nanny"],
        env=os.environ | (environment or {}),
        stderr=subprocess.DEVNULL,
        cwd=folder,
    ) as process:
        with connect(address) as workers:
            while "no workers" in workers.describe():
                time.sleep(0.05)
        yield
        process.kill()


@pytest.fixture
def scheduler(s3: dict[str, str]) -> Iterator[str]:
    """A scheduler and a worker of its own, as a user starts them."""
    with dask_scheduler() as (address, _), dask_worker(address, environment=s3):
        yield address


@pytest.mark.slow
def test_a_cluster_writes_into_an_object_store(
    finished: Path, small_sample: Source, settings: ExtractSettings, scheduler: str
) -> None:
    url = f"s3://bucket/{uuid4().hex}/fi.zarr"
    extract(small_sample, url, settings, scheduler=scheduler)
    place = place_of(url)
    assert {key: place.read(key) for key in place.keys()} == tree(finished)  # noqa: SIM118
    assert FeatureStore(url).fingerprint == FeatureStore(finished).fingerprint


@pytest.mark.slow
def test_a_worker_may_run_in_another_folder(
    finished: Path,
    small_sample: Source,
    settings: ExtractSettings,
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    with dask_scheduler() as (address, _), dask_worker(address, folder=tmp_path / "there"):
        extract(small_sample, "s", settings, scheduler=address)
        assert tree(tmp_path / "s") == tree(finished)
        source = read_source(photo_folder.name)
        with pytest.raises(WorkersError, match=r"runs in .*there doesn't find .* its full path"):
            extract(source, "other", settings, scheduler=address)


@pytest.mark.slow
def test_a_worker_may_die_while_it_gets_ready(
    finished: Path,
    small_sample: Source,
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died = tmp_path / "died"

    def die_once(job: BackboneJob) -> None:
        died.mkdir()  # by one of them
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("featurestore._dask.warm_up", die_once)
    extract(small_sample, tmp_path / "s", settings, scheduler="local:1")
    assert died.exists()
    assert tree(tmp_path / "s") == tree(finished)


@pytest.mark.slow
def test_work_that_kills_its_workers_is_given_up_after_so_many(
    small_sample: Source, settings: ExtractSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        (tmp_path / f"died {os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("featurestore._dask.embed_part", die)
    monkeypatch.setattr("featurestore._dask._DEATHS", 2)
    source = replace(small_sample, records=small_sample.records[:10])  # one part
    with pytest.raises(WorkersError, match="local:1: several workers died at the same work; look"):
        extract(source, tmp_path / "s", settings, scheduler="local:1")
    assert len(list(tmp_path.glob("died *"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("function", ["warm_up", "embed_part", "_write_named"])
def test_a_scheduler_that_dies_is_one_line(
    small_sample: Source,
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    function: str,
) -> None:
    with dask_scheduler() as (address, process), dask_worker(address):
        number = process.pid

        def kill_the_scheduler(*_: object) -> None:
            os.kill(number, signal.SIGKILL)

        monkeypatch.setattr(f"featurestore._dask.{function}", kill_the_scheduler)
        with pytest.raises(WorkersError, match="connection was lost; give the same command again"):
            extract(small_sample, tmp_path / "s", settings, scheduler=address)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_worker_without_the_package_is_one_line(
    small_sample: Source, settings: ExtractSettings, tmp_path: Path
) -> None:
    without = "import sys; sys.modules['featurestore'] = None"
    said = r"can't do the work \(ModuleNotFound.* same version"
    with (
        dask_scheduler() as (address, _),
        dask_worker(address, without),
        pytest.raises(WorkersError, match=said),
    ):
        extract(small_sample, tmp_path / "s", settings, scheduler=address)


@pytest.mark.slow
def test_a_scheduler_without_workers_is_told() -> None:
    with dask_scheduler() as (address, _), connect(address) as workers:
        none = "which has no workers yet: start some with `dask worker`"
        assert workers.describe() == f", on {address}, {none}"
        with dask_worker(address):
            assert workers.describe() == f", on 2 threads of {address}"
