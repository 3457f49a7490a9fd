"""Every command takes a store in an object store, and gives what it gives for one on a disk."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from s3_server import S3Server

from bench._results import read_results
from cnn import _images
from featurestore import FeatureStore
from featurestore._place import place_of
from featurestore._rows import ZarrRows


@pytest.fixture
def url(album_store: FeatureStore, s3: dict[str, str]) -> str:
    """A copy of the album's store on an S3 server."""
    location = f"s3://bucket/{uuid4().hex}/photos.zarr"
    there = place_of(location)
    for key in album_store.place.keys():  # noqa: SIM118  # no dict
        there.write(key, album_store.place.read(key))
    return location


def kept(folder: Path) -> dict[str, object]:
    """Return what results say, but for times and the store's place."""
    timed = {"fit_seconds", "predict_seconds", "peak_memory_mb"}
    runs = read_results(folder).runs
    return {run.model: run.model_dump(exclude=timed) for run in runs}


@pytest.mark.slow
def test_what_a_store_is_asked(bench: Callable[..., Result], url: str) -> None:
    for command in ("inspect", "verify"):
        result = bench(command, url)
        assert result.exit_code == 0, result.output
        assert url in result.output
    assert bench("export", url, "--to", "npz").exit_code == 0
    assert Path("photos.npz").is_file()
    missing = bench("run", "pca-svm", "--store", url.replace("photos", "other"))
    assert missing.exit_code == 1
    assert "there is no store here" in missing.stderr


def test_a_url_that_is_none_is_one_line(bench: Callable[..., Result]) -> None:
    for command in (("inspect", "nowhere://a/b"), ("run", "mlp", "--store", "nowhere://a/b")):
        result = bench(*command)
        assert result.exit_code == 1
        assert result.stderr.strip().count("\n") == 0
        assert "is no place for a store" in result.stderr


@pytest.mark.slow
def test_training_streams_from_it(
    bench: Callable[..., Result],
    album_store: FeatureStore,
    url: str,
    s3: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_images, "RESIDENT_BYTES", 0)  # no image is held in memory
    models = ("linear-probe", "resnet")
    for name, store in (("here", album_store.path), ("there", url)):
        wanted = ("--store", store, "--results", tmp_path / name, "--preset", "quick")
        result = bench("run", *models, *wanted)
        assert result.exit_code == 0, result.output
    assert kept(tmp_path / "there") == kept(tmp_path / "here")
    written = b"".join(path.read_bytes() for path in (tmp_path / "there").rglob("*.*"))
    assert s3["AWS_SECRET_ACCESS_KEY"].encode() not in written
    assert json.loads((tmp_path / "there" / "results.json").read_bytes())


@pytest.mark.slow
def test_a_server_that_goes_away_while_a_network_trains_stops_the_command(
    bench: Callable[..., Result],
    url: str,
    s3_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_images, "RESIDENT_BYTES", 0)  # no image is held in memory
    run = ("run", "resnet", "--store", url, "--preset", "quick", "--results")
    undisturbed = bench(*run, tmp_path / "undisturbed")
    assert undisturbed.exit_code == 0, undisturbed.output

    reads, take = itertools.count(), ZarrRows.take

    def cut_off(self: ZarrRows, rows: Any) -> Any:
        if next(reads) == 3:
            s3_server.stop()
        return take(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(ZarrRows, "take", cut_off)
        result = bench(*run, tmp_path / "results")
    s3_server.start()
    assert result.exit_code == 1, result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: s3://bucket: can't be reached")
    assert last.endswith("give the same again")
    assert "a-secret-key" not in result.output

    assert bench(*run, tmp_path / "results").exit_code == 0
    assert kept(tmp_path / "results") == kept(tmp_path / "undisturbed")
