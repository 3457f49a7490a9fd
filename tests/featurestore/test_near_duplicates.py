"""Near-duplicates: copies are found, strangers aren't, and no group lies in two splits."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore import ExtractSettings, extract, read_source
from featurestore._decode import decode
from featurestore._near_duplicates import color_layouts, find_groups, perceptual_hashes


def encode(image: Image.Image, quality: int = 90, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded": lambda image: encode(image, 40),
    "other format": lambda image: encode(image, kind="PNG"),
    "smaller": lambda image: encode(image.resize((image.width // 3, image.height // 3))),
    "larger": lambda image: encode(image.resize((image.width * 2, image.height * 2))),
    "cropped": lambda image: encode(
        image.crop((image.width // 50, image.height // 40, image.width, image.height))
    ),
    "brighter": lambda image: encode(image.point(lambda value: min(255, int(value * 1.08) + 4))),
}


def thumbnails(files: list[bytes]) -> np.ndarray:
    return np.stack([decode(data, 32).thumbnail for data in files])


def groups_of(files: list[bytes]) -> list[int]:
    images = thumbnails(files)
    return find_groups(perceptual_hashes(images), color_layouts(images)).tolist()


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    """Twenty-four pictures of the sample."""
    source = read_source("sample")
    return [source.fetch(record.id) for record in source.records[:: len(source.records) // 24]]


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found(originals: list[bytes], name: str) -> None:
    copies = [COPIES[name](Image.open(io.BytesIO(data))) for data in originals]
    groups = groups_of([*originals, *copies])
    count = len(originals)
    found = sum(groups[i] == groups[i + count] for i in range(count))
    assert found >= count - 1
    assert len(set(groups)) >= count


@pytest.mark.slow
def test_pictures_of_the_sample_are_no_copies_of_each_other() -> None:
    source = read_source("sample")
    files = [source.fetch(record.id) for record in source.records[::4]]
    assert len(set(groups_of(files))) == len(files)


def test_plain_surfaces_are_not_copies_of_each_other() -> None:
    files = [encode(Image.new("RGB", (64, 64), (value, value, value))) for value in (0, 90, 255)]
    assert len(set(groups_of(files))) == 3


def test_groups_are_numbered_by_first_appearance_and_are_transitive() -> None:
    rng = np.random.default_rng(0)
    first, other = rng.integers(0, 256, (2, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    images = np.stack([other, first, first, other, first])
    assert find_groups(perceptual_hashes(images), color_layouts(images)).tolist() == [0, 1, 1, 0, 1]


def test_pairs_are_found_across_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore._near_duplicates._TILE", (8, 32))
    monkeypatch.setattr("featurestore._near_duplicates._buffers", type("Buffers", (), {})())
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (150, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    images[[3, 77, 149]] = images[0]
    images[[40, 41]] = images[39]
    groups = find_groups(perceptual_hashes(images), color_layouts(images))
    assert {g: np.flatnonzero(groups == g).tolist() for g in set(groups[[0, 39]])} == {
        groups[0]: [0, 3, 77, 149],
        groups[39]: [39, 40, 41],
    }
    assert len(set(groups.tolist())) == 150 - 5


def test_a_hash_is_that_of_the_low_frequencies() -> None:
    x = np.cos(np.pi * (np.arange(32) + 0.5) / 32)  # the lowest horizontal frequency
    image = np.repeat(np.uint8(128 + 100 * x)[None, :, None], 32, 0).repeat(3, 2)
    bits = int(perceptual_hashes(image[None])[0])
    assert bits >> 62 & 1  # bit 1: row 0, column 1
    assert int(perceptual_hashes(255 - image[None])[0]) >> 62 & 1 == 0


def test_nothing_gives_nothing() -> None:
    none = np.empty((0, 32, 32, 3), np.uint8)
    assert find_groups(perceptual_hashes(none), color_layouts(none)).shape == (0,)


def test_no_group_lies_in_two_splits(
    originals: list[bytes], tmp_path: Path, settings: ExtractSettings
) -> None:
    for number, data in enumerate(originals):
        folder = tmp_path / "photos" / ("calm", "joy")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(data)
        for name in ("re-encoded", "smaller", "cropped"):
            copy = COPIES[name](Image.open(io.BytesIO(data)))
            (folder / f"{number} {name}.jpg").write_bytes(copy)
    store = extract(read_source(str(tmp_path / "photos")), tmp_path / "s", settings)
    manifest = store.manifest()
    rows = np.argsort(manifest["row"])
    groups = manifest["near_group"][rows]
    for group in set(groups.tolist()):
        assert len(set(store.splits[groups == group].tolist())) == 1
    assert store.attributes["near_duplicates"]["groups"] >= len(originals) - 1
    assert store.attributes["near_duplicates"]["across_given_splits"] == 0
    assert min(len(store.rows(split)) for split in ("train", "dev", "test")) > 0
