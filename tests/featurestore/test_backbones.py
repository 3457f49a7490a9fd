"""Backbones: which there are, and that the shipped weights are the ones they say."""

import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from featurestore import BACKBONES
from featurestore._backbones import DEFAULT_BACKBONE, find_weights, get_backbone, hash_file
from featurestore.errors import BackboneError

MOBILENET_SHA256 = "a1f988de46a68ce3a8ca10b4e0896216979f367f308e6e26a6b28cb558701927"


def test_shipped_weights_are_the_published_ones() -> None:
    weights = find_weights(get_backbone(DEFAULT_BACKBONE))
    assert hash_file(weights) == MOBILENET_SHA256


def test_names_are_keys() -> None:
    assert all(backbone.name == name for name, backbone in BACKBONES.items())
    assert {"mobilenet", "densenet121", "convnext_base"} <= BACKBONES.keys()


def test_an_unknown_backbone_is_one_line_that_names_the_known() -> None:
    with pytest.raises(BackboneError, match=r"'vgg'; there are mobilenet, densenet121") as error:
        get_backbone("vgg")
    assert "\n" not in str(error.value)


def test_given_weights_are_taken_as_they_are(tmp_path: Path) -> None:
    given = tmp_path / "mine.weights.h5"
    given.touch()
    assert find_weights(get_backbone("mobilenet"), given) == given
    assert find_weights(get_backbone("densenet121"), given) == given


@pytest.mark.parametrize("name", ["nowhere.weights.h5", "."])
def test_weights_that_are_not_there_are_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackboneError, match="no such weights file") as error:
        find_weights(get_backbone("mobilenet"), tmp_path / name)
    assert "\n" not in str(error.value)


def test_two_processes_may_download_the_same_weights(tmp_path: Path) -> None:
    # Each holds its HDF5 file open until the other has begun, too.
    code = """
import os, sys, time
from pathlib import Path
import h5py
from featurestore import _backbones

here = Path(sys.argv[1])

class Network:
    def save_weights(self, path):
        with h5py.File(path, "w") as file:
            file["layer"] = [1.0] * 1000
            (here / f"begun {os.getpid()}").touch()
            until = time.monotonic() + 10
            while len(list(here.glob("begun *"))) < 2 and time.monotonic() < until:
                time.sleep(0.01)

_backbones._network = lambda *_: Network()
_backbones.cache_folder = lambda: here / "cache"
print(_backbones.find_weights(_backbones.get_backbone("densenet121")).name)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    name = "densenet121_imagenet_notop.weights.h5"
    assert [run.communicate(timeout=60)[0] for run in runs] == [f"{name}\n"] * 2
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [name]
    with h5py.File(tmp_path / "cache" / name) as file:
        assert len(file["layer"]) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BACKBONES])
def test_embedding_length_is_as_stated(name: str) -> None:
    from featurestore._backbones import _network

    assert _network(BACKBONES[name], 32).output_shape == (None, BACKBONES[name].dims)
