"""Running models: failures are rows, earlier runs are kept, the same seed gives the same."""

import dataclasses
import shutil
import time
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import zarr

from bench._dataset import Dataset, Split
from bench._models import MODELS, ModelEntry
from bench._records import RunResult
from bench._results import ResultsFolder, predictions_of
from bench._runner import Outcome, RunOptions, _train_accuracy, run_models
from classifiers import LinearProbe, load_model
from featurestore import (
    ExtractSettings,
    FeatureStore,
    KeepRule,
    SourceOptions,
    extract,
    read_source,
)
from featurestore._rows import Rows, ZarrRows

SVM, MLP, PROBE = MODELS["pca-svm"], MODELS["mlp"], MODELS["linear-probe"]
FAST = {"max_iter": 5, "grid": (), "C": 1.0}  # for a linear probe
# Fewer labels than asked for are its end.
BROKEN = ModelEntry("broken", "Broken", __name__, "Broken", ("scikit-learn",))


class Broken(LinearProbe):
    """A model whose fit fails."""

    def _fit(self, data: object) -> None:
        raise TypeError("it is\nbroken")


@pytest.fixture
def quick_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a linear probe be fitted in a moment."""
    monkeypatch.setitem(LinearProbe.presets, "default", FAST)


def run(
    store: FeatureStore,
    folder: Path,
    *entries: ModelEntry,
    groups: dict[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> tuple[list[str], list[RunResult], list[str]]:
    """Return the names of those that failed, all rows of the folder, and what was said."""
    outcome, rows, said = run_fully(store, folder, *entries, groups=groups, **options)
    assert outcome.unfinished == []
    return outcome.failed, rows, said


def run_fully(
    store: FeatureStore,
    folder: Path,
    *entries: ModelEntry,
    groups: dict[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> tuple[Outcome, list[RunResult], list[str]]:
    said: list[str] = []
    data = Dataset(store, groups or {})
    with ResultsFolder(folder, data.describe()) as results:
        outcome = run_models(data, entries, RunOptions(**options), results, said.append)
        return outcome, list(results.results.runs), said


def without_time(result: RunResult) -> dict[str, Any]:
    timed = {"fit_seconds", "predict_seconds", "peak_memory_mb", "resumed"}
    return result.model_dump(exclude=timed)


def test_a_result_says_what_was_measured(sample_store: FeatureStore, tmp_path: Path) -> None:
    failed, (result,), said = run(sample_store, tmp_path, SVM)
    assert failed == []
    assert (result.model, result.seed, result.status, result.reason) == ("pca-svm", 0, "ok", "")
    assert result.test is not None
    assert result.dev is not None
    assert result.test.total == result.dev.total == len(sample_store.rows("test")) == 16
    assert result.test.accuracy == result.test.correct / 16
    assert result.train_accuracy is not None
    assert 0.125 < result.train_accuracy <= 1
    assert result.fit_seconds is not None
    assert result.fit_seconds > 0
    assert result.predict_seconds is not None
    assert result.predict_seconds > 0
    assert result.peak_memory_mb is not None
    assert 50 < result.peak_memory_mb < 20_000
    assert result.machine is not None
    assert result.machine.cpus >= 1
    assert len(result.code) == 64
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
    failed, (svm, broken), said = run(sample_store, tmp_path, BROKEN, SVM)
    assert failed == ["broken"]
    assert broken.status == "failed"
    assert broken.reason.startswith("TypeError: ")
    assert "\n" not in broken.reason
    assert (broken.train_accuracy, broken.dev, broken.test) == (None, None, None)
    assert svm.status == "ok"
    (line,) = (line for line in said if line.startswith("broken: TypeError"))
    path = Path(line.partition("(see ")[2].rstrip(")"))
    assert path.parent.name == broken.folder_name
    assert "it is\nbroken" in path.read_text()
    assert "Traceback" in path.read_text()


def test_a_failed_run_is_tried_again(sample_store: FeatureStore, tmp_path: Path) -> None:
    run(sample_store, tmp_path, BROKEN)
    failed, rows, said = run(sample_store, tmp_path, BROKEN)
    assert failed == ["broken"]
    assert len(rows) == 1
    assert said[0].startswith("broken: training")
    (folder,) = (tmp_path / "runs").iterdir()
    assert [path.name for path in folder.iterdir()] == ["error.txt"]


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
    assert "pca-svm: other settings or versions than before (pillow none -> " in said[0]
    assert said[1].startswith("pca-svm: training")
    assert after.fingerprint != before.fingerprint
    assert len(list((tmp_path / "runs").iterdir())) == 2  # the earlier one is still on disk


def test_a_run_file_cut_short_is_run_anew(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, (before,), _ = run(sample_store, tmp_path, SVM)
    (path,) = (tmp_path / "runs").glob("*/run.json")
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
    assert (result.dev, result.test) == (None, None)


@pytest.mark.parametrize(
    ("stored", "dev", "test", "expected"),
    [(True, 4, 6, 6), (True, 7, 6, 7), (True, 0, 0, 40), (True, 41, 6, 40), (False, 4, 6, 40)],
)
def test_train_accuracy_of_networks_is_of_as_many_images_as_that_on_test(
    stored: bool, dev: int, test: int, expected: int
) -> None:
    array = zarr.array(np.arange(41, dtype=np.float32)[:, None])
    asked: list[int] = []

    class Half(LinearProbe):
        """It tells every other row right."""

        def predict(self, X: Any) -> Any:
            asked.append(len(X))
            return np.arange(len(X)) % 2

    def split(count: int) -> Split:
        rows = np.arange(count)
        X = Rows(ZarrRows(array, nullcontext), rows) if stored else np.asarray(array[:count])
        return Split(X, np.zeros(count, np.int64), np.zeros((count, 2), np.float32), rows)

    splits = {"train": split(40), "dev": split(dev), "test": split(test)}
    assert _train_accuracy(Half(), splits) == pytest.approx(0.5, abs=0.1)
    assert asked == [expected]


def test_the_mlp_keeps_its_curves(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, (result,), _ = run(sample_store, tmp_path, MLP)
    assert result.dev is not None
    measured = {"loss", "accuracy", "learning_rate", "dev_loss", "dev_accuracy"}
    assert set(result.history) == measured
    assert result.dev.accuracy == pytest.approx(max(result.history["dev_accuracy"]))


def test_a_seed_that_a_model_can_not_use_is_its_failure_in_one_line(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    failed, (result,), _ = run(sample_store, tmp_path, MLP, seed=-1)
    assert failed == ["mlp"]
    assert result.reason.startswith("ValueError: ")
    assert "\n" not in result.reason


def test_the_model_is_kept_and_knows_its_store(sample_store: FeatureStore, tmp_path: Path) -> None:
    _, (result,), _ = run(sample_store, tmp_path, SVM)
    assert result.test is not None
    (path,) = (tmp_path / "runs").glob("pca-svm-default-seed0-*/model.npz")
    names = sample_store.label_names
    model = load_model(path, fingerprint=sample_store.fingerprint, label_names=names)
    test = Dataset(sample_store).splits()["test"]
    assert (model.predict(test.X) == test.y).sum() == result.test.correct


def test_presets_are_rows_of_their_own(sample_store: FeatureStore, tmp_path: Path) -> None:
    run(sample_store, tmp_path, SVM)
    _, rows, said = run(sample_store, tmp_path, SVM, preset="report")
    assert said[0].startswith("pca-svm: training")
    assert [row.variant for row in rows] == ["default", "report"]
    assert rows[1].settings["kernel"] == "linear"
    assert rows[0].fingerprint != rows[1].fingerprint


@pytest.mark.slow
def test_soft_labels_are_learned_from_and_others_skipped(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    failed, (svm, probe), said = run(sample_store, tmp_path, SVM, PROBE, soft_labels=True)
    assert failed == []
    assert (svm.status, svm.reason) == ("skipped", "it can't learn from soft labels")
    assert said[0] == "pca-svm: skipped, it can't learn from soft labels"
    assert (probe.status, probe.variant) == ("ok", "default+soft-labels")
    assert probe.settings["soft_labels"] is True


@pytest.mark.slow
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
    (path,) = (tmp_path / "runs").glob("*/model.npz")
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


def test_predictions_are_kept_for_every_image_of_dev_and_test(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    _, (result,), _ = run(sample_store, tmp_path, SVM)
    found = predictions_of(tmp_path, result)
    assert found is not None
    manifest = sample_store.manifest()
    for split, scores in (("dev", result.dev), ("test", result.test)):
        part = found.of(split)
        rows = sample_store.rows(split)
        np.testing.assert_array_equal(part.row, rows)
        np.testing.assert_array_equal(part.label, sample_store.labels[rows])
        digests = {r: d[:16] for r, d in zip(manifest["row"], manifest["sha256"], strict=True)}
        assert part.image.tolist() == [digests[row] for row in rows]
        np.testing.assert_allclose(part.probabilities.sum(axis=1), 1, rtol=1e-5)
        assert scores is not None
        assert part.hits.sum() == scores.correct


def test_a_label_that_training_never_saw_has_no_probability(
    photo_folder: Path, tmp_path: Path, jpeg: Callable[..., bytes]
) -> None:
    for split in ("train", "test"):
        for label in ("calm", "joy", *(("dread",) if split == "test" else ())):
            (photo_folder.parent / "given" / split / label).mkdir(parents=True)
            for seed in range(6):
                path = photo_folder.parent / "given" / split / label / f"{seed}.jpg"
                path.write_bytes(jpeg(seed=hash_of(split, label, seed)))
    source = read_source(str(photo_folder.parent / "given"))
    store = extract(source, tmp_path / "s.zarr", ExtractSettings(embed_size=32))
    _, (result,), _ = run(store, tmp_path / "results", PROBE)
    found = predictions_of(tmp_path / "results", result)
    assert found is not None
    unseen = store.label_names.index("dread")
    assert (found.probabilities[:, unseen] == 0).all()
    assert result.test is not None
    assert result.test.recall[unseen] == 0
    assert result.test.precision[unseen] is None


def hash_of(*parts: object) -> int:
    return zlib.crc32(repr(parts).encode())


@pytest.mark.slow
def test_seeds_are_rows_and_all_models_have_their_first_seed_first(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    failed, rows, said = run(sample_store, tmp_path, SVM, PROBE, seeds=2, seed=3)
    assert failed == []
    assert [row.key for row in rows] == [
        ("pca-svm", "default", 3),
        ("pca-svm", "default", 4),
        ("linear-probe", "default", 3),
        ("linear-probe", "default", 4),
    ]
    begun = [line.partition(":")[0] for line in said if "training on" in line]
    assert begun == [
        *("pca-svm, seed 3", "linear-probe, seed 3"),
        *("pca-svm, seed 4", "linear-probe, seed 4"),
    ]


def test_forced_runs_are_made_anew_and_come_out_the_same(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    _, (before,), _ = run(sample_store, tmp_path, SVM)
    _, (after,), said = run(sample_store, tmp_path, SVM, force=True)
    assert said[0].startswith("pca-svm: training")
    assert after.fit_seconds != before.fit_seconds
    assert without_time(after) == without_time(before)


class Stopped(LinearProbe):
    """A model that is stopped."""

    def _fit(self, data: Any) -> None:
        raise KeyboardInterrupt


STOPPED = ModelEntry("stopped", "Stopped", __name__, "Stopped", ("scikit-learn",))


def test_what_was_forced_and_stopped_goes_on_without_force(
    sample_store: FeatureStore, tmp_path: Path, quick_probe: None
) -> None:
    run(sample_store, tmp_path, PROBE)
    with pytest.raises(KeyboardInterrupt):
        run(sample_store, tmp_path, PROBE, STOPPED, force=True)
    (left,) = (tmp_path / "runs").glob("stopped-*")
    (left / "checkpoint.npz").touch()
    with pytest.raises(KeyboardInterrupt):
        run(sample_store, tmp_path, PROBE, STOPPED)
    assert (left / "checkpoint.npz").exists()
    _, _, said = run(sample_store, tmp_path, PROBE)
    assert said == ["linear-probe: kept from an earlier run"]


def test_what_is_forced_stays_listed_until_it_is_redone(
    sample_store: FeatureStore, tmp_path: Path, quick_probe: None
) -> None:
    _, before, _ = run(sample_store, tmp_path, PROBE)
    outcome, rows, said = run_fully(sample_store, tmp_path, PROBE, force=True, time_budget=1e-9)
    assert outcome.unfinished == ["linear-probe"]
    assert said == ["linear-probe: not begun, the time budget is used up; its earlier result stays"]
    assert rows == before
    _, _, said = run(sample_store, tmp_path, PROBE)
    assert said[0].startswith("linear-probe: training")


def test_an_unfinished_run_takes_no_good_results_place(
    sample_store: FeatureStore, tmp_path: Path, quick_probe: None
) -> None:
    _, before, _ = run(sample_store, tmp_path, PROBE)
    other = dataclasses.replace(PROBE, libraries=("pillow",))
    outcome, rows, _ = run_fully(sample_store, tmp_path, other, SVM, time_budget=1e-9)
    assert outcome.unfinished == ["linear-probe", "pca-svm"]
    assert [row for row in rows if row.model == "linear-probe"] == before
    (new,) = (row for row in rows if row.model == "pca-svm")
    assert (new.status, new.reason) == (
        "unfinished",
        "the time budget was used up; give the same command again to go on",
    )


@pytest.mark.parametrize("name", ["predictions.parquet", "model.npz"])
def test_predictions_and_a_model_that_are_gone_are_made_anew(
    sample_store: FeatureStore, tmp_path: Path, quick_probe: None, name: str
) -> None:
    run(sample_store, tmp_path, PROBE)
    (path,) = (tmp_path / "runs").glob(f"*/{name}")
    path.unlink()
    _, _, said = run(sample_store, tmp_path, PROBE)
    assert said[0].startswith("linear-probe: training")
    assert path.exists()


class Network(LinearProbe):
    """A model that begins with a step of its own, as one that learns from images does."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": FAST, "quick": FAST}
    begins_with: ClassVar[int | None] = 1
    heard: ClassVar[list[Any]] = []

    def fit(self, X: Any, y: Any, dev_X: Any = None, dev_y: Any = None, **more: Any) -> "Network":
        self.heard[:] = [more.get("soft_labels")]
        if self.begins_with is not None:
            more["progress"](self.begins_with, 10, "")
        super().fit(X[:].reshape(len(y), -1).astype(np.float32), y)
        return self

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X[:].reshape(len(X), -1).astype(np.float32))

    def predict(self, X: Any) -> Any:
        return super().predict(X[:].reshape(len(X), -1).astype(np.float32))


