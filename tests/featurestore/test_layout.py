"""Layout: a file of a large array has about the same size, whatever an image of it takes."""

from pathlib import Path

import pytest

from featurestore._layout import create_pixels, images_name
from featurestore._place import LocalPlace


@pytest.mark.parametrize(
    ("shape", "chunk", "shard"),
    [
        ((9, 32, 32, 3), 256, 4096),
        ((9, 64, 64, 3), 64, 1024),
        ((9, 160, 160, 3), 10, 160),
        ((9, 224, 224, 3), 5, 80),
        ((9, 512, 512, 3), 1, 16),
        ((9, 1024), 256, 4096),
    ],
)
def test_larger_images_share_a_file_with_fewer(
    tmp_path: Path, shape: tuple[int, ...], chunk: int, shard: int
) -> None:
    array = create_pixels(LocalPlace(tmp_path), "pixels", shape, "uint8")
    assert array.chunks == (chunk, *shape[1:])
    assert array.shards == (shard, *shape[1:])


def test_images_of_32_px_have_the_plain_name() -> None:
    assert (images_name(32), images_name(160)) == ("images", "images_160")
