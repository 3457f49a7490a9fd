"""``bench predict``: what it prints where, and how it ends."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featurestore import FeatureStore

Bench = Callable[..., Result]


def test_images_are_told_in_a_line_each(bench: Bench, album: Path, album_results: Path) -> None:
    files = sorted(album.glob("joy/*.jpg"))[:2]
    found = bench("predict", *files, "--results", album_results, "--top", 2)
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert len(lines) == 2
    for line, file in zip(lines, files, strict=True):
        assert line.startswith(f"{file}: ")
        assert line.count(" %") == 2
    assert found.stderr.startswith("model: ")
    assert "% on dev" in found.stderr


def test_a_folder_as_csv_and_as_json(
    bench: Bench, album: Path, album_results: Path, album_store: FeatureStore
) -> None:
    options = ("--results", album_results, "--model", "pca-svm")
    table = bench("predict", album, *options, "--csv")
    assert table.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    objects = [
        json.loads(line) for line in bench("predict", album, *options, "--json").stdout.splitlines()
    ]
    assert len(rows) == len(objects) == 36
    for row, found in zip(rows, objects, strict=True):
        assert (row["image"], row["label"]) == (found["image"], found["label"])
        assert next(iter(found["probabilities"])) == found["label"]
        assert {name: float(row[f"p_{name}"]) for name in album_store.label_names} == found[
            "probabilities"
        ]
    short = bench("predict", album / "joy" / "00.jpg", *options, "--json", "--top", 1)
    assert len(json.loads(short.stdout)["probabilities"]) == 1


def test_a_bad_file_is_a_line_and_the_others_are_answered(
    bench: Bench, album: Path, album_results: Path
) -> None:
    Path("page.jpg").write_text("<html>")
    good = album / "joy" / "00.jpg"
    found = bench("predict", "page.jpg", good, "none.jpg", "--results", album_results)
    assert found.exit_code == 1
    assert found.stdout.startswith(f"{good}: ")
    assert found.stdout.count("\n") == 1
    assert found.stderr.splitlines()[1:] == [
        "page.jpg: not_image: no known image format (6 bytes)",
        "none.jpg: not_found: no such file: none.jpg",
        "Error: 2 of 3 images could not be read",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.jpg",), "results: holds no results"),
        (("x.jpg", "--results", "RESULTS", "--model", "vgg"), "--model vgg: "),
        (("empty", "--results", "RESULTS"), "empty: no files in it"),
    ],
)
def test_what_can_not_be_is_one_line(
    bench: Bench, album_results: Path, arguments: tuple[str, ...], said: str
) -> None:
    Path("empty").mkdir()
    found = bench("predict", *(str(album_results) if a == "RESULTS" else a for a in arguments))
    assert found.exit_code == 1
    assert found.stdout == ""
    assert found.stderr.splitlines()[-1].startswith("Error: ")
    assert said in found.stderr


def test_wrong_usage(bench: Bench) -> None:
    assert bench("predict").exit_code == 2
    found = bench("predict", "x.jpg", "--csv", "--top", 2)
    assert found.exit_code == 2
    assert "leave --top out" in found.stderr


def test_a_damaged_model_is_one_line(bench: Bench, album: Path, album_results: Path) -> None:
    shutil.copytree(album_results, "damaged")
    for path in Path("damaged/runs").glob("*/model.npz"):
        path.write_bytes(path.read_bytes()[:100])
    found = bench("predict", album / "joy" / "00.jpg", "--results", "damaged")
    assert found.exit_code == 1
    assert found.stderr.count("\n") == 1
    assert "holds no model that can be read" in found.stderr


def test_a_model_of_embeddings_needs_no_library_for_learning(
    album: Path, album_results: Path
) -> None:
    for model in ("mlp", "pca-svm", "linear-probe"):
        arguments = ["predict", str(album / "joy" / "00.jpg"), "--results", str(album_results)]
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "bench", *arguments, "--model", model],
            capture_output=True,
            text=True,
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
        assert {"numpy", "classifiers._inference", "featurestore._engines"} <= loaded
        heavy = {"tensorflow", "keras", "sklearn", "scipy", "lightgbm", "pandas", "zarr"}
        assert not loaded & {*heavy, "matplotlib", "statsmodels", "pyarrow"}
