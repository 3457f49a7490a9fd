"""Stores in an object store: the same bytes, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from s3_server import S3Server

from featurestore import (
    ExtractSettings,
    FeatureStore,
    Source,
    _object_place,
    _tasks,
    extract,
    read_source,
    verify,
)
from featurestore._layout import open_to_write
from featurestore._object_place import ObjectPlace, open_url
from featurestore._place import Place, place_of
from featurestore._staging import Staging
from featurestore.errors import (
    StoreDamagedError,
    StoreNotFoundError,
    StoreUnfinishedError,
    StoreUnreachableError,
)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def url(s3: dict[str, str]) -> str:
    """Where no store is yet."""
    return f"s3://bucket/{uuid4().hex}/fi.zarr"


def tree(place: Place) -> dict[str, bytes]:
    return {key: place.read(key) for key in place.keys()}  # noqa: SIM118  # no dict


def test_a_store_has_the_same_bytes_as_one_on_a_disk(
    finished: Path, small_sample: Source, settings: ExtractSettings, url: str
) -> None:
    store = extract(small_sample, url, settings)
    assert tree(place_of(url)) == tree(place_of(finished))
    assert verify(url) == []
    local = FeatureStore(finished)
    assert (store.path, store.name, store.fingerprint) == (url, "fi.zarr", local.fingerprint)
    np.testing.assert_array_equal(store.images[3:70], local.images[3:70])
    np.testing.assert_array_equal(store.read("labels"), local.labels)
    assert store.manifest()["id"].tolist() == local.manifest()["id"].tolist()
    # A finished one is left alone.
    extract(replace(small_sample, fetch=lambda location: b""), url, settings)


@pytest.mark.slow
def test_a_server_that_goes_away_while_arrays_are_written_is_one_line(
    finished: Path,
    small_sample: Source,
    settings: ExtractSettings,
    url: str,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retry = {"max_retries": 1, "retry_timeout": timedelta(seconds=1)}
    leave = Staging.__exit__

    def cut_off(folder: Place, name: str) -> Any:
        s3_server.stop()
        return open_to_write(folder, name)

    def back_again(self: Staging, *about: Any) -> None:
        s3_server.start()
        leave(self, *about)

    with monkeypatch.context() as patch:
        patch.setattr(_object_place, "_RETRY", retry)
        _object_place._open_bucket.cache_clear()
        patch.setattr(_tasks, "open_to_write", cut_off)
        patch.setattr(Staging, "__exit__", back_again)
        with pytest.raises(StoreUnreachableError, match=r"can't be reached .* give the same"):
            extract(small_sample, url, settings)
    _object_place._open_bucket.cache_clear()
    extract(replace(small_sample, fetch=lambda location: b""), url, settings)
    assert tree(place_of(url)) == tree(place_of(finished))


@pytest.mark.slow
def test_in_memory_too(finished: Path, small_sample: Source, settings: ExtractSettings) -> None:
    url = f"memory://{uuid4().hex}/fi.zarr"
    extract(small_sample, url, settings)
    assert tree(place_of(url)) == tree(place_of(finished))


@pytest.mark.slow
def test_nothing_secret_is_in_a_store(
    small_sample: Source, settings: ExtractSettings, url: str, s3: dict[str, str]
) -> None:
    extract(small_sample, url, settings)
    content = b"".join(tree(open_url("s3://bucket/" + url.split("/")[3])).values())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        assert s3[name].encode() not in content


@pytest.mark.parametrize("copied", [0, 1, 30, 52])
@pytest.mark.slow
def test_a_commit_that_was_cut_short_is_ended_by_the_next_start(
    finished: Path,
    small_sample: Source,
    settings: ExtractSettings,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    copied: int,
) -> None:
    def killed(self: ObjectPlace, keys: list[str], source: Place) -> None:
        # Here a copy comes after the other, so that it is known how many there were.
        for key in keys[:copied]:
            self.write(key, source.read(key))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ObjectPlace, "replace", killed)
        with pytest.raises(Killed):
            extract(small_sample, url, settings)
    with pytest.raises(StoreUnfinishedError, match="on their way into it"):
        FeatureStore(url)
    extract(replace(small_sample, fetch=lambda location: b""), url, settings)
    assert tree(place_of(url)) == tree(place_of(finished))


@pytest.mark.slow
def test_records_are_appended(
    photo_folder: Path, settings: ExtractSettings, url: str, tmp_path: Path
) -> None:
    healed = (photo_folder / "joy" / "3.jpg").read_bytes()
    (photo_folder / "joy" / "3.jpg").write_bytes(b"damaged")
    source = read_source(str(photo_folder))
    for store in (url, tmp_path / "s"):
        extract(source, store, settings)
    (photo_folder / "joy" / "3.jpg").write_bytes(healed)
    for store in (url, tmp_path / "s"):
        assert len(extract(source, store, settings, retry=["not_image"])) == 30
    assert tree(place_of(url)) == tree(place_of(tmp_path / "s"))


@pytest.mark.slow
def test_what_is_missing_or_altered_is_found(
    small_sample: Source, settings: ExtractSettings, url: str
) -> None:
    with pytest.raises(StoreNotFoundError, match="there is no store here"):
        FeatureStore(url)
    extract(small_sample, url, settings)
    place = place_of(url)
    labels = place.read("labels/c/0")
    place.write("labels/c/0", labels[:-1] + bytes([labels[-1] ^ 1]))
    place.write("labels/notes", b"mine")
    assert [(d.place, d.what) for d in verify(url)] == [
        ("labels/c/0", "checksum differs (rows 0 to 79 of labels)"),
        ("labels/notes", "is not part of the store"),
    ]
    place.delete("labels/c/0")
    with pytest.raises(StoreDamagedError, match="labels/c/0: is missing"):
        FeatureStore(url)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2.0, 4.0, 6.0])
def test_a_killed_process_loses_nothing(
    photo_folder: Path, url: str, tmp_path: Path, seconds: float, s3: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "bench", "extract", str(photo_folder), "--embed-size", "32"]
    subprocess.run([*command, "--store", str(tmp_path / "s")], check=True, capture_output=True)
    environment = os.environ | s3
    with subprocess.Popen(
        [*command, "--store", url],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as first:
        time.sleep(seconds)
        os.killpg(first.pid, signal.SIGKILL)
    done = subprocess.run(
        [*command, "--store", url], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert s3["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
    assert tree(place_of(url)) == tree(place_of(tmp_path / "s"))
