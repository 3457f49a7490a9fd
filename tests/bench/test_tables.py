"""Results as tables: what they say, and to whom."""

import csv
import io

import numpy as np
import pytest
from results_examples import result, scores

from bench._baselines import BASELINES
from bench._comparison import Pair
from bench._dataset import Dataset
from bench._records import SYNTHETIC, Results, RunResult
from bench._statistics import paired, summarise
from bench._tables import (
    CSV_COLUMNS,
    HEADER,
    interval,
    rows_of,
    seeds_text,
    show_csv,
    show_latex,
    show_markdown,
    show_results,
    title_of,
)
from featurestore import FeatureStore


def results(store: FeatureStore, *runs: RunResult, **changed: object) -> Results:
    about = Dataset(store).describe().model_copy(update=changed)
    return Results(store=about, runs=list(runs))


def row_of(found: Results, system: str) -> dict[str, str]:
    (row,) = (r for r in rows_of(found) if r[0] == system)
    return dict(zip(HEADER, row, strict=True))


def test_runs_stand_beside_chance_and_published_results(sample_store: FeatureStore) -> None:
    found = results(sample_store, result("mlp", seed=3))
    assert row_of(found, "chance")["test %"] == "12.5"
    majority = row_of(found, "always amusement")
    assert (majority["test %"], majority["95 % interval"]) == ("12.5", interval(2, 16))
    row = row_of(found, "3-layer MLP")
    assert (row["preset"], row["seeds"]) == ("default", "3")
    assert (row["train %"], row["dev %"], row["test %"]) == ("90.0", "50.0", "25.0")
    assert row["95 % interval"] == interval(4, 16)
    assert (row["fit s"], row["note"]) == ("1.5", "")
    text = show_results(found)
    assert all(baseline.title in text for baseline in BASELINES)


def test_seeds_are_one_row_with_mean_and_standard_deviation(sample_store: FeatureStore) -> None:
    runs = [result(seed=seed, test=scores(correct)) for seed, correct in ((0, 4), (1, 6), (2, 8))]
    row = row_of(results(sample_store, *runs), "3-layer MLP")
    assert (row["seeds"], row["test %"]) == ("0..2", "37.5 ± 12.5")
    assert row["train %"] == "90.0 ± 0.0"
    assert row["95 % interval"] == interval(6, 16)
    assert row["fit s"] == "1.5"


@pytest.mark.parametrize(
    ("seeds", "text"), [((0,), "0"), ((0, 1), "0..1"), ((3, 4, 5), "3..5"), ((0, 2), "0, 2")]
)
def test_seeds_as_text(seeds: tuple[int, ...], text: str) -> None:
    assert seeds_text(tuple(result(seed=seed) for seed in seeds)) == text


@pytest.mark.parametrize(
    ("depths", "title"),
    [((), "ResNet-18"), ((18,), "ResNet-18"), ((50, 50), "ResNet-50"), ((18, 50), "ResNet")],
)
def test_a_resnet_is_called_by_its_depth(
    sample_store: FeatureStore, depths: tuple[int, ...], title: str
) -> None:
    assert title_of("resnet", [{"depth": depth} for depth in depths]) == title
    runs = [result("resnet", seed, settings={"depth": d}) for seed, d in enumerate(depths)]
    if runs:
        assert row_of(results(sample_store, *runs), title)["seeds"] == seeds_text(tuple(runs))
    assert title_of("mlp", [{"depth": 3}]) == "3-layer MLP"


def test_the_table_says_why_a_model_failed(sample_store: FeatureStore) -> None:
    nothing = {"train_accuracy": None, "dev": None, "test": None, "fit_seconds": None}
    failed = result(status="failed", reason="ValueError: too few", **nothing)
    row = row_of(results(sample_store, failed), "3-layer MLP")
    assert row["note"] == "ValueError: too few"
    assert (row["train %"], row["test %"], row["macro-F1"]) == ("", "", "")
    other = result(seed=1)
    row = row_of(results(sample_store, failed, other), "3-layer MLP")
    assert row["note"] == "1 of 2 seeds failed: ValueError: too few"
    assert (row["seeds"], row["test %"]) == ("1", "25.0")


