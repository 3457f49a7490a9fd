"""Sources and stores that several tests of featurestore need."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import ExtractSettings, Source, extract, read_source


@pytest.fixture(scope="session")
def settings() -> ExtractSettings:
    """The quickest settings there are: 32 px, which is converted once for a machine."""
    return ExtractSettings(embed_size=32, engine="litert")


@pytest.fixture(scope="session")
def small_sample() -> Source:
    """The embedded sample, cut down to 80 images, 10 a label."""
    sample = read_source("sample")
    return replace(sample, records=sample.records[::20])


@pytest.fixture(scope="session")
def finished(
    small_sample: Source, settings: ExtractSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished store of the small sample, to be read only."""
    path = tmp_path_factory.mktemp("finished") / "sample.zarr"
    extract(small_sample, path, settings)
    return path


@pytest.fixture
def heal(photo_folder: Path) -> Callable[[], object]:
    """Damage one of the 30 photos; return what makes it whole again."""
    photo = photo_folder / "joy" / "3.jpg"
    whole = photo.read_bytes()
    photo.write_bytes(b"damaged")
    return lambda: photo.write_bytes(whole)


@pytest.fixture(scope="session")
def large_settings(settings: ExtractSettings) -> ExtractSettings:
    """The same settings, with the images kept at 160 px, too."""
    return replace(settings, image_sizes=(160,))


@pytest.fixture(scope="session")
def finished_large(
    small_sample: Source, large_settings: ExtractSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished store of the small sample with images at 160 px, too, to be read only."""
    path = tmp_path_factory.mktemp("finished") / "large.zarr"
    extract(small_sample, path, large_settings)
    return path


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished store, to be damaged at will."""
    return Path(shutil.copytree(finished, tmp_path / "copy.zarr"))
