"""Near-duplicates: copies are found, strangers aren't, and no group lies in two splits."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from scipy.sparse.csgraph import connected_components

from featurestore import ExtractSettings, extract, read_source
from featurestore._decode import decode
from featurestore._near_duplicates import (
    MAX_DISTANCE,
    MIN_CORRELATION,
    _correlation,
    _join_neighbours,
    color_layouts,
    find_groups,
    perceptual_hashes,
)
from featurestore._orderings import _directions


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


def soft_pictures(count: int, seed: int) -> np.ndarray:
    """Return synthetic pictures, float64 (count, 32, 32, 3), of coarse coloured patches."""
    patches = np.random.default_rng(seed).uniform(0, 255, (count, 8, 8, 3))
    return scipy.ndimage.gaussian_filter(patches, (0, 1, 1, 0)).repeat(4, 1).repeat(4, 2)


def noisy(pictures: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pictures as uint8 with noise of the given deviations on 8 x 8 cells."""
    cells = rng.standard_normal((len(pictures), 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    return np.clip(pictures + noise[:, None, None, None] * cells, 0, 255).astype(np.uint8)


def groups_by_all_pairs(hashes: np.ndarray, layouts: np.ndarray) -> list[int]:
    """Return what the definition says, in the plainest way."""
    near = np.bitwise_count(hashes[:, None] ^ hashes) <= MAX_DISTANCE
    centred = layouts - layouts.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1)
    near &= centred @ centred.T / (np.outer(norms, norms) + 1) >= MIN_CORRELATION
    _, groups = connected_components(near, directed=False)
    return first_members(groups)


def first_members(groups: np.ndarray) -> list[int]:
    _, firsts, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return firsts[inverse].tolist()


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare neighbours in orderings where all pairs would otherwise be compared."""
    monkeypatch.setattr("featurestore._orderings.REACH", 4)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs of layouts each call correlated."""
    counts = []

    def counting(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if a is not b:  # what a layout is to itself is asked of each
            counts.append(len(a))
        return _correlation(a, b)

    monkeypatch.setattr("featurestore._near_duplicates._correlation", counting)
    return counts


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    versions=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 4, 12, 25])), max_size=60
    ),
    strangers=st.sampled_from([0, 600]),
)
@pytest.mark.slow
def test_groups_are_those_of_all_pairs(
    many: None, seed: int, versions: list[tuple[int, int]], strangers: int
) -> None:
    pictures = soft_pictures(10 + strangers, seed)
    pictures[8], pictures[9] = 90, (200, 30, 30)  # gray and red surfaces
    which = [*(picture for picture, _ in versions), *range(10, 10 + strangers)]
    noise = np.array([*(noise for _, noise in versions), *[0] * strangers], float)
    rng = np.random.default_rng(seed)
    mixed = rng.permutation(len(which))
    images = noisy(pictures[np.array(which, int)], noise, rng)[mixed]
    hashes, layouts = perceptual_hashes(images), color_layouts(images)
    assert first_members(find_groups(hashes, layouts)) == groups_by_all_pairs(hashes, layouts)


@pytest.mark.slow
def test_groups_depend_on_the_images_alone(many: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    which = rng.integers(0, 1500, 3000)
    # Noise up to where copies no longer are near: the border must be the same, too.
    images = noisy(soft_pictures(1500, 0)[which], rng.uniform(0, 20, 3000), rng)
    hashes, layouts = perceptual_hashes(images), color_layouts(images)
    found = []
    for cores, block in ((1, 1 << 16), (2, 1 << 16), (3, 500)):
        monkeypatch.setattr("featurestore._near_duplicates.usable_cores", lambda cores=cores: cores)
        monkeypatch.setattr("featurestore._near_duplicates._BLOCK", block)
        found.append(find_groups(hashes, layouts).tolist())
    assert found[0] == found[1] == found[2]
    assert 1500 < len(set(found[0])) < 2900


def test_a_crowd_of_copies_is_one_group_after_few_comparisons(
    many: None, compared: list[int]
) -> None:
    rng = np.random.default_rng(0)
    images = noisy(soft_pictures(1, 0).repeat(2000, 0), np.full(2000, 2.0), rng)
    assert len(np.unique(color_layouts(images), axis=0)) == 2000
    assert set(find_groups(perceptual_hashes(images), color_layouts(images)).tolist()) == {0}
    assert sum(compared) < 2 * len(images)


def test_two_crowds_that_lie_mixed_are_two_groups_after_few_comparisons(
    many: None, compared: list[int]
) -> None:
    rng = np.random.default_rng(0)
    first = soft_pictures(1, 0)[0]
    crowds = np.stack([first, first[::-1]])[rng.integers(0, 2, 2000)]
    layouts = color_layouts(noisy(crowds, np.full(2000, 2.0), rng))
    groups = find_groups(np.zeros(2000, np.uint64), layouts)
    assert groups.max() == 1
    assert sum(compared) < 100 * len(layouts)


def test_surfaces_that_are_all_but_plain_are_not_compared(many: None, compared: list[int]) -> None:
    rng = np.random.default_rng(0)
    layouts = np.full((2000, 192), 250, np.uint8)
    layouts[np.arange(2000), rng.integers(0, 192, 2000)] += 1
    hashes = np.zeros(2000, np.uint64)  # the same for all
    assert len(set(find_groups(hashes, layouts).tolist())) == 2000
    assert sum(compared) == 0


def test_a_surface_that_is_all_but_plain_is_found_beside_a_stronger_one() -> None:
    layouts = np.zeros((3, 192), np.uint8)
    layouts[:, :2] = [(4, 0), (4, 0), (200, 0)]
    assert find_groups(np.zeros(3, np.uint64), layouts).tolist() == [0, 0, 0]
    assert find_groups(np.zeros(2, np.uint64), layouts[:2]).tolist() == [0, 1]


def test_projections_are_exact_sums() -> None:
    for directions in _directions(192):
        assert (directions == np.rint(directions)).all()
        assert not directions.sum(axis=0).any()
        assert 255 * np.abs(directions).sum(axis=0).max() < 2**24


@pytest.mark.slow
def test_as_many_images_as_no_longer_compare_all_pairs() -> None:
    rng = np.random.default_rng(0)
    which = np.concatenate([np.arange(17_000), rng.integers(0, 17_000, 3000)])
    noise = np.where(np.arange(20_000) < 17_000, 0, rng.uniform(0, 12, 20_000))
    images = noisy(soft_pictures(17_000, 0)[which], noise, rng)
    hashes, layouts = perceptual_hashes(images), color_layouts(images)
    groups = find_groups(hashes, layouts)
    everything = np.arange(20_000), 19_999
    with ThreadPoolExecutor(2) as pool:
        labels = _join_neighbours(
            np.arange(20_000), *everything, hashes, layouts, np.zeros(20_000, bool), pool
        )
    assert first_members(groups) == labels.tolist()
    assert groups.max() < 19_000


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
