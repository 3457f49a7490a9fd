"""Files of our own, as a damaged disk or another program might have left them, for ``fuzz.py``."""

import atexit
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
from _fuzz_bytes import Target, members, one_replaced, write_all, zipped
from _fuzz_targets import images


def ours() -> dict[str, Target]:
    """Return what reads files of our own, by name."""
    from featurestore._model_file import SavedModelError
    from featurestore.errors import StoreError

    return {
        "model": Target(_model, _models, (SavedModelError,)),
        "checkpoint": Target(_checkpoint, _checkpoints),
        "segment": Target(_segment, _segments),
        "store": Target(_store, _stores, (StoreError,)),
        "predictions": Target(_predictions, _predictions_seeds, (ValueError,)),
    }


def _model(data: bytes, folder: Path) -> None:
    from classifiers import load_model

    path = folder / "model.npz"
    path.write_bytes(zipped(data, _model_members()))
    load_model(path)


@cache
def _model_members() -> dict[str, bytes]:
    from classifiers import LinearProbe

    rng = np.random.default_rng(0)
    probe = LinearProbe().fit(rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 2)
    with TemporaryDirectory() as name:
        folder = Path(name)
        probe.save(folder / "model.npz", label_names=("calm", "dread"))
        return members((folder / "model.npz").read_bytes())


def _models() -> list[bytes]:
    return one_replaced(_model_members(), whole=True)


def _checkpoint(data: bytes, folder: Path) -> None:
    from cnn._checkpoint import load

    path = folder / "checkpoint.npz"
    path.write_bytes(zipped(data, _checkpoint_members()))
    load(path, {"seed": 0})


@cache
def _checkpoint_members() -> dict[str, bytes]:
    from cnn._checkpoint import save

    with TemporaryDirectory() as name:
        folder = Path(name)
        arrays = [np.zeros((3, 4), np.float32), np.ones(5, np.int64)]
        save(folder / "checkpoint.npz", {"seed": 0}, {"epoch": 1}, arrays)
        return members((folder / "checkpoint.npz").read_bytes())


def _checkpoints() -> list[bytes]:
    return one_replaced(_checkpoint_members(), whole=True)


def _segment(data: bytes, folder: Path) -> None:
    from featurestore._place import LocalPlace
    from featurestore._segments import Segments

    (folder / "00000000.npz").write_bytes(zipped(data, _segment_members()))
    segments = Segments(LocalPlace(folder))
    outcomes = segments.read_outcomes(4)
    if len(rows := np.flatnonzero(outcomes.segment >= 0)):
        where = outcomes.where(rows)
        segments.read_rows("images", where)
        segments.read_rows("embeddings", where)


@cache
def _segment_members() -> dict[str, bytes]:
    from featurestore._decode import decode
    from featurestore._pipeline import Result
    from featurestore._place import LocalPlace
    from featurestore._segments import Segments

    image = decode(images()[0][1:], 64)
    with TemporaryDirectory() as name:
        folder = Path(name)
        segments = Segments(LocalPlace(folder))
        for index in range(3):
            row = np.full(8, index, np.float32)
            segments.add(Result(index, sha256="0" * 64, image=image, embedding=row))
        segments.add(Result(3, kind="not_found", detail="no such file"))
        segments.flush()
        return members((folder / "00000000.npz").read_bytes())


def _segments() -> list[bytes]:
    return one_replaced(_segment_members(), whole=True)


@cache
def _store_files() -> dict[str, bytes]:
    from dataclasses import replace

    from featurestore import ExtractSettings, extract, read_source

    sample = read_source("sample")
    sample = replace(sample, records=sample.records[::100])
    with TemporaryDirectory() as name:
        folder = Path(name)
        made = extract(sample, folder / "store", ExtractSettings(embed_size=32, engine="litert"))
        files = {
            p.relative_to(made.path).as_posix(): p for p in made.path.rglob("*") if p.is_file()
        }
        # Those that describe come first: only so many have a number.
        order = sorted(files, key=lambda key: (not key.endswith("zarr.json"), key))
        return {key: files[key].read_bytes() for key in order}


def _stores() -> list[bytes]:
    return one_replaced(_store_files())


def _store(data: bytes, folder: Path) -> None:
    from featurestore import FeatureStore, verify

    place, files = _store_folder(), _store_files()
    key = list(files)[data[0] % len(files)] if data else "zarr.json"
    try:
        (place / key).write_bytes(data[1:])
        verify(place)
        store = FeatureStore(place)
        store.read(key.removesuffix("/zarr.json").partition("/c/")[0] if "/" in key else "labels")
    finally:
        (place / key).write_bytes(files[key])


@cache
def _store_folder() -> Path:
    place = Path(mkdtemp())
    atexit.register(rmtree, place)
    write_all(place, _store_files())
    return place


def _predictions(data: bytes, folder: Path) -> None:
    from bench._predictions import read_predictions

    (folder / "predictions.parquet").write_bytes(data)
    read_predictions(folder / "predictions.parquet")


def _predictions_seeds() -> list[bytes]:
    from bench._predictions import Predictions, write_predictions

    with TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "predictions.parquet"
        found = Predictions(
            np.array(["dev", "test"]),
            np.array(["a.jpg", "b.jpg"]),
            np.arange(2),
            np.array([0, 1]),
            np.full((2, 2), 0.5, np.float32),
        )
        write_predictions(path, found, ["calm", "dread"])
        return [path.read_bytes()]
