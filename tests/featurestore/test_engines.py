"""Engines: both compute the same, each the same every time, and wrong weights are one line."""

import shutil
import subprocess
import sys
import tempfile
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
REAL_PYTHON = sys.executable


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


class TestCache:
    """The folder of converted backbones, with a stand-in for the program that converts them."""

    @pytest.fixture
    def good(self) -> Path:
        return converted(MOBILENET, 64, WEIGHTS)

    @pytest.fixture
    def cache(self, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An empty cache; what is converted is copied from the real one."""
        folder = tmp_path / "cache"
        monkeypatch.setattr("featurestore._engines.cache_folder", lambda: folder)
        self.replace_program(monkeypatch, tmp_path, f"cp '{good}' \"$6\"")
        return folder

    def replace_program(self, patch: pytest.MonkeyPatch, folder: Path, command: str) -> None:
        program = folder / "python"
        program.write_text(f"#!/bin/sh\necho x >> '{folder}/calls'\n{command}\n")
        program.chmod(0o755)
        patch.setattr(sys, "executable", str(program))

    def calls(self, folder: Path) -> int:
        return len((folder / "calls").read_text()) // 2 if (folder / "calls").exists() else 0

    @pytest.mark.parametrize("share", [0, 2])
    def test_a_damaged_file_is_made_once_more(self, good: Path, cache: Path, share: int) -> None:
        content = good.read_bytes()
        cache.mkdir()
        (cache / good.name).write_bytes(content[: len(content) * share // 4])
        make_engine("litert", MOBILENET, 64, WEIGHTS)
        assert (cache / good.name).read_bytes() == content
        assert list(cache.iterdir()) == [cache / good.name]

    def test_a_file_that_is_damaged_again_is_one_line(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.replace_program(monkeypatch, tmp_path, 'echo no model > "$6"')
        with pytest.raises(BackboneError, match=r"\.tflite: can't be loaded \(.*\); delete it$"):
            make_engine("litert", MOBILENET, 64, WEIGHTS)
        assert self.calls(tmp_path) == 2

    def test_a_conversion_that_is_killed_is_one_line(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.replace_program(monkeypatch, tmp_path, "kill -9 $$")
        with pytest.raises(BackboneError, match=r"^mobilenet can't be converted .* \(status -9, "):
            make_engine("litert", MOBILENET, 64, WEIGHTS)
        assert list(cache.iterdir()) == []

    def test_one_that_can_not_be_written_is_read(
        self, good: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.mkdir()
        shutil.copy(good, cache)
        monkeypatch.setattr("os.access", lambda *_: False)
        assert converted(MOBILENET, 64, WEIGHTS) == cache / good.name
        assert self.calls(tmp_path) == 0

    def test_without_one_a_backbone_is_converted_once_and_nothing_stays(
        self, cache: Path, tmp_path: Path
    ) -> None:
        cache.touch()  # no folder
        code = """
import sys
from pathlib import Path
from featurestore import _engines
from featurestore._backbones import find_weights, get_backbone

backbone = get_backbone("mobilenet")
_engines.cache_folder = lambda: Path(sys.argv[1])
sys.executable = sys.argv[2]
for _ in range(2):
    made = _engines.converted(backbone, 64, find_weights(backbone))
    assert made.is_file()
print(made.parent)
"""
        run = subprocess.run(
            [REAL_PYTHON, "-c", code, str(cache), sys.executable],
            capture_output=True,
            text=True,
            check=True,
        )
        assert self.calls(tmp_path) == 1
        assert run.stdout.startswith(tempfile.gettempdir())
        assert not Path(run.stdout.strip()).exists()


def test_there_is_a_worker_for_each_core() -> None:
    assert make_engine("litert", MOBILENET, 64, WEIGHTS).workers == usable_cores() >= 1


@pytest.mark.parametrize("content", [b"", b"these are no weights"])
def test_a_file_that_holds_no_weights_is_one_line(tmp_path: Path, content: bytes) -> None:
    wrong = tmp_path / "wrong.weights.h5"
    wrong.write_bytes(content)
    with pytest.raises(BackboneError, match=r"wrong\.weights\.h5: can't be loaded") as error:
        make_engine("tensorflow", MOBILENET, 64, wrong)
    assert "\n" not in str(error.value)


@pytest.mark.slow
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
