"""Running models: failures are rows, earlier runs are kept, the same seed gives the same."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench._dataset import Dataset
from bench._models import MODELS, ModelEntry
from bench._results import ResultsFolder, RunResult
from bench._runner import RunOptions, run_models
from classifiers import LinearProbe, load_model
from featurestore import ExtractSettings, FeatureStore, extract, read_source

SVM, MLP, PROBE = MODELS["pca-svm"], MODELS["mlp"], MODELS["linear-probe"]
# Fewer labels than asked for are its end.
BROKEN = ModelEntry("broken", "Broken", __name__, "Broken", ("scikit-learn",))


class Broken(LinearProbe):
    """A model whose fit fails."""

    def _fit(self, data: object) -> None:
        raise TypeError("it is\nbroken")


def run(
    store: FeatureStore,
    folder: Path,
    *entries: ModelEntry,
    groups: dict[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> tuple[list[str], list[RunResult], list[str]]:
    """Return the names of those that failed, all rows of the folder, and what was said."""
    said: list[str] = []
    data = Dataset(store, groups or {})
    with ResultsFolder(folder, data) as results:
        failed = run_models(data, entries, RunOptions(**options), results, said.append)
        return failed, list(results.results.runs), said


def without_time(result: RunResult) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(result).items() if k != "fit_seconds"}


def test_a_result_says_what_was_measured(sample_store: FeatureStore, tmp_path: Path) -> None:
    failed, (result,), said = run(sample_store, tmp_path, SVM)
    assert failed == []
    assert (result.model, result.seed, result.status, result.reason) == ("pca-svm", 0, "ok", "")
    assert result.total == len(sample_store.rows("test")) == 16
    assert result.correct is not None
    assert result.test_accuracy == result.correct / 16
    assert result.train_accuracy is not None
    assert 0.125 < result.train_accuracy <= 1
    assert result.fit_seconds is not None
    assert result.fit_seconds > 0
    assert (result.variant, result.settings["kernel"]) == ("default", "rbf")
    assert result.settings["C"] == [10.0, 3.0, 30.0]
    assert result.versions.keys() == {"emotion-bench", "scikit-learn", "scipy", "numpy"}
    assert {"components", "C", "dev_accuracy"} == set(result.search[0])
    assert result.store_fingerprint == sample_store.fingerprint
    assert said[0] == "pca-svm: training on 128 images ..."
    assert said[1].startswith("pca-svm: ok (")


def test_a_model_that_fails_is_a_row_and_the_others_still_run(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    failed, (broken, svm), said = run(sample_store, tmp_path, BROKEN, SVM)
    assert failed == ["broken"]
    assert broken.status == "failed"
    assert broken.reason.startswith("TypeError: ")
    assert "\n" not in broken.reason
    assert (broken.test_accuracy, broken.correct, broken.total) == (None, None, None)
    assert svm.status == "ok"
    assert f"broken: {broken.reason}" in said


def test_a_failed_run_is_tried_again(sample_store: FeatureStore, tmp_path: Path) -> None:
    run(sample_store, tmp_path, BROKEN)
    failed, rows, said = run(sample_store, tmp_path, BROKEN)
    assert failed == ["broken"]
    assert len(rows) == 1
    assert said[0].startswith("broken: training")
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_was_run_before_is_kept(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, before, _ = run(sample_store, tmp_path, SVM)
    _, after, said = run(sample_store, tmp_path, SVM)
    assert said == ["pca-svm: kept from an earlier run"]
    assert after == before


@pytest.mark.parametrize("entry", [SVM, MLP], ids=lambda entry: entry.name)
def test_the_same_seed_gives_the_same_numbers(
    sample_store: FeatureStore, tmp_path: Path, entry: ModelEntry
) -> None:
    _, (first,), _ = run(sample_store, tmp_path, entry)
    shutil.rmtree(tmp_path / "runs")
    _, (second,), said = run(sample_store, tmp_path, entry)
    assert said[0].startswith(f"{entry.name}: training")
    assert without_time(second) == without_time(first)


def test_another_seed_is_another_row(sample_store: FeatureStore, tmp_path: Path) -> None:
    run(sample_store, tmp_path, SVM)
    _, rows, said = run(sample_store, tmp_path, SVM, seed=1)
    assert said[0].startswith("pca-svm: training")
    assert [row.seed for row in rows] == [0, 1]
    assert rows[0].fingerprint != rows[1].fingerprint
    assert rows[1].settings["random_state"] == 1


def test_another_version_of_a_library_is_run_anew_in_the_same_row(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    _, (before,), _ = run(sample_store, tmp_path, SVM)
    other = dataclasses.replace(SVM, libraries=("scikit-learn", "numpy", "scipy", "pillow"))
    _, (after,), said = run(sample_store, tmp_path, other)
    assert said[0].startswith("pca-svm: training")
    assert after.fingerprint != before.fingerprint


def test_a_run_file_cut_short_is_run_anew(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, (before,), _ = run(sample_store, tmp_path, SVM)
    (path,) = (tmp_path / "runs").glob("*.json")
    path.write_text(path.read_text()[:100])
    _, (after,), said = run(sample_store, tmp_path, SVM)
    assert said[0].startswith("pca-svm: training")
    assert without_time(after) == without_time(before)


def test_splits_that_are_empty_have_no_numbers(photo_folder: Path, tmp_path: Path) -> None:
    settings = ExtractSettings(embed_size=32, split="1/0/0")
    store = extract(read_source(str(photo_folder)), tmp_path / "s.zarr", settings)
    failed, (result,), _ = run(store, tmp_path / "results", SVM)
    assert failed == []
    assert result.train_accuracy is not None
    assert (result.dev_accuracy, result.test_accuracy) == (None, None)
    assert (result.correct, result.total) == (None, None)


def test_the_mlp_keeps_its_curves(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, (result,), _ = run(sample_store, tmp_path, MLP)
    measured = {"loss", "accuracy", "learning_rate", "dev_loss", "dev_accuracy"}
    assert set(result.history) == measured
    assert result.dev_accuracy == pytest.approx(max(result.history["dev_accuracy"]))


def test_a_seed_that_a_model_can_not_use_is_its_failure_in_one_line(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    failed, (result,), _ = run(sample_store, tmp_path, MLP, seed=-1)
    assert failed == ["mlp"]
    assert result.reason.startswith("ValueError: ")
    assert "\n" not in result.reason


def test_the_model_is_kept_and_knows_its_store(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, (result,), _ = run(sample_store, tmp_path, SVM)
    (path,) = (tmp_path / "runs").glob("pca-svm-default-seed0-*.npz")
    names = sample_store.label_names
    model = load_model(path, fingerprint=sample_store.fingerprint, label_names=names)
    test = Dataset(sample_store).splits()["test"]
    assert (model.predict(test.X) == test.y).sum() == result.correct


def test_presets_are_rows_of_their_own(sample_store: FeatureStore, tmp_path: Path) -> None:
    run(sample_store, tmp_path, SVM)
    _, rows, said = run(sample_store, tmp_path, SVM, preset="report")
    assert said[0].startswith("pca-svm: training")
    assert [row.variant for row in rows] == ["default", "report"]
    assert rows[1].settings["kernel"] == "linear"
    assert rows[0].fingerprint != rows[1].fingerprint


def test_soft_labels_are_learned_from_and_others_skipped(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    failed, (svm, probe), said = run(sample_store, tmp_path, SVM, PROBE, soft_labels=True)
    assert failed == []
    assert (svm.status, svm.reason) == ("skipped", "it can't learn from soft labels")
    assert said[0] == "pca-svm: skipped, it can't learn from soft labels"
    assert (probe.status, probe.variant) == ("ok", "default+soft-labels")
    assert probe.settings["soft_labels"] is True


def test_class_weights_reach_the_model(sample_store: FeatureStore, tmp_path: Path) -> None:
    failed, (svm, probe), _ = run(sample_store, tmp_path, SVM, PROBE, class_weight="balanced")
    assert failed == []
    assert (svm.status, svm.reason) == ("skipped", "it takes no class weights")
    assert (probe.variant, probe.settings["class_weight"]) == ("default+balanced", "balanced")


def test_groups_are_what_models_tell_apart(sample_store: FeatureStore, tmp_path: Path) -> None:
    groups = {"good": ("awe", "amusement"), "bad": ("fear",)}
    _, (result,), said = run(sample_store, tmp_path, SVM, groups=groups)
    rows = sample_store.rows("train")
    kept = np.isin(sample_store.labels[rows], (0, 2, 6)).sum()
    assert said[0] == f"pca-svm: training on {kept} images ..."
    assert result.settings["groups"] == {"good": ["awe", "amusement"], "bad": ["fear"]}
    (path,) = (tmp_path / "runs").glob("*.npz")
    assert load_model(path, label_names=("good", "bad")).classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "asked", "synthetic", "expected"),
    [
        ("mlp", None, True, "default"),
        ("mlp", "quick", True, "default"),
        ("mlp", "report", True, "report"),
        ("resnet", None, True, "quick"),
        ("resnet", None, False, "default"),
        ("resnet", "quick", False, "quick"),
        ("finetuned", "report", True, "report"),
    ],
)
def test_networks_on_drawn_images_are_quick_unless_told(
    name: str, asked: str | None, synthetic: bool, expected: str
) -> None:
    preset = MODELS[name].preset_for(asked, synthetic)
    assert preset == expected
    assert MODELS[name].build(0, preset).random_state == 0
