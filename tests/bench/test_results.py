"""The results folder: complete at any moment, of one store, readable by programs."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from results_examples import result, scores

from bench._dataset import Dataset
from bench._errors import BenchError
from bench._predictions import Predictions
from bench._records import Results, schema
from bench._results import ResultsFolder, predictions_of, read_results, runs_folder
from featurestore import ExtractSettings, FeatureStore, extract, read_source

ROOT = Path(__file__).parents[2]


def test_a_run_replaces_the_earlier_one_of_its_model_and_seed(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        folder.add(result("pca-svm"))
        folder.add(result("mlp", 0))
        folder.add(result("mlp", 1))
        folder.add(result("mlp", 0, test=scores(9)))
    runs = read_results(tmp_path).runs
    assert [(run.model, run.seed, run.test and run.test.correct) for run in runs] == [
        ("mlp", 0, 9),
        ("mlp", 1, 4),
        ("pca-svm", 0, 4),
    ]


def test_what_is_written_follows_the_published_schema(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        folder.add(result("mlp", history={"loss": [1.0, None]}))
        folder.add(result("lightgbm", status="failed", reason="no", dev=None, test=None))
    published = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    content = json.loads((tmp_path / "results.json").read_text())
    jsonschema.validate(content, published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"runs": [{"model": "mlp"}]}, published)


def test_the_published_schema_is_the_programs() -> None:
    published = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    assert published == schema()


def test_a_committed_run_has_its_predictions_and_no_checkpoint(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    names = list(sample_store.label_names)
    predictions = Predictions(
        np.array(["dev", "test"]),
        np.array(["a" * 16, "b" * 16]),
        np.array([4, 7]),
        np.array([1, 0]),
        np.eye(8, dtype=np.float32)[[1, 2]],
    )
    run = result("mlp")
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        place = folder.begin(run)
        for name in ("checkpoint.npz", "model.npz"):
            (place / name).touch()
        assert folder.find(run) is None
        folder.commit(run, predictions, names)
        assert folder.find(run) == run
        (place / "model.npz").unlink()
        assert folder.find(run) is None
    assert place == runs_folder(tmp_path, run)
    assert sorted(p.name for p in place.iterdir()) == ["predictions.parquet", "run.json"]
    found = predictions_of(tmp_path, run)
    assert found is not None
    assert found.hits.tolist() == [True, False]
    assert found.of("test").row.tolist() == [7]


def test_a_run_begun_anew_is_no_longer_complete(sample_store: FeatureStore, tmp_path: Path) -> None:
    run = result("mlp")
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        place = folder.begin(run)
        for name in ("run.json", "checkpoint.npz", "error.txt"):
            (place / name).touch()
        folder.begin(run)
        assert sorted(p.name for p in place.iterdir()) == ["checkpoint.npz", "run.json"]
        folder.discard(run)
        assert list(place.iterdir()) == []


def test_predictions_that_can_not_be_read_are_one_line(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    run = result("mlp")
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        place = folder.begin(run)
    (place / "predictions.parquet").write_text("text")
    with pytest.raises(BenchError, match=r"holds no predictions.*--force") as error:
        predictions_of(tmp_path, run)
    assert "\n" not in str(error.value)


def test_runs_are_there_when_the_folder_is_opened_again(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        folder.add(result("mlp", history={"loss": [1.0, 0.5]}))
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        assert folder.results.runs == [result("mlp", history={"loss": [1.0, 0.5]})]
        assert folder.earlier(result("mlp", fingerprint="other")) == folder.results.runs[0]
        assert folder.earlier(result("mlp", seed=1)) is None


def test_results_are_replaced_whole(sample_store: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        folder.add(result("mlp"))
        before = path.read_text(encoding="utf-8")
        with path.open(encoding="utf-8") as reader:
            folder.add(result("pca-svm"))
            assert reader.read() == before
    assert path.read_text(encoding="utf-8") != before
    assert not list(tmp_path.rglob("*.partial"))


def test_results_on_another_store_are_refused_and_untouched(
    sample_store: FeatureStore, photo_folder: Path, tmp_path: Path
) -> None:
    with ResultsFolder(tmp_path / "results", Dataset(sample_store).describe()) as folder:
        folder.add(result("mlp"))
        before = (folder.path / "results.json").read_bytes()
    settings = ExtractSettings(embed_size=32)
    other = extract(read_source(str(photo_folder)), tmp_path / "other.zarr", settings)
    with (
        pytest.raises(BenchError, match=r"another store \(synthetic.*or another folder") as error,
        ResultsFolder(tmp_path / "results", Dataset(other).describe()),
    ):
        pass
    assert "\n" not in str(error.value)
    assert (folder.path / "results.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"runs": [{"model": "mlp"}]}'])
def test_damaged_results_are_one_line_and_untouched(
    sample_store: FeatureStore, tmp_path: Path, content: str
) -> None:
    (tmp_path / "results.json").write_text(content)
    for _ in range(2):  # the second time shows that the first let go of the lock
        with (
            pytest.raises(BenchError, match=r"results\.json: can't be read.*give another") as error,
            ResultsFolder(tmp_path, Dataset(sample_store).describe()),
        ):
            pass
        assert "\n" not in str(error.value)
    assert (tmp_path / "results.json").read_text() == content


def test_results_that_lack_something_of_the_embedding_are_one_line(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    about = Dataset(sample_store).describe()
    content = Results(store=about, runs=[]).model_dump()
    del content["store"]["embedding"]["embed_size"]
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(BenchError, match=r"can't be read: store\.embedding: .*lacks embed_size;"):
        read_results(tmp_path)


def test_results_of_another_format_are_one_line_and_untouched(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        folder.add(result("mlp"))
    newer = Results(**read_results(tmp_path).model_dump() | {"format_version": 9})
    for content in ('{"format_version": 2, "store": {}, "runs": []}', newer.model_dump_json()):
        path.write_text(content)
        with pytest.raises(BenchError, match=r"has format version [29], and this program reads 3"):
            read_results(tmp_path)
        assert path.read_text() == content


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no results"):
        read_results(tmp_path)


def test_a_second_writer_is_refused(sample_store: FeatureStore, tmp_path: Path) -> None:
    with (
        ResultsFolder(tmp_path, Dataset(sample_store).describe()),
        pytest.raises(BenchError, match="another `bench run` is writing"),
        ResultsFolder(tmp_path, Dataset(sample_store).describe()),
    ):
        pass
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        assert folder.results.runs == []


def test_the_store_is_described_with_its_majority(sample_store: FeatureStore) -> None:
    said = Dataset(sample_store).describe()
    assert said.rows == {"train": 128, "dev": 16, "test": 16}
    assert said.majority.train == 0.125
    assert (said.majority.correct, said.majority.total) == (2, 16)
    assert said.synthetic is True


def test_other_groups_are_refused(sample_store: FeatureStore, tmp_path: Path) -> None:
    with ResultsFolder(tmp_path, Dataset(sample_store).describe()) as folder:
        folder.add(result())
    groups = {"good": ("awe",), "bad": ("fear",)}
    with (
        pytest.raises(BenchError, match="holds results with other groups of labels"),
        ResultsFolder(tmp_path, Dataset(sample_store, groups).describe()),
    ):
        pass


def test_nothing_is_written_into_a_store_or_among_somebodys_files(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    about = Dataset(sample_store).describe()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "zarr.json").touch()
    (tmp_path / "photos" / "joy").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name, why in (
        ("store", "lies in a store"),
        ("store/results", "lies in a store"),
        ("photos", "is a folder with other files in it"),
        ("file", "is a file"),
    ):
        with pytest.raises(BenchError, match=f"{name}: {why}"):
            ResultsFolder(tmp_path / name, about).__enter__()
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == [
        "file",
        "photos",
        "joy",
        "store",
        "zarr.json",
    ]
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        with ResultsFolder(tmp_path / "empty", about):
            pass
