"""Presets: written by name, checked when they are read, and run for their model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from bench._errors import BenchError
from bench._presets import Preset, check_name, find_preset, save_preset
from bench._results import read_results
from featurestore import FeatureStore

Bench = Callable[..., Result]
SETTINGS = {"C": 0.01, "grid": []}


def preset(**changed: Any) -> Preset:
    fields: dict[str, Any] = {"model": "linear-probe", "settings": SETTINGS, "dev_accuracy": 0.5}
    return Preset(**(fields | {"store_fingerprint": "s", "trials": 3} | changed))


def test_a_preset_is_found_by_name_and_by_file(tmp_path: Path) -> None:
    path = save_preset(tmp_path, "mine", preset())
    assert path == tmp_path / "presets" / "mine.json"
    assert json.loads(path.read_text()) == {
        **{"model": "linear-probe", "settings": SETTINGS, "dev_accuracy": 0.5},
        **{"store_fingerprint": "s", "trials": 3},
    }
    assert find_preset(tmp_path, "mine") == ("mine", preset())
    assert find_preset(tmp_path / "elsewhere", str(path)) == ("mine", preset())
    save_preset(tmp_path, "mine", preset(trials=4))
    assert find_preset(tmp_path, "mine")[1].trials == 4


@pytest.mark.parametrize("name", ["default", "report", "quick"])
def test_presets_that_models_come_with_are_not_replaced(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match="comes with the models; give another name"):
        save_preset(tmp_path, name, preset())
    (tmp_path / f"{name}.json").write_text(preset().model_dump_json())
    with pytest.raises(BenchError, match="comes with the models"):
        find_preset(tmp_path, str(tmp_path / f"{name}.json"))


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a+b", ".a", "a b", "x" * 65])
def test_a_name_that_can_be_none_is_refused(name: str) -> None:
    with pytest.raises(BenchError, match="can't be a preset's name"):
        check_name(name)


@pytest.mark.parametrize("asked", ["mine", "a/b", "../mine"])
def test_an_unknown_preset_is_told_with_those_that_there_are(tmp_path: Path, asked: str) -> None:
    save_preset(tmp_path, "yours", preset())
    with pytest.raises(BenchError, match="there are default, report, quick, yours"):
        find_preset(tmp_path, asked)
    with pytest.raises(BenchError, match=r"nowhere\.json: there is no such preset"):
        find_preset(tmp_path, str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": "vgg"}, "is a preset of 'vgg', which is no model"),
        ({"settings": {"depth": 3}}, "linear-probe has no setting 'depth'"),
        ({"settings": {"random_state": 3}}, "linear-probe has no setting 'random_state'"),
        ({"dev_accuracy": 2}, "dev_accuracy: Input should be less than or equal to 1"),
        ({"dev_accuracy": None}, "dev_accuracy: Input should be a valid number"),
        ({"trials": "many"}, "trials: Input should be a valid integer"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"settings": None}, "settings: Input should be an object"),
    ],
)
def test_a_file_that_is_no_preset_is_one_line(
    tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(preset().model_dump() | change))
    with pytest.raises(BenchError) as caught:
        find_preset(tmp_path, str(path))
    assert str(caught.value).startswith(f"{path}: is ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_file_that_is_no_json_object_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(BenchError, match="is no preset: it: "):
        find_preset(tmp_path, str(tmp_path / "mine.json"))


@pytest.mark.slow
def test_a_run_has_the_presets_settings_and_its_name(
    bench: Bench, sample_store: FeatureStore
) -> None:
    save_preset(Path("results"), "mine", preset())
    where = ("--store", sample_store.path)
    ran = bench("run", "linear-probe", "pca-svm", *where, "--preset", "mine")
    assert ran.exit_code == 0, ran.output
    probe, svm = sorted(read_results(Path("results")).runs, key=lambda run: run.model)
    assert (probe.variant, probe.settings["C"], probe.settings["grid"]) == ("mine", 0.01, [])
    assert probe.search[0]["C"] == 0.01
    assert svm.variant == "default"  # what the preset isn't for keeps its own
    assert "The preset mine was found on another store" in ran.stdout
    assert (
        "kept from an earlier run"
        in bench("run", "linear-probe", *where, "--preset", "mine").stdout
    )
    save_preset(Path("results"), "mine", preset(settings={"C": 0.1, "grid": []}))
    again = bench("run", "linear-probe", *where, "--preset", "mine")
    assert "other settings or versions than before (C 0.01 -> 0.1)" in again.stdout
    by_file = bench("run", "linear-probe", *where, "--preset", "results/presets/mine.json")
    assert "kept from an earlier run" in by_file.stdout
    save_preset(Path("results"), "mine", preset(store_fingerprint=sample_store.fingerprint))
    at_home = bench("run", "linear-probe", *where, "--preset", "mine")
    assert "another store" not in at_home.stdout


def test_a_preset_of_a_model_that_is_not_run_is_one_line(
    bench: Bench, sample_store: FeatureStore
) -> None:
    save_preset(Path("results"), "mine", preset())
    refused = bench("run", "mlp", "--store", sample_store.path, "--preset", "mine")
    assert refused.exit_code == 1
    assert refused.stderr == "Error: the preset mine is one of linear-probe; run that\n"
    unknown = bench("run", "mlp", "--store", sample_store.path, "--preset", "fast")
    assert unknown.stderr.startswith("Error: no preset is called 'fast'; there are default, ")
    assert unknown.stderr.count("\n") == 1
