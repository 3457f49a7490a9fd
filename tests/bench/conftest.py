"""A store to run models on, and the command line in this process."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from results_examples import train

from bench.cli import main
from featurestore import ExtractSettings, FeatureStore, extract, read_source


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A store of 160 synthetic images at 32 px, to be read only."""
    sample = read_source("sample")
    path = tmp_path_factory.mktemp("bench") / "sample.zarr"
    settings = ExtractSettings(embed_size=32, engine="litert")
    return extract(replace(sample, records=sample.records[::10]), path, settings)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Give a command in an empty folder and return what became of it."""
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def give(*arguments: object) -> Result:
        texts = [str(argument) for argument in arguments]
        return CliRunner().invoke(main, texts, prog_name="bench")

    yield give
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def voted_photos(tmp_path: Path, jpeg: Callable[..., bytes]) -> Path:
    """A folder of 40 photos with votes for two emotions; people did not agree on ten of them."""
    root = tmp_path / "voted"
    root.mkdir()
    unclear = ((3, 2), (4, 1), (3, 3), (0, 2), (2, 0))  # against, for; the last two of two people
    lines = []
    for number in range(40):
        (root / f"{number}.jpg").write_bytes(jpeg(seed=number))
        against, agree = unclear[number % 5] if number < 10 else (0, 5)
        lines.append(f"{('awe', 'fear')[number % 2]},{number}.jpg,{against},{agree}")
    (root / "votes.csv").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 class folders with 12 pictures each, of many sizes, to be read only."""
    root = tmp_path_factory.mktemp("album") / "photos"
    rng = np.random.default_rng(0)
    for label in ("calm", "dread", "joy"):
        (root / label).mkdir(parents=True)
        for number in range(12):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            width, height = rng.integers(40, 500, 2).tolist()
            picture = coarse.resize((width, height), Image.Resampling.BICUBIC)
            picture.save(root / label / f"{number:02}.jpg", quality=90)
    return root


@pytest.fixture(scope="session")
def album_store(album: Path) -> FeatureStore:
    """A store of the album, with images of 64 px."""
    settings = ExtractSettings(embed_size=64, image_sizes=(64,), mirror=True)
    return extract(read_source(str(album)), album.parent / "photos.zarr", settings)


@pytest.fixture(scope="session")
def album_results(album_store: FeatureStore) -> Path:
    """The folder of three models' results on it, to be read only."""
    folder = album_store.path.parent / "results"
    return train(folder, album_store, "pca-svm", "mlp", "linear-probe")
