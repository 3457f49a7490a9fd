"""``bench tune``: what it prints, writes and refuses."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import classifiers
from bench._spaces import GRIDS, SPACES
from bench._tuning import TuneOptions
from featurestore import FeatureStore

Bench = Callable[..., Result]


@pytest.fixture(autouse=True)
def quick_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(classifiers.LinearProbe.presets, "default", {"max_iter": 5})


def one_line(result: Result) -> str:
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_help_says_what_is_searched(bench: Bench) -> None:
    result = bench("tune", "--help")
    assert "Examples:" in result.output
    text = " ".join(result.output.split())
    for model, space in SPACES.items():
        assert model in text
        for parameter in space.parameters:
            assert parameter.name in text
    assert f"report tried: {' and '.join(GRIDS)}" in text


def test_a_search_prints_trials_and_the_best_and_writes_all(
    bench: Bench, sample_store: FeatureStore
) -> None:
    where = ("--store", sample_store.path)
    result = bench("tune", "linear-probe", "--trials", 3, *where)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    for number, line in enumerate(lines[:3], 1):
        assert line.startswith(f"trial {number} of 3: dev ")
        assert "; C " in line
    assert "linear probe, search: 3 trials; 16 dev images" in lines
    assert "The test split was not looked at." in result.stdout
    assert "95 % interval" in result.stdout
    assert "test %" not in result.stdout
    folder = Path("results/tuning")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {f"linear-probe.{suffix}" for suffix in ("journal", "csv", "svg")}
    with (folder / "linear-probe.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["C"] == "0.003"
    for row in rows:
        assert row["state"] == "ok"
        low, accuracy, high = (float(row[f"dev_{n}"]) for n in ("low", "accuracy", "high"))
        assert 0 <= low <= accuracy <= high <= 1
        assert float(row["dev_loss"]) > 0
        assert float(row["train_loss"]) >= 0
    again = bench("tune", "linear-probe", "--trials", 3, *where)
    assert "3 trials were begun before" in again.stdout
    assert "trial 1 of" not in again.stdout
    assert (
        again.stdout.partition("linear probe, search")[2]
        == (result.stdout.partition("linear probe, search")[2])
    )


def test_the_best_is_saved_and_run(bench: Bench, sample_store: FeatureStore) -> None:
    where = ("--store", sample_store.path)
    tuned = bench("tune", "linear-probe", "--trials", 4, "--save", "mine", *where)
    assert tuned.exit_code == 0, tuned.output
    again = f"linear-probe --preset mine --store {sample_store.path} --results results"
    assert tuned.stdout.endswith(f"Next: bench run {again}\n")
    with open("results/tuning/linear-probe.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    best = min(rows, key=lambda row: (-float(row["dev_accuracy"]), float(row["dev_loss"])))
    saved = json.loads(Path("results/presets/mine.json").read_text())
    assert saved["settings"] == {
        **{"C": float(best["C"]), "grid": [], "standardize": True, "max_iter": 5}
    }
    assert saved["dev_accuracy"] == float(best["dev_accuracy"])
    assert (saved["trials"], saved["store_fingerprint"]) == (4, sample_store.fingerprint)
    ran = bench("run", "linear-probe", "--preset", "mine", *where)
    assert ran.exit_code == 0, ran.output
    (run,) = json.loads(Path("results/results.json").read_text())["runs"]
    assert (run["variant"], run["dev"]["accuracy"]) == ("mine", saved["dev_accuracy"])


def test_a_preset_is_replaced_only_by_its_models(bench: Bench, sample_store: FeatureStore) -> None:
    command = ("tune", "linear-probe", "--store", sample_store.path, "--save", "mine", "--trials")
    assert "in place of" not in bench(*command, 1).stdout
    assert "in place of" not in bench(*command, 1).stdout  # it is the same
    path = Path("results/presets/mine.json")
    before = json.loads(path.read_text()) | {"dev_accuracy": 0.655}
    path.write_text(json.dumps(before))
    assert "\nmine: in place of an earlier one (dev 65.5 %)\n" in bench(*command, 1).stdout
    path.write_text(json.dumps(before | {"model": "mlp", "settings": {}}))
    text = one_line(bench(*command, 2))
    assert text == "Error: mine is a preset of mlp; give another name\n"
    assert json.loads(path.read_text())["model"] == "mlp"


def test_a_group_is_told_apart(bench: Bench, sample_store: FeatureStore) -> None:
    where = ("--store", sample_store.path, "--group", "polarity")
    assert bench("tune", "linear-probe", "--trials", 1, *where).exit_code == 0
    text = one_line(bench("tune", "linear-probe", "--store", sample_store.path))
    assert "begun with other groups of labels; give another --results" in text


def test_time_that_is_used_up_has_a_status_of_its_own(
    bench: Bench, sample_store: FeatureStore
) -> None:
    result = bench("tune", "mlp", "--timeout", 1e-9, "--store", sample_store.path)
    assert result.exit_code == 3
    assert result.stderr == "The time is used up. Give the same command again to go on.\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("vgg",), "no model is called 'vgg'"),
        (("mlp", "--save", "report"), "'report' is a preset that comes with the models"),
        (("mlp", "--save", "a/b"), "'a/b' can't be a preset's name"),
        (("lightgbm", "--grid", "report"), "the report has no grid of lightgbm"),
        (("finetuned",), "needs larger images"),
        (("mlp", "--group", "mood"), "--group mood"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    bench: Bench, sample_store: FeatureStore, arguments: tuple[str, ...], text: str
) -> None:
    assert text in one_line(bench("tune", *arguments, "--store", sample_store.path))
    assert not Path("results").exists()


def test_a_missing_store_is_one_line(bench: Bench) -> None:
    assert "there is no store here" in one_line(bench("tune", "mlp"))


@pytest.mark.parametrize(
    "options", [("--trials", 0), ("--timeout", 0), ("--grid", "mine"), ("--seed", -1)]
)
def test_senseless_options_are_wrong_usage(bench: Bench, options: tuple[str, object]) -> None:
    result = bench("tune", "mlp", *options)
    assert result.exit_code == 2
    assert str(options[0]) in result.stderr.splitlines()[-1]


def test_results_on_another_store_are_one_line(
    bench: Bench, sample_store: FeatureStore, album_store: FeatureStore
) -> None:
    bench("run", "linear-probe", "--store", album_store.path)
    text = one_line(bench("tune", "linear-probe", "--store", sample_store.path))
    assert "holds results on another store" in text


def test_if_no_trial_ends_well_the_reason_is_told(
    bench: Bench, sample_store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise ValueError("it can't")

    monkeypatch.setattr(classifiers.LinearProbe, "fit", fail)
    result = bench("tune", "linear-probe", "--trials", 2, "--store", sample_store.path)
    assert one_line(result) == "Error: no trial ended well; the first one: ValueError: it can't\n"


def test_options_have_defaults() -> None:
    assert TuneOptions() == TuneOptions(0, None, None, False, None)