@pytest.mark.parametrize(
    ("checkpoint", "begins_with", "resumed"),
    [(False, 1, False), (True, 0, False), (True, 1, False), (True, 5, True), (True, None, True)],
)
@pytest.mark.slow
def test_a_run_is_resumed_where_its_checkpoint_was_used(
    sample_store: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: bool,
    begins_with: int | None,
    resumed: bool,
) -> None:
    monkeypatch.setattr(Network, "begins_with", begins_with)
    entry = ModelEntry("network", "Network", __name__, "Network", (), "thumbnails")
    _, (before,), _ = run(sample_store, tmp_path, entry)
    place = tmp_path / "runs" / before.folder_name
    (place / "run.json").unlink()
    if checkpoint:
        (place / "checkpoint.npz").touch()
    _, (after,), _ = run(sample_store, tmp_path, entry)
    assert after.resumed is resumed


def test_an_image_with_votes_for_no_label_is_learned_by_its_own(
    voted_photos: Path, tmp_path: Path
) -> None:
    settings = ExtractSettings(embed_size=32, image_sizes=(48,))
    source = read_source(str(voted_photos), SourceOptions(keep=KeepRule("all")))
    store = extract(source, tmp_path / "s.zarr", settings)
    train = Dataset(store).splits("weak images")["train"]
    silent = ~train.strength.any(axis=1)
    assert silent.any()
    entry = ModelEntry("network", "Network", __name__, "Network", (), "weak images")
    failed, _, _ = run(store, tmp_path / "results", entry, soft_labels=True)
    assert failed == []
    (votes,) = Network.heard
    there = np.unique(train.y)
    assert (votes[silent] == (train.y[silent, None] == there)).all()
    assert (votes[~silent] == train.strength[~silent][:, there]).all()
    np.testing.assert_array_equal(
        Dataset(store).splits("weak images")["train"].strength, train.strength
    )


