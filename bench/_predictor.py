"""A trained model put to use: from any image to probabilities."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._errors import BenchError
from bench._models import MODELS
from bench._records import Results, RunResult
from bench._results import read_results, runs_folder
from featurestore._decode import THUMBNAIL
from featurestore._job import BackboneJob
from featurestore._pipeline import Pipeline, Result
from featurestore.fetch import FetchStage, WebSettings, fetch_location, is_remote

BATCH = 32  # images that a model is given at a time


@dataclass(frozen=True)
class Answer:
    """What a model says of one image, or why it can't.

    Attributes
    ----------
    image : str
        Path or URL, as it was given.
    probabilities : dict of float
        By label, the likeliest first; empty if the image failed.
    kind, error : str
        Why the image failed: a kind such as "undecodable", and a line of text; or "".
    """

    image: str
    probabilities: dict[str, float]
    kind: str = ""
    error: str = ""

    @property
    def label(self) -> str:
        """The likeliest label, or ""."""
        return next(iter(self.probabilities), "")


class Predictor:
    """A model of a results folder, with what turns an image into its input.

    Images are fetched, decoded and embedded as they were for the store that it learned from, by the
    same code.

    Attributes
    ----------
    run : RunResult
    label_names : list of str
    """

    def __init__(self, folder: Path, results: Results, run: RunResult) -> None:
        self.run, self.label_names = run, results.store.label_names
        # Whether models of images or of embeddings: other classes, from other packages.
        self._sees_images = MODELS[run.model].learns_from != "embeddings"
        path = runs_folder(folder, run) / "model.npz"
        expected: dict[str, Any] = {
            "fingerprint": results.store.fingerprint,
            "label_names": self.label_names,
        }
        self._model: Any
        if self._sees_images:
            from cnn import load_model

            self._model = load_model(path, **expected)
        else:
            from classifiers._inference import load_for_prediction

            self._model = load_for_prediction(path, **expected)
        self._job: BackboneJob | None = None
        self._larger: tuple[int, ...] = ()
        if self._sees_images:
            self._size = THUMBNAIL
            side = int(self._model.image_shape_[0])
            self._larger = () if side == THUMBNAIL else (side,)
        else:
            self._job = BackboneJob.again(results.store.backbone, results.store.embedding, None)
            self._size = self._job.size

    @cached_property
    def _engine(self) -> Any:
        """What embeds images; not started where they were embedded already."""
        return self._job.make_engine() if self._job else _NoEngine()

    def predict(
        self, images: str | Path | Iterable[str | Path], web: WebSettings | None = None
    ) -> Iterator[Answer]:
        """Yield an Answer for each image, in their order; memory stays bounded.

        Parameters
        ----------
        images : str or Path, or an iterable of them
            Files, or http, https or file URLs.
        web : WebSettings, optional
            How to download.
        """
        if isinstance(images, str | Path):
            images = [images]
        names = [str(image) for image in images]
        stage = FetchStage(enumerate(names), _fetch, web or WebSettings())
        pipeline = Pipeline(stage, self._engine, self._size, 1, self._larger)
        waiting: dict[int, Answer] = {}
        batch: list[Result] = []
        following = 0
        with closing(stage), closing(pipeline.run(len(names))) as results:
            for done, result in enumerate(results, 1):
                if result.kind:
                    waiting[result.index] = Answer(
                        names[result.index], {}, result.kind, result.detail
                    )
                else:
                    batch.append(result)
                if len(batch) == BATCH or (batch and done == len(names)):
                    waiting |= self.answer(batch, names)
                    batch = []
                while following in waiting:
                    yield waiting.pop(following)
                    following += 1

    def answer(self, batch: Sequence[Result], names: Sequence[str]) -> dict[int, Answer]:
        """Return an Answer for each image that was decoded and embedded, by its index.

        Parameters
        ----------
        batch : sequence of Result
            Of a pipeline with the backbone, and all image sizes, of the store learned from.
        names : sequence of str
            What to call images, by their index.
        """
        probabilities = self._model.predict_proba(self._inputs(batch))
        labels = [self.label_names[code] for code in self._model.classes_]
        found = {}
        for result, row in zip(batch, probabilities, strict=True):
            order = np.argsort(-row, kind="stable")
            found[result.index] = Answer(
                names[result.index], {labels[i]: float(row[i]) for i in order}
            )
        return found

    def _inputs(self, batch: Sequence[Result]) -> npt.NDArray[Any]:
        """Return float32 (k, dims) or uint8 (k, side, side, 3)."""
        if not self._sees_images:
            return np.stack([r.embedding for r in batch if r.embedding is not None])
        images = [r.image for r in batch if r.image is not None]
        if self._larger:
            return np.stack([image.larger[self._larger[0]] for image in images])
        return np.stack([image.thumbnail for image in images])


class _NoEngine:
    """Stands where an engine would, for models that need no embedding."""

    batch = 1

    def __init__(self) -> None:
        from featurestore._engines import usable_cores

        self.workers = usable_cores()

    def embed(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return float32 (k, 0)."""
        return np.empty((len(pixels), 0), np.float32)


def _fetch(location: str) -> bytes:
    return fetch_location(location, Path(), allow_outside=True)


def load_model(results: str | Path = "results", run: str | None = None) -> Predictor:
    """Return a trained model of a results folder, ready for images.

    Parameters
    ----------
    results : str or Path
        A folder that ``bench run`` wrote.
    run : str, optional
        Which: a model's name ("mlp"), a folder in ``runs`` or the beginning of its name, or a path
        to such a folder. Among several the best on dev; without it the best of all.

    Raises
    ------
    BenchError
        If there is no such run, or its model is gone.
    SavedModelError
        If its model can't be read.
    """
    folder = Path(results)
    if run and (Path(run) / "model.npz").is_file():
        folder, run = Path(run).resolve().parents[1], Path(run).resolve().name
    found = read_results(folder)
    return Predictor(folder, found, choose_run(folder, found, run))


def choose_run(folder: Path, results: Results, name: str | None) -> RunResult:
    """Return the run with the best accuracy on dev among those that a name stands for.

    Raises
    ------
    BenchError
        If there is none.
    """
    there = [
        run
        for run in results.runs
        if run.status == "ok" and (runs_folder(folder, run) / "model.npz").is_file()
    ]
    if not there:
        raise BenchError(f"{folder}: holds no trained models; `bench run --all` makes some")
    if name is not None:
        named = [run for run in there if run.model == name or run.folder_name.startswith(name)]
        if not named:
            names = ", ".join(dict.fromkeys(run.model for run in there))
            raise BenchError(
                f"--model {name}: {folder} holds no such run; it has models of {names}, and each "
                "folder in its runs folder is one"
            )
        there = named
    with_dev = [run for run in there if run.dev is not None]
    if not with_dev:
        if len(there) == 1:
            return there[0]
        raise BenchError(f"{folder}: nothing was tested on dev, so there is no best; give --model")
    return max(with_dev, key=lambda run: run.dev.accuracy if run.dev else 0.0)


def find_images(places: Iterable[str]) -> Iterator[str]:
    """Yield files and URLs as they are given, and for a folder all files in it, sorted.

    Hidden files and folders are skipped; what is no image fails when it is read.
    """
    for place in places:
        if is_remote(place) or not Path(place).is_dir():
            yield place
            continue
        for folder, subfolders, files in os.walk(place):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            yield from (
                str(Path(folder) / name) for name in sorted(files) if not name.startswith(".")
            )
