"""What models say of an image that is not in the store."""

import threading
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._errors import BenchError
from bench._models import MODELS
from bench._predictor import Predictor, choose_run
from bench._records import Results
from bench.explore._told import about, name_of
from classifiers import SavedModelError
from featurestore import FeatureStore
from featurestore._engines import Engine
from featurestore._job import BackboneJob
from featurestore._pipeline import Pipeline, Result
from featurestore.errors import FeatureStoreError
from featurestore.fetch import FetchStage, WebSettings


class UnusableImageError(Exception):
    """The bytes are no image that can be used; ``str(error)`` says why."""


@dataclass(frozen=True)
class Heard:
    """What was found out of an image.

    Attributes
    ----------
    sha256, format : str
    width, height : int, px
    embedding : float32 (dims,)
    models : list of dict
        What each model says, or why it can't.
    networks : list of str
        Titles of networks that were not asked.
    """

    sha256: str
    format: str
    width: int
    height: int
    embedding: npt.NDArray[np.float32]
    models: list[dict[str, Any]] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)


class Listener:
    """Shows images to the models of a results folder; each model's best run on dev.

    Backbone and models are loaded when they are first needed, and kept. It may be used from many
    threads; one image is looked at at a time.

    Parameters
    ----------
    store : FeatureStore
    backbone : str
        Which of the store's.
    folder : Path or None
    results : Results or None
    """

    def __init__(
        self, store: FeatureStore, backbone: str, folder: Path | None, results: Results | None
    ) -> None:
        self._store, self._backbone = store, backbone
        self._folder, self._results = folder, results
        self._eye: tuple[Engine, int] | None = None
        self._predictors: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    def hear(self, data: bytes, *, networks: bool) -> Heard:
        """Return what the models say of the bytes of an image file.

        Parameters
        ----------
        data : bytes
        networks : bool
            Whether to ask networks too; the first time they take seconds to load.

        Raises
        ------
        UnusableImageError
            If it can't be decoded.
        FeatureStoreError
            If the backbone can't be had.
        """
        with self._lock:
            seen = self._look(data)
            if seen.image is None or seen.embedding is None:
                raise UnusableImageError(f"{seen.kind}: {seen.detail}")
            image = seen.image
            heard = Heard(seen.sha256, image.format, image.width, image.height, seen.embedding)
            runs = self._results.runs if self._results else []
            for model in dict.fromkeys(run.model for run in runs if run.status == "ok"):
                entry = MODELS.get(model)
                if entry and entry.learns_from != "embeddings" and not networks:
                    heard.networks.append(entry.title)
                else:
                    heard.models.append(self._ask(model, seen))
            heard.models.sort(key=lambda told: -(told.get("dev") or 0))  # as everywhere
            return heard

    def _look(self, data: bytes) -> Result:
        """Decode and embed as it was done for the store, in all of its sizes, by the same code."""
        if self._eye is None:
            embedding = self._store.attributes["backbones"][self._backbone]
            job = BackboneJob.again(self._backbone, embedding, None)
            self._eye = job.make_engine(), job.size
        engine, size = self._eye
        stage = FetchStage([(0, "image")], lambda _: data, WebSettings())
        pipeline = Pipeline(stage, engine, size, 1, self._store.image_sizes[1:])
        with closing(stage), closing(pipeline.run(1)) as results:
            return next(results)

    def _ask(self, model: str, seen: Result) -> dict[str, Any]:
        assert self._folder is not None
        assert self._results is not None
        try:
            if model not in self._predictors:
                run = choose_run(self._folder, self._results, model)
                self._predictors[model] = Predictor(self._folder, self._results, run)
            predictor = self._predictors[model]
        except (BenchError, SavedModelError, FeatureStoreError) as error:
            entry = MODELS.get(model)
            return {"title": entry.title if entry else model, "error": str(error)}
        answer = predictor.answer([seen], ["image"])[0]
        return {
            "title": name_of(predictor.run),
            **about(predictor.run),
            "probabilities": [[name, share] for name, share in answer.probabilities.items()],
        }
