"""Searching: what is tried, what it is measured on, and that a stop changes nothing."""

import inspect
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import classifiers
from bench._dataset import Dataset
from bench._errors import BenchError
from bench._models import MODELS, ModelEntry
from bench._spaces import GRIDS, SPACES, get_grid
from bench._tuning import Plan, TuneOptions, tune
from bench._tuning_data import TuningData
from bench._tuning_records import Trial, ranked
from bench._tuning_study import StudyFolder, distribution, read_study
from featurestore import FeatureStore
from featurestore._rows import Rows
from featurestore.errors import StoreDamagedError

PROBE, MLP = MODELS["linear-probe"], MODELS["mlp"]


@pytest.fixture(autouse=True)
def quick_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a linear probe be fitted in a moment, however weak its penalty."""
    monkeypatch.setitem(classifiers.LinearProbe.presets, "default", {"max_iter": 5})


def search(
    store: FeatureStore,
    folder: Path,
    entry: ModelEntry = PROBE,
    timeout: float | None = None,
    said: list[str] | None = None,
    groups: dict[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> list[Trial]:
    """Run trials and return all that the folder has then."""
    data = TuningData.of(Dataset(store, groups or {}), entry.learns_from)
    plan = Plan.of(entry, data, TuneOptions(**options))
    with StudyFolder(folder, plan.about, plan.ranges()) as study:
        tune(plan, data, study, timeout, [].append if said is None else said.append)
        return study.trials()


def without_time(trials: list[Trial]) -> list[Trial]:
    return [replace(trial, seconds=None) for trial in trials]


def stop_in_fit(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the fit of that number, from 1 on, be interrupted at its end."""
    fits: list[int] = []
    fit = classifiers.LinearProbe.fit

    def stopping(self: Any, *arguments: Any, **more: Any) -> Any:
        fits.append(1)
        found = fit(self, *arguments, **more)
        if len(fits) == number:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(classifiers.LinearProbe, "fit", stopping)


def test_every_model_has_a_space_of_its_own_parameters() -> None:
    assert SPACES.keys() == MODELS.keys()
    for name, space in SPACES.items():
        entry = MODELS[name]
        known = inspect.signature(type(entry.build(0, "default"))).parameters
        for parameter in space.parameters:
            assert parameter.name in known, name
            assert len(parameter.why) > 5
            assert distribution(parameter)._contains(
                distribution(parameter).to_internal_repr(parameter.first)
            )
        settings = space.settings(space.first())
        model = entry.build(0, "default", settings)
        assert settings.items() <= model.get_params().items()


def test_a_search_begins_with_the_defaults() -> None:
    for name, space in SPACES.items():
        default = MODELS[name].build(0, "default").get_params()
        first = space.settings(space.first())
        same = [key for key, value in first.items() if default[key] == value]
        near = {"mlp": 1, "resnet": 2, "pca-svm": 2, "linear-probe": 1, "fractalnet": 2}
        assert len(first) - len(same) <= near.get(name, 0), name


def test_the_reports_grids_vary_one_thing_at_a_time_or_all() -> None:
    points = get_grid("mlp").points()
    assert points[0] == {"learning_rate": 1e-4, "batch_size": 64, "epochs": 1000}
    assert len(points) == 1 + 3 + 4 + 4
    for point in points[1:]:
        assert sum(point[name] != value for name, value in points[0].items()) == 1
    assert len(get_grid("resnet").points()) == 4 * 5
    short = GRIDS["mlp"].shortened(100).points()
    assert {point["epochs"] for point in short} == {50, 100}
    assert len(short) == len(points) - 3
    with pytest.raises(BenchError, match="the report has no grid of lightgbm"):
        get_grid("lightgbm")


