"""Two folders of results beside each other: what changed, and what it may come from."""

from pathlib import Path
from typing import Any

import numpy as np
from results_examples import result

from bench._compare import show_comparison
from bench._comparison import compare_all
from bench._dataset import Dataset
from bench._predictions import Predictions
from bench._records import Machine, Results, RunResult
from bench._results import ResultsFolder, read_results
from bench._statistics import score
from featurestore import FeatureStore


def commit(
    store: FeatureStore,
    folder: Path,
    runs: list[tuple[RunResult, int]],
    **changed: Any,
) -> Results:
    """Write runs, of which each tells so many of the store's test images right."""
    about = Dataset(store).describe().model_copy(update=changed)
    rows = store.rows("test")
    labels = store.labels[rows]
    with ResultsFolder(folder, about) as results:
        for run, right in runs:
            guesses = np.where(np.arange(len(rows)) < right, labels, (labels + 1) % 8)
            probabilities = np.eye(8, dtype=np.float32)[guesses]
            ids = Dataset(store).image_ids[rows]
            split = np.full(len(rows), "test")
            predictions = Predictions(split, ids, rows, labels, probabilities)
            results.begin(run)
            scored = run.model_copy(update={"test": score(labels, probabilities)})
            results.commit(scored, predictions, list(store.label_names))
    return read_results(folder)


def line_of(text: str, start: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(start))
    return line


def test_all_pairs_of_models_are_compared(sample_store: FeatureStore, tmp_path: Path) -> None:
    runs = [(result("mlp"), 4), (result("pca-svm"), 12), (result("resnet"), 12)]
    found = compare_all(tmp_path, commit(sample_store, tmp_path, runs))
    assert [(p.a.model, p.b.model) for p in found.pairs] == [
        ("mlp", "pca-svm"),
        ("mlp", "resnet"),
        ("pca-svm", "resnet"),
    ]
    first, _, last = found.pairs
    assert first.difference.mean == -0.5
    assert (first.difference.only_a, first.difference.only_b) == (0, 8)
    assert first.difference.p == 2 / 2**8
    assert first.corrected_p == 3 * first.difference.p
    assert (first.agreement, last.agreement, last.kappa) == (0.5, 1, 1)
    assert 0 < first.kappa < 0.5


def test_runs_without_predictions_are_left_out(sample_store: FeatureStore, tmp_path: Path) -> None:
    runs = [(result("mlp"), 4), (result("mlp", 1), 4), (result("pca-svm"), 12)]
    results = commit(sample_store, tmp_path, runs)
    for path in (tmp_path / "runs").glob("mlp-default-seed0-*/predictions.parquet"):
        path.unlink()
    found = compare_all(tmp_path, results)
    assert [[run.seed for run in tested.runs] for tested in found.tested] == [[1], [0]]
    for path in (tmp_path / "runs").glob("mlp-*/predictions.parquet"):
        path.unlink()
    assert compare_all(tmp_path, results).pairs == []


