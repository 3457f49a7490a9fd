"""Inference engines: from pixels to embeddings.

On a CPU the engine is LiteRT with its XNNPACK kernels, one single-threaded interpreter for each
core: an image's embedding then depends on that image alone, bit for bit, whatever else is being
embedded beside it and however many workers there are. With a GPU it is TensorFlow, in batches of
one fixed size.
"""

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from featurestore._backbones import Backbone, build, cache_folder, hash_file
from featurestore._tensorflow import load_tensorflow, quiet
from featurestore.errors import BackboneError, in_short

EngineName = Literal["litert", "tensorflow"]


class Engine(Protocol):
    """Embeds images.

    Attributes
    ----------
    batch : int
        The most images that one call takes, and the number it runs best on.
    workers : int
        How many threads may, and for full speed should, call it at a time.
    """

    batch: int
    workers: int

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (k <= batch, size, size, 3), RGB; return float32 (k, dims)."""


def choose_engine() -> EngineName:
    """Return "tensorflow" if it sees a GPU, else "litert"."""
    # TensorFlow takes seconds to import, so it is asked only where there may be a GPU.
    if not may_have_gpu():
        return "litert"
    tf = load_tensorflow()
    return "tensorflow" if tf.config.list_physical_devices("GPU") else "litert"


def may_have_gpu() -> bool:
    """Return whether there are signs of a GPU that TensorFlow could use."""
    hints = (Path("/dev/nvidia0"), Path("/dev/kfd"))
    return bool(shutil.which("nvidia-smi")) or any(hint.exists() for hint in hints)


def make_engine(
    name: EngineName, backbone: Backbone, size: int, weights: Path, workers: int | None = None
) -> Engine:
    """Return an engine that embeds images of ``size`` px, on a CPU by ``workers`` threads.

    Raises
    ------
    BackboneError
        If the weights don't fit, or the conversion fails.
    """
    if name == "tensorflow":
        return TensorFlowEngine(backbone, size, weights)
    model = converted(backbone, size, weights)
    try:
        return LiteRTEngine(model, workers)
    except BackboneError:  # damaged in the cache, say by a full disk: made once more
        with contextlib.suppress(OSError):
            model.unlink()
        return LiteRTEngine(converted(backbone, size, weights), workers)


class LiteRTEngine:
    """LiteRT on the CPU: as many interpreters as threads call at a time, of one thread each.

    Raises
    ------
    BackboneError
        If the file is damaged.
    """

    batch = 1

    def __init__(self, model: Path, workers: int | None = None) -> None:
        self.workers = workers or usable_cores()
        self._model = model.read_bytes()
        with quiet():  # LiteRT announces its kernels once
            # Threads come and go, and starting one takes as long as embedding several images.
            try:
                self._spare = deque([self._start()])
            except (ValueError, RuntimeError) as error:
                raise BackboneError(
                    f"{model}: can't be loaded ({in_short(error)}); delete it"
                ) from error

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (1, size, size, 3), RGB; return float32 (1, dims)."""
        taken = interpreter, source, target = self._take()
        interpreter.set_tensor(source, pixels)
        interpreter.invoke()
        result: npt.NDArray[np.float32] = interpreter.get_tensor(target)  # a copy
        self._spare.append(taken)
        return result

    def _take(self) -> tuple[Any, int, int]:
        try:
            return self._spare.pop()
        except IndexError:
            return self._start()

    def _start(self) -> tuple[Any, int, int]:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=self._model, num_threads=1)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        return interpreter, source, interpreter.get_output_details()[0]["index"]


class MirroredEngine:
    """The mean of the embeddings of an image and of its mirror image, by another engine.

    A network sees a face that looks left and one that looks right as two; people hardly do. The
    mean is the same for both, and steadier, at twice the cost.
    """

    def __init__(self, engine: Engine) -> None:
        self.batch, self.workers = engine.batch, engine.workers
        self._engine = engine

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (k <= batch, size, size, 3), RGB; return float32 (k, dims)."""
        mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
        mean: npt.NDArray[np.float32] = self._engine.embed(pixels)
        mean += self._engine.embed(mirrored)
        mean /= 2
        return mean


class TensorFlowEngine:
    """TensorFlow, on the GPU where there is one."""

    batch = 64
    workers = 1  # one thread keeps a device busy; the batches are what counts

    def __init__(self, backbone: Backbone, size: int, weights: Path) -> None:
        tf = load_tensorflow()
        model = build(backbone, size, weights)
        self._embed = tf.function(
            lambda pixels: model(pixels, training=False),
            input_signature=[tf.TensorSpec((self.batch, size, size, 3), tf.uint8)],
        )

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (k <= 64, size, size, 3), RGB; return float32 (k, dims)."""
        # Always the same shape: another batch size may pick another kernel, and other last bits.
        full = np.zeros((self.batch, *pixels.shape[1:]), np.uint8)
        full[: len(pixels)] = pixels
        result: npt.NDArray[np.float32] = self._embed(full).numpy()[: len(pixels)]
        return result


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def converted(backbone: Backbone, size: int, weights: Path) -> Path:
    """Return the backbone as a ``.tflite`` file, from the cache or converted now.

    The conversion runs in a process of its own: it needs TensorFlow, which would otherwise stay in
    memory, and prints much that concerns nobody.

    Raises
    ------
    BackboneError
    """
    key = f"{hash_file(weights)[:16]}-tf{version('tensorflow')}"
    target = cache_folder() / f"{backbone.name}-{size}-{key}.tflite"
    if not target.is_file():  # else it doesn't matter whether the folder can be written
        target = _writable(target.parent) / target.name
    if target.is_file():
        return target
    partial = target.parent / f"{target.stem}.{os.getpid()}.partial"
    arguments = [backbone.name, str(size), str(weights.resolve()), str(partial)]
    run = subprocess.run(
        [sys.executable, "-m", "featurestore._convert", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        partial.unlink(missing_ok=True)
        said = (run.stderr.strip().splitlines() or ["no output"])[-1]
        if run.returncode == 1:  # it gave up by itself, and said why
            raise BackboneError(said)
        raise BackboneError(
            f"{backbone.name} can't be converted for LiteRT (status {run.returncode}, as when "
            f"memory runs out): {said}"
        )
    with partial.open("r+b") as file:
        os.fsync(file.fileno())  # or a power cut may leave an empty file
    partial.replace(target)
    return target


def _writable(folder: Path) -> Path:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return _own_folder()


@functools.cache
def _own_folder() -> Path:
    """Return a folder that is there until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="emotion-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