class Slow(LinearProbe):
    """A model that would take a minute."""

    def _fit(self, data: Any) -> None:
        for step in range(600):
            time.sleep(0.1)
            data.progress(step, 600, "waiting")


SLOW = ModelEntry("slow", "Slow", __name__, "Slow", ("scikit-learn",))


@pytest.mark.slow
def test_a_time_budget_ends_a_fit_and_leaves_the_rest_unfinished(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    run(sample_store, tmp_path, PROBE, seed=1)
    begun = time.monotonic()
    outcome, rows, said = run_fully(
        sample_store, tmp_path, PROBE, SLOW, SVM, time_budget=2 / 60, seed=1
    )
    assert time.monotonic() - begun < 30
    assert outcome == Outcome(failed=[], unfinished=["slow", "pca-svm"])
    by_name = {row.model: row for row in rows}
    assert by_name["linear-probe"].status == "ok"
    assert by_name["slow"].status == by_name["pca-svm"].status == "unfinished"
    assert "time budget" in by_name["slow"].reason
    assert said == [
        "linear-probe: kept from an earlier run",
        "slow: training on 128 images ...",
        "slow: stopped, the time budget is used up",
        "pca-svm: not begun, the time budget is used up",
    ]
    _, rows, _ = run(sample_store, tmp_path, PROBE, SVM, seed=1)
    assert {row.model: row.status for row in rows} == {
        **{"linear-probe": "ok", "pca-svm": "ok", "slow": "unfinished"}
    }