def test_settings_versions_and_seeds_that_differ_are_told(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    before = result(settings={"dropout": 0.5, "random_state": 0}, versions={"numpy": "2.3"})
    after = result(settings={"dropout": 0.3, "random_state": 1}, versions={"numpy": "2.4"}, seed=1)
    commit(sample_store, tmp_path / "a", [(before, 4)])
    commit(sample_store, tmp_path / "b", [(after, 10)])
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert "data: the same store" in text
    line = line_of(text, "3-layer MLP")
    assert "25.0" in line
    assert "62.5" in line
    assert "+37.5 (" in line
    assert line.endswith("dropout 0.5 -> 0.3; numpy 2.3 -> 2.4; seeds 0 -> 1")
    assert " 0.031 " in line  # McNemar: 6 to 0


def test_the_same_images_embedded_otherwise_are_still_compared_image_by_image(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    commit(sample_store, tmp_path / "a", [(result(), 4)])
    embedding = Dataset(sample_store).describe().embedding | {"embed_size": 160}
    commit(
        sample_store,
        tmp_path / "b",
        [(result(fingerprint="f"), 10)],
        fingerprint="other",
        embedding=embedding,
    )
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert "data: other stores" in text
    assert "embedding: embed_size 32 -> 160" in text
    assert " 0.031 " in line_of(text, "3-layer MLP")


def test_other_images_are_compared_by_their_counts(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    results = [
        commit(sample_store, tmp_path / name, [(result(), right)])
        for name, right in (("a", 4), ("b", 10))
    ]
    for path in (tmp_path / "b" / "runs").glob("*/predictions.parquet"):
        path.unlink()
    assert len(results[1].runs) == 1
    line = line_of(show_comparison(tmp_path / "a", tmp_path / "b"), "3-layer MLP")
    assert "+37.5 (" in line
    assert "0.031" not in line


def test_other_labels_are_not_compared(sample_store: FeatureStore, tmp_path: Path) -> None:
    commit(sample_store, tmp_path / "a", [(result(), 4)])
    commit(sample_store, tmp_path / "b", [(result(), 4)], label_names=list("abcdefgh"))
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert "accuracies are not comparable" in text
    assert "(" not in line_of(text, "3-layer MLP")


def test_other_numbers_from_the_same_settings_are_pointed_out(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    commit(sample_store, tmp_path / "a", [(result(code="x"), 4)])
    commit(sample_store, tmp_path / "b", [(result(code="x"), 5)])
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert "code: the same" in text
    assert "nothing that is recorded, yet other numbers at seeds 0" in line_of(text, "3-layer MLP")


def test_other_code_and_another_machine_are_told(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    here = Machine(system="Linux x86_64", python="3.13.1", cpus=2, gpu=False)
    there = here.model_copy(update={"cpus": 4})
    commit(sample_store, tmp_path / "a", [(result(code="x", machine=here), 4)])
    commit(sample_store, tmp_path / "b", [(result(code="y", machine=there), 5)])
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert "code: runs are of different source code" in text
    assert line_of(text, "3-layer MLP").endswith("  source code; cpus 2 -> 4")


def test_runs_are_compared_seed_by_seed(sample_store: FeatureStore, tmp_path: Path) -> None:
    old, new = {"numpy": "2.3"}, {"numpy": "2.4"}
    before = [(result(seed=seed, versions=old), 4) for seed in (0, 1)]
    after = [(result(seed=0, versions=old), 4), (result(seed=1, versions=new), 5)]
    commit(sample_store, tmp_path / "a", before)
    commit(sample_store, tmp_path / "b", after)
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert line_of(text, "3-layer MLP").endswith("  numpy 2.3 -> 2.4 (seed 1)")


def test_other_groups_of_the_same_names_are_not_compared(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    names = list(sample_store.label_names)
    groups = {"good": ["awe", "fear"]}
    for place, changed in (
        ("a", groups),
        ("b", {"good": ["fear", "awe"]}),
        ("c", {"good": ["awe", "anger"]}),
    ):
        commit(sample_store, tmp_path / place, [(result(), 4)], label_names=names, groups=changed)
    text = show_comparison(tmp_path / "a", tmp_path / "c")
    assert "  groups differ: accuracies are not comparable" in text.splitlines()
    assert "(" not in line_of(text, "3-layer MLP")
    same = show_comparison(tmp_path / "a", tmp_path / "b")
    assert "not comparable" not in same
    assert "(" in line_of(same, "3-layer MLP")


def test_models_of_only_one_folder_are_listed(sample_store: FeatureStore, tmp_path: Path) -> None:
    commit(sample_store, tmp_path / "a", [(result(), 4)])
    commit(sample_store, tmp_path / "b", [(result("resnet", variant="quick"), 4)])
    text = show_comparison(tmp_path / "a", tmp_path / "b")
    assert text.endswith("only in A: 3-layer MLP, default\nonly in B: ResNet-18, quick")
