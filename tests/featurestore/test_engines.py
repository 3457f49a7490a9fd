"""Engines: both compute the same, each the same every time, and wrong weights are one line."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
import pytest

from featurestore._backbones import find_weights, get_backbone
from featurestore._decode import decode
from featurestore._engines import (
    LiteRTEngine,
    MirroredEngine,
    TensorFlowEngine,
    converted,
    make_engine,
    usable_cores,
)
from featurestore.errors import BackboneError

MOBILENET = get_backbone("mobilenet")
WEIGHTS = find_weights(MOBILENET)


def photos(jpeg: Callable[..., bytes], size: int, count: int) -> npt.NDArray[np.uint8]:
    return np.stack([decode(jpeg(seed, size=(300, 200)), size).pixels for seed in range(count)])


def one_by_one(engine: LiteRTEngine, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.concatenate([engine.embed(pixels[i : i + 1]) for i in range(len(pixels))])


@pytest.fixture(scope="module")
def litert() -> LiteRTEngine:
    return LiteRTEngine(converted(MOBILENET, 64, WEIGHTS))


@pytest.fixture(scope="module")
def tensorflow() -> TensorFlowEngine:
    return TensorFlowEngine(MOBILENET, 64, WEIGHTS)


def cosines(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / lengths)


def test_litert_and_tensorflow_agree(
    jpeg: Callable[..., bytes], litert: LiteRTEngine, tensorflow: TensorFlowEngine
) -> None:
    pixels = photos(jpeg, 64, 8)
    one, other = one_by_one(litert, pixels), tensorflow.embed(pixels)
    assert one.shape == other.shape == (8, 1024)
    assert one.dtype == other.dtype == np.float32
    assert cosines(one, other).min() > 0.9999
    assert cosines(one, np.roll(other, 1, axis=0)).max() < 0.9999


@pytest.mark.slow
def test_litert_and_tensorflow_agree_at_the_backbones_own_size(
    jpeg: Callable[..., bytes],
) -> None:
    pixels = photos(jpeg, 224, 8)
    one = one_by_one(LiteRTEngine(converted(MOBILENET, 224, WEIGHTS)), pixels)
    assert cosines(one, TensorFlowEngine(MOBILENET, 224, WEIGHTS).embed(pixels)).min() > 0.9999


def test_whichever_thread_computes_an_embedding_its_bits_are_the_same(
    jpeg: Callable[..., bytes], litert: LiteRTEngine
) -> None:
    pixels = photos(jpeg, 64, 6)
    expected = one_by_one(litert, pixels)
    found: list[npt.NDArray[np.float32]] = []
    threads = [
        threading.Thread(target=lambda: found.append(one_by_one(litert, pixels))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for embeddings in found:
        np.testing.assert_array_equal(embeddings, expected)


def test_what_was_embedded_before_changes_nothing(
    jpeg: Callable[..., bytes], litert: LiteRTEngine
) -> None:
    pixels = photos(jpeg, 64, 6)
    forwards, backwards = one_by_one(litert, pixels), one_by_one(litert, pixels[::-1])
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_mirror_images_have_one_embedding_the_mean_of_two() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    plain = make_engine("litert", MOBILENET, 64, WEIGHTS)
    engine = MirroredEngine(plain)
    assert (engine.batch, engine.workers) == (plain.batch, plain.workers)
    found = engine.embed(pixels)
    np.testing.assert_array_equal(found, engine.embed(mirrored))
    mean = (plain.embed(pixels).astype(float) + plain.embed(mirrored)) / 2
    np.testing.assert_allclose(found, mean, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(plain.embed(pixels), plain.embed(mirrored))


def test_a_batch_that_is_not_full_changes_nothing(
    jpeg: Callable[..., bytes], tensorflow: TensorFlowEngine
) -> None:
    pixels = photos(jpeg, 64, 5)
    np.testing.assert_array_equal(tensorflow.embed(pixels)[:2], tensorflow.embed(pixels[:2]))


def test_a_converted_backbone_is_kept_for_the_next_time() -> None:
    first = converted(MOBILENET, 64, WEIGHTS)
    before = first.stat().st_mtime_ns
    assert converted(MOBILENET, 64, WEIGHTS) == first
    assert first.stat().st_mtime_ns == before
    assert not list(first.parent.glob("*.partial"))


def test_there_is_a_worker_for_each_core() -> None:
    assert make_engine("litert", MOBILENET, 64, WEIGHTS).workers == usable_cores() >= 1


@pytest.mark.parametrize("content", [b"", b"these are no weights"])
def test_a_file_that_holds_no_weights_is_one_line(tmp_path: Path, content: bytes) -> None:
    wrong = tmp_path / "wrong.weights.h5"
    wrong.write_bytes(content)
    with pytest.raises(BackboneError, match=r"wrong\.weights\.h5: can't be loaded") as error:
        make_engine("tensorflow", MOBILENET, 64, wrong)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_one_line() -> None:
    with pytest.raises(BackboneError, match="can't be loaded into resnet50") as error:
        make_engine("tensorflow", get_backbone("resnet50"), 64, WEIGHTS)
    assert "\n" not in str(error.value)


def test_weights_that_lack_one_layer_are_refused(tmp_path: Path) -> None:
    short = Path(shutil.copy(WEIGHTS, tmp_path / "short.weights.h5"))
    with h5py.File(short, "a") as file:
        del file["layers/conv2d"]
    with pytest.raises(BackboneError, match=r"short\.weights\.h5: can't be loaded"):
        make_engine("tensorflow", MOBILENET, 64, short)


@pytest.mark.slow
def test_a_failed_conversion_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.weights.h5"
    wrong.write_bytes(b"these are no weights")
    with pytest.raises(BackboneError, match=r"wrong\.weights\.h5: can't be loaded") as error:
        make_engine("litert", MOBILENET, 64, wrong)
    assert "\n" not in str(error.value)
    folder = converted(MOBILENET, 64, WEIGHTS).parent
    assert not list(folder.glob("*.partial"))