def test_synthetic_images_are_called_so_where_they_are(sample_store: FeatureStore) -> None:
    assert SYNTHETIC in show_results(results(sample_store))
    assert SYNTHETIC in show_latex(results(sample_store))
    assert "synthetic images" not in show_results(results(sample_store, synthetic=False))


def test_published_results_are_called_comparable_only_on_fi(sample_store: FeatureStore) -> None:
    elsewhere = show_results(results(sample_store, result()))
    assert elsewhere.count("not comparable: measured on FI") == len(BASELINES)
    assert "minus a published" not in elsewhere
    on_fi = show_results(results(sample_store, result(), is_fi=True))
    assert "not comparable" not in on_fi
    assert on_fi.count("FI; other images and splits") == len(BASELINES)
    # 4 of 16 against 2034 of 3490.
    assert "minus a published" in on_fi
    assert "-33.3 (-48.2 .. -8.7)" in on_fi.splitlines()[-1]


def test_grouped_results_are_compared_with_nothing_published(sample_store: FeatureStore) -> None:
    grouped = Dataset(sample_store, {"good": ("awe",), "bad": ("fear", "anger")}).describe()
    about = grouped.model_copy(update={"is_fi": True})
    text = show_results(Results(store=about, runs=[result()]))
    assert "good: awe\nbad: fear, anger\n" in text
    assert text.count("not comparable: eight labels of FI") == len(BASELINES)
    assert "minus a published" not in text


def test_variants_stand_side_by_side(sample_store: FeatureStore) -> None:
    found = results(sample_store, result(), result(variant="report"))
    presets = [row[1] for row in rows_of(found) if row[0] == "3-layer MLP"]
    assert presets == ["default", "report"]


@pytest.mark.parametrize(
    ("correct", "total", "text"),
    [(0, 10, "0.0 .. 27.8"), (10, 10, "72.2 .. 100.0"), (50, 100, "40.4 .. 59.6")],
)
def test_intervals_are_wilsons(correct: int, total: int, text: str) -> None:
    assert interval(correct, total) == text


@pytest.mark.parametrize(("correct", "total"), [(None, None), (0, 0)])
def test_nothing_counted_has_no_interval(correct: int | None, total: int | None) -> None:
    assert interval(correct, total) == ""


def test_csv_has_a_line_for_each_run(sample_store: FeatureStore) -> None:
    failed = result("pca-svm", status="failed", reason='says "no",\nreally', test=None)
    text = show_csv(results(sample_store, result("mlp"), failed))
    first, second = csv.DictReader(io.StringIO(text))
    assert tuple(first) == CSV_COLUMNS
    assert (first["test_accuracy"], first["test_correct"], first["dev_total"]) == (
        "0.25",
        "4",
        "16",
    )
    assert (first["status"], second["status"]) == ("ok", "failed")
    assert (second["reason"], second["test_correct"]) == ('says "no",\nreally', "")


def test_latex_can_be_set(sample_store: FeatureStore) -> None:
    runs = [result(seed=seed, variant="default+soft_labels") for seed in (0, 1)]
    text = show_latex(results(sample_store, *runs))
    assert "\\toprule" in text
    assert "\\end{tabular}" in text
    assert "default+soft\\_labels" in text
    assert "25.0 $\\pm$ 0.0" in text
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert all("%" not in line.replace("\\%", "") for line in body)
    assert all(line.isascii() for line in body)


def test_markdown_has_all_pairs(sample_store: FeatureStore) -> None:
    runs = [result("mlp"), result("pca-svm", test=scores(12))]
    a, b = summarise(runs)
    hits = [np.arange(16)[None] < n for n in (4, 12)]
    pair = Pair(a, b, paired(*hits), 0.0156, 0.5, 0.4)
    lines = show_markdown(results(sample_store, *runs), [pair]).splitlines()
    cells = [cell.strip() for cell in lines[-1].split("|")]
    assert cells[1:3] == ["3-layer MLP, default", "PCA + SVM, default"]
    assert cells[3].startswith("-50.0 (")
    assert cells[4:9] == ["0", "8", "0.008", "0.016", "50.0", "0.40"][:5]
    assert show_markdown(results(sample_store), []).endswith("|\n")
