"""The results folder: complete at any moment, of one store, readable by people and programs."""

import csv
import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench._baselines import BASELINES
from bench._dataset import Dataset
from bench._errors import BenchError
from bench._results import CSV_COLUMNS, Results, ResultsFolder, RunResult
from bench._show import SYNTHETIC, interval, show_results
from featurestore import ExtractSettings, FeatureStore, extract, read_source


def result(model: str = "mlp", seed: int = 0, **changed: object) -> RunResult:
    fields: dict[str, object] = {
        **{"model": model, "variant": "default", "seed": seed, "status": "ok", "reason": ""},
        **{"train_accuracy": 0.9, "dev_accuracy": 0.5, "test_accuracy": 0.25},
        **{"correct": 4, "total": 16, "fit_seconds": 1.5, "settings": {}, "versions": {}},
        **{"store_fingerprint": "s", "fingerprint": f"{model}{seed}", "history": {}},
    }
    return RunResult(**(fields | changed))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, str]]:
    with (path / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_and_json_hold_the_same_runs(sample_store: FeatureStore, tmp_path: Path) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        folder.add(result("mlp"))
        folder.add(result("pca-svm", status="failed", reason='says "no",\nreally', correct=None))
    table = rows(tmp_path)
    assert tuple(table[0]) == CSV_COLUMNS
    assert [row["model"] for row in table] == ["mlp", "pca-svm"]
    assert (table[0]["test_accuracy"], table[0]["correct"]) == ("0.25", "4")
    assert (table[1]["reason"], table[1]["correct"]) == ('says "no",\nreally', "")
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["format_version"] == 2
    assert content["store"]["fingerprint"] == sample_store.fingerprint
    assert [run["model"] for run in content["runs"]] == ["mlp", "pca-svm"]


def test_a_run_replaces_the_earlier_one_of_its_model_and_seed(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        folder.add(result("mlp", 0))
        folder.add(result("mlp", 1))
        folder.add(result("mlp", 0, correct=9))
    assert [(row["seed"], row["correct"]) for row in rows(tmp_path)] == [("1", "4"), ("0", "9")]


def test_runs_are_there_when_the_folder_is_opened_again(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        folder.add(result("mlp", history={"loss": [1.0, 0.5]}))
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        assert folder.results.runs == [result("mlp", history={"loss": [1.0, 0.5]})]
        about = dataclasses.asdict(result("mlp", 0))
        assert folder.find(about) == folder.results.runs[0]
        assert folder.find(about | {"fingerprint": "other"}) is None
        assert folder.find(about | {"seed": 1}) is None


def test_tables_are_replaced_whole(sample_store: FeatureStore, tmp_path: Path) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        folder.add(result("mlp"))
        readers = [path.open(encoding="utf-8") for path in folder.written()]
        before = [path.read_text(encoding="utf-8") for path in folder.written()]
        folder.add(result("pca-svm"))
        for reader, old, path in zip(readers, before, folder.written(), strict=True):
            with reader:
                assert reader.read() == old
            assert path.read_text(encoding="utf-8") != old
    assert not list(tmp_path.rglob("*.partial"))


def test_results_on_another_store_are_refused_and_untouched(
    sample_store: FeatureStore, photo_folder: Path, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path / "results", Dataset(sample_store)) as folder:
        folder.add(result("mlp"))
        before = {path: path.read_bytes() for path in folder.written()}
    settings = ExtractSettings(embed_size=32)
    other = extract(read_source(str(photo_folder)), tmp_path / "other.zarr", settings)
    with (
        pytest.raises(BenchError, match=r"another store \(synthetic sample.*give another") as error,
        ResultsFolder(tmp_path / "results", Dataset(other)),
    ):
        pass
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"runs": [{"model": "mlp"}]}'])
def test_damaged_results_are_one_line_and_untouched(
    sample_store: FeatureStore, tmp_path: Path, content: str
) -> None:
    (tmp_path / "results.json").write_text(content)
    for _ in range(2):  # the second time shows that the first let go of the lock
        with (
            pytest.raises(BenchError, match=r"results\.json: can't be read"),
            ResultsFolder(tmp_path, Dataset(sample_store)),
        ):
            pass
    assert (tmp_path / "results.json").read_text() == content


def test_a_second_writer_is_refused(sample_store: FeatureStore, tmp_path: Path) -> None:
    with (
        ResultsFolder(tmp_path, Dataset(sample_store)),
        pytest.raises(BenchError, match="another `bench run` is writing"),
        ResultsFolder(tmp_path, Dataset(sample_store)),
    ):
        pass
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        assert folder.results.runs == []


def test_the_store_is_described_with_its_majority(sample_store: FeatureStore) -> None:
    said = Dataset(sample_store).describe()
    assert said["rows"] == {"train": 128, "dev": 16, "test": 16}
    assert said["majority"]["train"] == 0.125
    assert (said["majority"]["correct"], said["majority"]["total"]) == (2, 16)
    assert said["synthetic"] is True


def table(sample_store: FeatureStore, *runs: RunResult, **changed: object) -> str:
    return show_results(Results(Dataset(sample_store).describe() | changed, list(runs)))


def test_the_table_shows_runs_beside_chance_and_published_results(
    sample_store: FeatureStore,
) -> None:
    lines = table(sample_store, result("mlp", seed=3)).splitlines()
    (chance,) = (line for line in lines if line.startswith("chance"))
    assert chance.split()[1:] == ["12.5"] * 3
    (ours,) = (line for line in lines if line.startswith("3-layer MLP"))
    assert ours.split()[2:] == [
        "default",
        "3",
        "90.0",
        "50.0",
        "25.0",
        *interval(4, 16).split(),
        "16",
    ]
    assert sum(baseline.title in line for line in lines for baseline in BASELINES) >= len(BASELINES)


def test_the_table_says_why_a_model_failed(sample_store: FeatureStore) -> None:
    failed = result(
        status="failed",
        reason="ValueError: too few",
        **dict.fromkeys(
            ("train_accuracy", "dev_accuracy", "test_accuracy", "correct", "total", "fit_seconds")
        ),
    )
    (line,) = (x for x in table(sample_store, failed).splitlines() if x.startswith("3-layer MLP"))
    assert line.split()[4:] == ["ValueError:", "too", "few"]


def test_the_table_says_that_images_are_synthetic_where_they_are(
    sample_store: FeatureStore,
) -> None:
    assert SYNTHETIC in table(sample_store)
    assert "synthetic images" not in table(sample_store, synthetic=False)


def test_published_results_are_called_comparable_only_on_fi(sample_store: FeatureStore) -> None:
    assert table(sample_store).count("not comparable: measured on FI") == len(BASELINES)
    on_fi = table(sample_store, is_fi=True)
    assert "not comparable" not in on_fi
    assert on_fi.count("FI; other images and splits") == len(BASELINES)


@pytest.mark.parametrize(
    ("correct", "total", "text"),
    [(0, 10, "0.0 .. 27.8"), (10, 10, "72.2 .. 100.0"), (50, 100, "40.4 .. 59.6")],
)
def test_intervals_are_wilsons(correct: int, total: int, text: str) -> None:
    assert interval(correct, total) == text


@pytest.mark.parametrize(("correct", "total"), [(None, None), (0, 0)])
def test_nothing_counted_has_no_interval(correct: int | None, total: int | None) -> None:
    assert interval(correct, total) == ""


def test_the_chart_is_a_picture_that_does_not_change_by_itself(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    charts = []
    for name in ("one", "other"):
        with ResultsFolder(tmp_path / name, Dataset(sample_store)) as folder:
            folder.add(result("mlp"))
        charts.append((tmp_path / name / "accuracy.svg").read_text())
    assert charts[0] == charts[1]
    assert ET.fromstring(charts[0]).tag.endswith("svg")
    assert "3-layer MLP, default, seed 0" in charts[0]
    assert "synthetic images" in charts[0]
    assert "not comparable" in charts[0]


def test_fields_of_a_run_are_what_results_promise() -> None:
    fields = {field.name for field in dataclasses.fields(RunResult)}
    assert set(CSV_COLUMNS) <= fields
    assert {"settings", "versions", "history", "store_fingerprint"} <= fields


def test_other_groups_are_refused(sample_store: FeatureStore, tmp_path: Path) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        folder.add(result())
    groups = {"good": ("awe",), "bad": ("fear",)}
    with (
        pytest.raises(BenchError, match="holds results with other groups of labels"),
        ResultsFolder(tmp_path, Dataset(sample_store, groups)),
    ):
        pass


def test_variants_stand_side_by_side(sample_store: FeatureStore, tmp_path: Path) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store)) as folder:
        folder.add(result())
        folder.add(result(variant="report"))
        text = show_results(folder.results)
    assert [row["variant"] for row in rows(tmp_path)] == ["default", "report"]
    assert [line.split()[2:4] for line in text.splitlines() if "3-layer MLP " in line] == [
        ["default", "0"],
        ["report", "0"],
    ]


def test_grouped_results_are_compared_with_nothing_published(sample_store: FeatureStore) -> None:
    described = Dataset(sample_store, {"good": ("awe",), "bad": ("fear", "anger")}).describe()
    text = show_results(Results(described | {"is_fi": True}, [result()]))
    assert "good: awe\nbad: fear, anger\n" in text
    assert text.count("not comparable: eight labels of FI") == len(BASELINES)