def test_the_tuner_is_handed_no_test_image(
    sample_store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = FeatureStore.rows
    asked: list[str] = []

    def watched(self: FeatureStore, split: str) -> Any:
        asked.append(split)
        return rows(self, split)

    test = set(sample_store.rows("test").tolist())
    monkeypatch.setattr(FeatureStore, "rows", watched)
    for learns_from in ("embeddings", "thumbnails"):
        data = TuningData.of(Dataset(sample_store), learns_from)  # type: ignore[arg-type]
        assert len(data.train.y) + len(data.dev.y) == len(sample_store) - len(test)
        for part in (data.train, data.dev):
            assert len(part.X) == len(part.y)
            if isinstance(part.X, Rows):
                assert not test & set(part.X._rows.tolist())
                with pytest.raises(IndexError):
                    part.X._rows[len(part.y)]
        held = [value for part in (data.train, data.dev) for value in vars(part).values()]
        assert not any(isinstance(v, FeatureStore | Dataset) for v in [*held, *vars(data).values()])
    assert set(asked) == {"train", "dev"}


def test_a_search_reads_no_test_row_and_would_be_the_same_with_any_other(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = search(sample_store, tmp_path / "plain", trials=3)
    test = sample_store.rows("test")
    rows, labels = FeatureStore.rows, sample_store.labels.copy()
    labels[test] = (labels[test] + 1) % 8

    def refusing(self: FeatureStore, split: str) -> Any:
        if split == "test":
            raise StoreDamagedError("test rows were asked for")
        return rows(self, split)

    read = Rows.__getitem__

    def without_test(self: Rows, which: slice) -> Any:
        assert not np.isin(self._rows[which], test).any()
        return read(self, which)

    monkeypatch.setattr(FeatureStore, "rows", refusing)
    monkeypatch.setattr(FeatureStore, "labels", labels)
    monkeypatch.setattr(Rows, "__getitem__", without_test)
    found = search(FeatureStore(sample_store.path), tmp_path / "other", trials=3)
    assert without_time(found) == without_time(expected)


def test_the_same_seed_tries_the_same_and_another_does_not(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    one, two = (search(sample_store, tmp_path / name, trials=3) for name in "ab")
    assert without_time(one) == without_time(two)
    other = search(sample_store, tmp_path / "c", trials=3, seed=1)
    assert [t.values for t in other][1:] != [t.values for t in one][1:]
    assert one[0].values == other[0].values == {"C": 0.003}


@pytest.mark.slow
def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than the ten that are drawn before Optuna learns from others.
    whole = search(sample_store, tmp_path / "whole", trials=13)
    said: list[str] = []
    for stop in (3, 6, 4):
        with monkeypatch.context() as patch:
            stop_in_fit(patch, stop)
            with pytest.raises(KeyboardInterrupt):
                search(sample_store, tmp_path / "parts", trials=13, said=said)
    parts = search(sample_store, tmp_path / "parts", trials=13, said=said)
    assert without_time(parts) == without_time(whole)
    assert [line.split()[1] for line in said] == [str(number) for number in range(1, 14)]
    again = search(sample_store, tmp_path / "parts", trials=13, said=said)
    assert (again, len(said)) == (parts, 13)
    assert [t.values for t in search(sample_store, tmp_path / "parts", trials=14)][:13] == [
        t.values for t in whole
    ]


KILLED = """
import os, signal, sys
import classifiers
from bench.cli import main
classifiers.LinearProbe.presets["default"] = {"max_iter": 5}
fit, left = classifiers.LinearProbe.fit, [3]
def fit_or_die(self, *arguments, **more):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return fit(self, *arguments, **more)
classifiers.LinearProbe.fit = fit_or_die
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_process_leaves_its_trial_to_the_next(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    whole = search(sample_store, tmp_path / "whole" / "tuning", trials=4)
    where = ("--store", str(sample_store.path), "--results", str(tmp_path / "killed"))
    command = [sys.executable, "-c", KILLED, "tune", "linear-probe", "--trials", "4", *where]
    assert subprocess.run(command, capture_output=True).returncode == -9
    folder = tmp_path / "killed" / "tuning"
    _, left = read_study(folder / "linear-probe.journal")
    assert [trial.state for trial in left] == ["ok", "ok", "running"]
    assert len(list(folder.glob(".*-*-*.lock"))) == 1
    assert without_time(search(sample_store, folder, trials=4)) == without_time(whole)
    assert list(folder.glob(".*-*-*.lock")) == []


def test_two_at_once_share_the_trials(sample_store: FeatureStore, tmp_path: Path) -> None:
    data = TuningData.of(Dataset(sample_store), "embeddings")
    plan = Plan.of(PROBE, data, TuneOptions(trials=6))
    args = (tmp_path, plan.about, plan.ranges())
    with StudyFolder(*args) as one, StudyFolder(*args) as other:
        mine, theirs = one.begin(plan.choose), other.begin(plan.choose)
        assert mine is not None
        assert theirs is not None
        assert (mine.number, theirs.number) == (1, 2)
        assert mine.values != theirs.values
        mine.finish(0.5, dev_loss=1.0)
        tune(plan, data, one, None, [].append)
        # Five are done, the sixth is still somebody's.
        assert [t.state for t in one.trials()].count("running") == 1
        assert one.begin(plan.choose) is None
        theirs.finish(0.5, dev_loss=1.0)
    assert [t.state for t in read_study(tmp_path / "linear-probe.journal")[1]] == ["ok"] * 6


@pytest.mark.slow
def test_two_processes_share_one_search(sample_store: FeatureStore, tmp_path: Path) -> None:
    where = ("--store", str(sample_store.path), "--results", str(tmp_path))
    command = [sys.executable, "-m", "bench", "tune", "mlp", "--trials", "12", *where]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    numbers = [
        {int(line.split()[1]) for line in text.splitlines() if line.startswith("trial ")}
        for text in said
    ]
    assert numbers[0] | numbers[1] == set(range(1, 13))
    assert not numbers[0] & numbers[1]
    assert numbers[0]
    assert numbers[1]
    _, trials = read_study(tmp_path / "tuning" / "mlp.journal")
    assert len({str(t.values) for t in trials}) == 12


def test_another_store_seed_or_grouping_is_told(
    sample_store: FeatureStore, album_store: FeatureStore, tmp_path: Path
) -> None:
    search(sample_store, tmp_path, trials=1)
    for text, change in (
        ("begun with another store", {"store": album_store}),
        ("begun with --seed 0", {"seed": 1}),
        ("begun with other groups", {"groups": {"a": ("awe",), "b": ("fear",)}}),
        ("begun with --max-epochs left out", {"max_epochs": 3}),
    ):
        with pytest.raises(BenchError, match=text):
            search(**{"store": sample_store, "folder": tmp_path, "trials": 2, **change})  # type: ignore[arg-type]


def test_other_ranges_are_another_search(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(sample_store, tmp_path, trials=1)
    (parameter,) = SPACES["linear-probe"].parameters
    wider = replace(SPACES["linear-probe"], parameters=(replace(parameter, high=20.0),))
    monkeypatch.setitem(SPACES, "linear-probe", wider)
    with pytest.raises(BenchError, match="begun with other ranges or defaults"):
        search(sample_store, tmp_path, trials=1)


def test_other_versions_are_told_where_a_search_knows_its_own(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = search(sample_store, tmp_path / "new", trials=1)
    about, _ = read_study(tmp_path / "new" / "linear-probe.journal")
    assert {"emotion-bench", "optuna", "scikit-learn"} <= about.versions.keys()
    old = tmp_path / "old" / "linear-probe.journal"
    old.parent.mkdir()
    lines = [json.loads(line) for line in (tmp_path / "new" / old.name).read_text().splitlines()]
    for line in lines:
        line.get("user_attr", {}).get("about", {}).pop("versions", None)
    old.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read_study(old)[0].versions == {}
    monkeypatch.setattr("bench._tuning.version", {**about.versions, "optuna": "99"}.get)
    with pytest.raises(BenchError, match=r"begun with other versions \(optuna \S+ -> 99\); give"):
        search(sample_store, tmp_path / "new", trials=1)
    assert search(sample_store, tmp_path / "old", trials=1) == before


def test_a_search_that_ends_leaves_anothers_checkpoints(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    key = "0123456789abcdef"
    mine, other = (
        tmp_path / f".{name}-{key}.checkpoint.npz" for name in ("linear-probe", "linear-probe-grid")
    )
    for path in (mine, other):
        path.touch()
    search(sample_store, tmp_path, trials=1)
    assert (mine.exists(), other.exists()) == (False, True)


def test_a_line_that_was_cut_off_is_no_loss(sample_store: FeatureStore, tmp_path: Path) -> None:
    before = search(sample_store, tmp_path, trials=2)
    path = tmp_path / "linear-probe.journal"
    content = path.read_bytes()
    path.write_bytes(content + b'{"op_code": 4, "wor')
    assert search(sample_store, tmp_path, trials=2) == before
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", [b"no journal\n", b"{}\n", b"\xff\xfe\n"])
def test_a_damaged_journal_is_one_line(
    sample_store: FeatureStore, tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / "linear-probe.journal").write_bytes(damage)
    with pytest.raises(BenchError, match=r"linear-probe\.journal: can't be read .*move it away"):
        search(sample_store, tmp_path, trials=1)


def test_nothing_is_unpickled(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("pickle was used")

    for name in ("loads", "load", "dumps", "dump"):
        monkeypatch.setattr(pickle, name, refuse)
    search(sample_store, tmp_path, trials=1)
    search(sample_store, tmp_path, trials=2)
    for line in (tmp_path / "linear-probe.journal").read_text().splitlines():
        assert line.startswith("{")


def test_a_model_that_can_not_be_trained_fails_its_trial_alone(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = classifiers.LinearProbe.fit

    def failing(self: Any, *arguments: Any, **more: Any) -> Any:
        if self.C == 0.003:
            raise ArithmeticError("it\ndiverged")
        return fit(self, *arguments, **more)

    monkeypatch.setattr(classifiers.LinearProbe, "fit", failing)
    said: list[str] = []
    trials = search(sample_store, tmp_path, trials=3, said=said)
    assert [trial.state for trial in trials] == ["failed", "ok", "ok"]
    assert trials[0].reason == "ArithmeticError: it diverged"
    assert said[0].startswith("trial 1 of 3: failed, ArithmeticError: it diverged; C 0.003")
    assert search(sample_store, tmp_path, trials=3) == trials


def test_a_full_disk_is_no_failure_of_a_trial(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(classifiers.LinearProbe, "fit", full)
        with pytest.raises(OSError, match="No space left"):
            search(sample_store, tmp_path, trials=1)
    assert [t.state for t in search(sample_store, tmp_path, trials=1)] == ["ok"]


def test_poor_trials_are_ended_early(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(classifiers.MLP.presets, "default", {"hidden": (64, 32)})
    said: list[str] = []
    trials = search(sample_store, tmp_path, MLP, trials=14, max_epochs=20, said=said)
    assert [trial.state for trial in trials[:5]] == ["ok"] * 5
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert trial.reason.endswith("/10 of its epochs")
        assert 2 <= int(trial.reason.split("/")[0].split()[-1]) < 10
    assert sum("pruned at" in line for line in said) == len(pruned)
    assert all(trial.values["epochs"] <= 20 for trial in trials)
    best = ranked(trials)[0]
    assert best.state == "ok"


def test_of_equal_accuracies_the_lower_loss_is_better() -> None:
    trials = [
        Trial(1, "ok", {}, 0.5, 1.2),
        Trial(2, "ok", {}, 0.5, 1.1),
        Trial(3, "pruned", {}, 0.9),
        Trial(4, "ok", {}, 0.4, 0.1),
        Trial(5, "failed", {}),
    ]
    assert [trial.number for trial in ranked(trials)] == [2, 1, 4]


def test_a_grid_is_tried_point_by_point(sample_store: FeatureStore, tmp_path: Path) -> None:
    first = search(sample_store, tmp_path, MLP, grid=True, max_epochs=4, trials=3)
    trials = search(sample_store, tmp_path, MLP, grid=True, max_epochs=4)
    assert trials[:3] == first
    assert [trial.values for trial in trials] == GRIDS["mlp"].shortened(4).points()
    assert (tmp_path / "mlp-grid.journal").exists()


def test_the_time_that_there_is_is_kept_to(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert search(sample_store, tmp_path, timeout=1e-9) == []
    fit = classifiers.MLP.fit

    def slow(self: Any, *arguments: Any, progress: Callable[..., None], **more: Any) -> Any:
        def step(*told: Any) -> None:
            time.sleep(0.02)
            progress(*told)

        return fit(self, *arguments, progress=step, **more)

    monkeypatch.setattr(classifiers.MLP, "fit", slow)
    begun = time.monotonic()
    (trial,) = search(sample_store, tmp_path, MLP, timeout=0.2 / 60)
    assert time.monotonic() - begun < 10
    assert trial.state == "running"


def test_a_store_without_dev_images_is_one_line(sample_store: FeatureStore) -> None:
    groups = {"a": ("awe",), "b": ("fear",)}
    data = Dataset(sample_store, groups)
    assert len(TuningData.of(data, "embeddings").dev.y) == 4
    with pytest.raises(BenchError, match="needs larger images"):
        TuningData.of(data, "images")


@pytest.mark.slow
def test_a_network_is_pruned_by_its_checkpoint_and_goes_on_from_it(
    sample_store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnn import FractalNet

    small: dict[str, Any] = {
        "columns": 2,
        "channels": (4, 8),
        "dropout": (0.0, 0.1),
        "batch_size": 32,
    }
    small |= {"drop_path": 0.0, "mirror": False}
    monkeypatch.setitem(FractalNet.presets, "quick", small)
    space = SPACES["fractalnet"]
    parts = [p for p in space.parameters if p.name == "learning_rate"]
    monkeypatch.setitem(SPACES, "fractalnet", replace(space, parameters=tuple(parts)))
    entry = MODELS["fractalnet"]
    whole = search(sample_store, tmp_path / "whole", entry, trials=8, max_epochs=5)
    assert {trial.state for trial in whole} == {"ok", "pruned"}
    fit, left = FractalNet.fit, [20]

    def stopping(self: Any, *arguments: Any, progress: Callable[..., None], **more: Any) -> Any:
        def step(done: int, total: int, text: str) -> None:
            progress(done, total, text)
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        return fit(self, *arguments, progress=step, **more)

    with monkeypatch.context() as patch:
        patch.setattr(FractalNet, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(sample_store, tmp_path / "parts", entry, trials=8, max_epochs=5)
    assert len(list((tmp_path / "parts").glob(".*.checkpoint.npz"))) == 1
    parts_found = search(sample_store, tmp_path / "parts", entry, trials=8, max_epochs=5)
    assert without_time(parts_found) == without_time(whole)
    assert list((tmp_path / "parts").glob(".*.checkpoint.npz")) == []
