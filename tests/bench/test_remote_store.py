"""Every command takes a store in an object store, and gives what it gives for one on a disk."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result

from bench._results import read_results
from cnn import _images
from featurestore import FeatureStore
from featurestore._place import place_of


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
