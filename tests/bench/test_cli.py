"""The command line: what each command prints, its exit status, and errors in one line."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from bench._models import MODELS
from bench.cli import main
from featurestore import FeatureStore

Bench = Callable[..., Result]
SMALL = ("--embed-size", 32)
COMMANDS = (
    "cite",
    "explore",
    "export",
    "extract",
    "import",
    "run",
    "tune",
    "report",
    "compare",
    "predict",
    "inspect",
    "verify",
)
QUICK = ("mlp", "pca-svm", "lightgbm", "linear-probe")  # models that are trained in seconds


def assert_one_line(result: Result, status: int = 1) -> str:
    """Check that a command ended with nothing but its error, and return that."""
    assert result.exit_code == status
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")
    return result.stderr


def assert_usage(result: Result) -> str:
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: bench ")
    return result.stderr.splitlines()[-1]


@pytest.fixture
def store_copy(sample_store: FeatureStore, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_store.path, tmp_path / "damaged.zarr"))


@pytest.fixture
def damaged(store_copy: Path) -> Path:
    labels = store_copy / "labels" / "c" / "0"
    labels.write_bytes(labels.read_bytes()[:-1])
    return store_copy


@pytest.mark.parametrize(
    "command", ["", "extract", "run", "report", "compare", "inspect", "verify"]
)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_has_examples(bench: Bench, command: str, option: str) -> None:
    result = bench(*command.split(), option)
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"bench {command}".strip() in result.output.split("Example")[1]


def test_every_command_is_looked_at() -> None:
    assert set(main.commands) == set(COMMANDS)


def test_version_is_the_packages(bench: Bench) -> None:
    result = bench("--version")
    assert result.exit_code == 0
    assert result.output.startswith("bench, version ")


def test_from_photos_to_results(bench: Bench, photo_folder: Path, tmp_path: Path) -> None:
    (photo_folder / "joy" / "empty.jpg").touch()
    made = bench("extract", photo_folder, "--store", "photos.zarr", *SMALL)
    assert made.exit_code == 0
    assert "photos.zarr: photos, 30 images" in made.stdout
    assert made.stdout.endswith("Next: bench run --all --store photos.zarr\n")
    assert "synthetic" not in made.output

    inspected = bench("inspect", "photos.zarr")
    assert inspected.exit_code == 0
    lines = [line.split() for line in inspected.stdout.splitlines()]
    for label in ("calm", "dread", "joy"):
        assert [label, "8", "1", "1", "10"] in lines
    assert "not_image" in inspected.stdout
    assert FeatureStore("photos.zarr").fingerprint in inspected.stdout

    verified = bench("verify", "photos.zarr")
    assert verified.exit_code == 0
    assert "photos.zarr is sound: all 53 files" in verified.stdout

    run = bench("run", "pca-svm", "--store", "photos.zarr")
    assert run.exit_code == 0
    assert "Accuracy on photos (24 train, 3 dev, 3 test)" in run.stdout
    assert "not comparable: measured on FI" in run.stdout
    assert "synthetic" not in run.output
    written = {path.name for path in (tmp_path / "results").iterdir()} - {".lock", "runs"}
    assert written == {
        *("results.csv", "results.json", "results.md", "results.tex"),
        *("accuracy.svg", "report.html"),
    }
    for name in written:
        assert f"results/{name}" in run.stdout
        assert (tmp_path / "results" / name).stat().st_size > 100
    assert "NaN" not in (tmp_path / "results" / "results.json").read_text()


def test_larger_images_are_kept_and_shown(bench: Bench, photo_folder: Path) -> None:
    sizes = ("--image-size", 96, "--image-size", 32)
    assert bench("extract", photo_folder, *SMALL, *sizes).exit_code == 0
    assert FeatureStore("features.zarr").image_sizes == (32, 96)
    lines = [line.split() for line in bench("inspect").stdout.splitlines()]
    assert ["image_sizes", "32,", "96"] in lines
    assert "is sound" in bench("verify").stdout
    text = assert_one_line(bench("extract", photo_folder, *SMALL))
    assert "made with image_sizes = [32, 96], now it is [32]" in text


def test_an_image_size_out_of_range_is_one_line(bench: Bench, photo_folder: Path) -> None:
    text = assert_one_line(bench("extract", photo_folder, "--image-size", 1024))
    assert "--image-size is 1024; give 32 to 512 px" in text
    assert not Path("features.zarr").exists()


def test_extracting_again_says_that_nothing_was_done(bench: Bench, photo_folder: Path) -> None:
    bench("extract", photo_folder, *SMALL)
    again = bench("extract", photo_folder, *SMALL)
    assert again.exit_code == 0
    assert again.stdout.startswith("features.zarr is finished already; nothing was done.\n")
    assert again.stdout.endswith("Next: bench run --all\n")


@pytest.mark.slow
def test_running_on_synthetic_images_says_so_and_again_keeps_the_runs(
    bench: Bench, sample_store: FeatureStore
) -> None:
    first = bench("run", *QUICK, "--store", sample_store.path, "--results", "out")
    assert first.exit_code == 0
    assert "These are synthetic images" in first.stdout
    assert "mlp: training on 128 images" in first.stdout
    again = bench("run", *QUICK, "--store", sample_store.path, "--results", "out")
    assert again.stdout.count("kept from an earlier run") == len(QUICK)
    assert again.stdout.partition("Accuracy on")[2] == first.stdout.partition("Accuracy on")[2]


def test_a_failing_model_is_told_in_the_table_and_by_the_exit_status(
    bench: Bench, tmp_path: Path, jpeg: Callable[..., bytes]
) -> None:
    for seed, folder in enumerate(["train/joy"] * 8 + ["val/calm", "test/calm"]):
        (tmp_path / "one" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "one" / folder / f"{seed}.jpg").write_bytes(jpeg(seed))
    bench("extract", "one", *SMALL)
    result = bench("run", "--all")
    tried = [name for name, entry in MODELS.items() if "images" not in entry.learns_from]
    assert f"failed: {'; '.join(tried)}; see the reasons above" in assert_one_line(result)
    assert "ValueError: MLP needs two classes" in result.stdout
    assert "ValueError: ResNet needs two classes" in result.stdout
    with open("results/results.csv", newline="") as file:
        found = {row["model"]: row["status"] for row in csv.DictReader(file)}
    assert found == {name: "failed" if name in tried else "skipped" for name in MODELS}


def test_a_missing_source_is_one_line(bench: Bench, tmp_path: Path) -> None:
    assert "nowhere: no such file or folder" in assert_one_line(bench("extract", "nowhere"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_missing_store_is_one_line(bench: Bench, command: str) -> None:
    text = assert_one_line(bench(command))
    assert "features.zarr: there is no store here" in text
    assert "bench extract" in text


def test_running_on_a_missing_store_is_one_line_and_makes_no_results(
    bench: Bench, tmp_path: Path
) -> None:
    assert "there is no store here" in assert_one_line(bench("run", "--all"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("inspect",), ("verify",), ("run", "pca-svm", "--store")])
def test_an_unfinished_store_is_one_line(
    bench: Bench, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "s.zarr" / ".staging").mkdir(parents=True)
    assert "has not finished" in assert_one_line(bench(*command, "s.zarr"))


def test_a_damaged_store_is_told_place_by_place(bench: Bench, damaged: Path) -> None:
    (damaged / "notes.txt").write_text("mine")
    result = bench("verify", damaged)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{damaged}/labels/c/0: checksum differs (rows 0 to 159 of labels)",
        f"{damaged}/notes.txt: is not part of the store",
        f"Error: {damaged} is damaged in 2 places; delete it and give its `bench extract` command "
        "again",
    ]


def test_files_too_many_are_no_damage_of_the_store(bench: Bench, store_copy: Path) -> None:
    (store_copy / "notes.txt").write_text("mine")
    result = bench("verify", store_copy)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {store_copy} itself is sound, but 1 file in it is not part of")


@pytest.mark.parametrize(
    ("labels", "each", "said"),
    [
        (["joy"], 6, "All images have the label joy; classifiers need two."),
        (["calm", "joy"], 2, "No image is for development and testing: there are too few"),
    ],
)
def test_a_store_that_nothing_can_be_learned_on_is_told(
    bench: Bench, jpeg: Callable[..., bytes], labels: list[str], each: int, said: str
) -> None:
    for seed, label in enumerate(labels * each):
        Path("few", label).mkdir(parents=True, exist_ok=True)
        Path("few", label, f"{seed}.jpg").write_bytes(jpeg(seed))
    result = bench("extract", "few", "--store", "a few.zarr", *SMALL)
    assert result.exit_code == 0
    assert said in result.stdout
    assert "Next:" not in result.stdout
    assert said in bench("run", "linear-probe", "--store", "a few.zarr").stderr


def test_an_image_under_two_labels_is_told(bench: Bench, photo_folder: Path) -> None:
    shutil.copy(photo_folder / "calm" / "0.jpg", photo_folder / "joy" / "same.jpg")
    result = bench("extract", photo_folder, "--store", "s.zarr", *SMALL)
    assert "\n1 image has another label as often as theirs; the first of them" in result.stdout


def test_the_next_command_can_be_given_as_it_is_printed(bench: Bench, photo_folder: Path) -> None:
    result = bench("extract", photo_folder, "--store", "my photos.zarr", *SMALL)
    assert result.stdout.endswith("Next: bench run --all --store 'my photos.zarr'\n")


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_root_that_can_not_be_read_is_one_line(bench: Bench, damaged: Path, command: str) -> None:
    (damaged / "zarr.json").write_text("{")
    assert "zarr.json: can't be read" in assert_one_line(bench(command, damaged))


@pytest.mark.parametrize("command", [("inspect",), ("run", "pca-svm", "--store")])
def test_reading_damaged_labels_is_one_line(
    bench: Bench, damaged: Path, command: tuple[str, ...]
) -> None:
    text = assert_one_line(bench(*command, damaged))
    assert "damaged.zarr/labels: can't be read" in text
    assert "bench verify" in text


def test_running_nothing_or_all_and_one_is_wrong_usage(bench: Bench) -> None:
    for arguments in ((), ("--all", "mlp")):
        assert "either --all or the models" in assert_usage(bench("run", *arguments))


def test_running_as_told_is_a_row_that_says_so(bench: Bench, sample_store: FeatureStore) -> None:
    options = ("--store", sample_store.path, "--group", "polarity", "--soft-labels")
    result = bench("run", "linear-probe", "pca-svm", *options, "--class-weight", "balanced")
    assert result.exit_code == 0
    assert "pca-svm: skipped, it can't learn from soft labels" in result.stdout
    assert "positive: amusement, awe, contentment, excitement" in result.stdout
    assert "default+soft-labels+balanced" in result.stdout
    other = bench("run", "linear-probe", "--store", sample_store.path)
    assert "holds results with other groups of labels" in assert_one_line(other)


def test_results_are_shown_again_without_training(bench: Bench, sample_store: FeatureStore) -> None:
    where = ("--store", sample_store.path)
    ran = bench("run", "pca-svm", "linear-probe", *where, "--group", "polarity")
    page = Path("results/report.html")
    before = page.read_bytes()
    page.unlink()
    shown = bench("report", *where)
    assert shown.exit_code == 0
    assert "training" not in shown.output
    assert shown.stdout == ran.stdout[ran.stdout.index("Accuracy on") :]
    assert page.read_bytes() == before


def test_a_report_on_no_results_or_another_store_is_one_line(
    bench: Bench, sample_store: FeatureStore, photo_folder: Path
) -> None:
    where = ("--store", sample_store.path)
    assert "nowhere: holds no results" in assert_one_line(bench("report", "nowhere", *where))
    assert not Path("nowhere").exists()
    bench("run", "pca-svm", *where)
    assert "there is no store here" in assert_one_line(bench("report"))
    bench("extract", photo_folder, *SMALL)
    assert "holds results on another store" in assert_one_line(bench("report"))


@pytest.mark.slow
def test_a_time_budget_that_is_used_up_has_an_exit_status_of_its_own(
    bench: Bench, sample_store: FeatureStore
) -> None:
    command = ("run", "pca-svm", "linear-probe", "--store", sample_store.path, "--seeds", 2)
    result = bench(*command, "--time-budget", 1e-9)
    assert result.exit_code == 3
    assert "pca-svm, seed 1: not begun" in result.stdout
    assert "2 of 2 seeds unfinished: the time budget was used up" in result.stdout
    assert result.stderr.startswith("The time budget is used up; unfinished: pca-svm, seed 0; ")
    again = bench(*command, "--time-budget", 60)
    assert again.exit_code == 0
    assert again.stdout.count("training on") == 4
    assert "unfinished" not in again.output


def test_a_forced_run_says_that_it_goes_on_without_force(
    bench: Bench, sample_store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "pca-svm", "--store", sample_store.path, "--force")
    result = bench(*command, "--time-budget", 1e-9)
    assert result.exit_code == 3
    assert "used up; give the same command again without --force to go on" in result.stdout
    assert result.stderr.endswith("Give the same command again without --force to go on.\n")

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench._runner.run_models", stop)
    for options, without in ((command, " without --force"), (command[:-1], "")):
        result = bench(*options)
        assert result.exit_code == 130
        assert result.stderr == f"\nStopped. Give the same command again{without} to go on.\n"


@pytest.mark.parametrize(
    "options",
    [
        *(("--seeds", 0), ("--time-budget", 0), ("--seeds", "many"), ("--seed", -1)),
        *(("--seed", 2**32), ("--seeds", 2, "--seed", 2**32 - 1)),
    ],
)
def test_senseless_numbers_are_wrong_usage(bench: Bench, options: tuple[str, object]) -> None:
    assert options[0] in assert_usage(bench("run", "mlp", *options))


@pytest.mark.slow
def test_two_folders_of_results_are_compared(
    bench: Bench, sample_store: FeatureStore, photo_folder: Path
) -> None:
    where = ("--store", sample_store.path)
    bench("run", "pca-svm", *where, "--results", "one")
    bench("run", "pca-svm", "linear-probe", *where, "--results", "two")
    same = bench("compare", "one", "two")
    assert same.exit_code == 0
    assert "data: the same store" in same.stdout
    assert "code: the same" in same.stdout
    assert "+0.0 (0.0 .. 0.0)" in same.stdout
    assert same.stdout.endswith("only in B: linear probe, default\n")
    assert "nowhere: holds no results" in assert_one_line(bench("compare", "one", "nowhere"))


@pytest.mark.slow
def test_the_report_preset_is_run_beside_the_default(
    bench: Bench, sample_store: FeatureStore
) -> None:
    for preset in ("default", "report"):
        result = bench("run", "pca-svm", "--store", sample_store.path, "--preset", preset)
        assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if line.startswith("PCA + SVM")]
    assert [line.split()[3] for line in lines] == ["default", "report"]


@pytest.mark.parametrize("group", ["mood", "a=joy"])
def test_a_group_that_makes_no_sense_is_one_line(
    bench: Bench, sample_store: FeatureStore, group: str
) -> None:
    arguments = ("--store", sample_store.path, "--group", group, "--group", "b=fear")
    assert "--group" in assert_one_line(bench("run", "mlp", *arguments))


def test_an_unknown_model_is_one_line(bench: Bench) -> None:
    text = assert_one_line(bench("run", "vgg"))
    assert "no model is called 'vgg'; there are mlp, pca-svm, " in text


def test_an_unknown_backbone_is_one_line(bench: Bench, photo_folder: Path) -> None:
    text = assert_one_line(bench("extract", photo_folder, "--backbone", "vgg"))
    assert "no backbone is called 'vgg'" in text


def test_missing_weights_are_one_line(bench: Bench, photo_folder: Path) -> None:
    text = assert_one_line(bench("extract", photo_folder, "--weights", "nowhere.h5"))
    assert "nowhere.h5: no such weights file" in text


@pytest.mark.parametrize("labels", ["a", "a,a", "a,,b", ""])
def test_labels_must_be_two_different_names(bench: Bench, labels: str) -> None:
    text = assert_usage(bench("extract", "list.csv", "--labels", labels))
    assert "at least two different names" in text


@pytest.mark.parametrize("option", [("--labels", "a,b"), ("--label-base", "1")])
def test_label_options_are_refused_where_folders_name_the_labels(
    bench: Bench, photo_folder: Path, option: tuple[str, str]
) -> None:
    for source in (photo_folder, "sample"):
        said = assert_one_line(bench("extract", source, *option))
        assert "names its labels itself" in said


def test_a_csv_with_labels_of_ones_own(bench: Bench, photo_folder: Path) -> None:
    lines = [f"{path},{path.parent.name}" for path in sorted(photo_folder.glob("*/*.jpg"))]
    Path("list.csv").write_text("\n".join(["path,label", *lines]))
    assert "--labels" in assert_one_line(bench("extract", "list.csv", *SMALL))
    result = bench("extract", "list.csv", *SMALL, "--labels", "joy, calm ,dread")
    assert result.exit_code == 0
    assert FeatureStore("features.zarr").label_names == ("joy", "calm", "dread")


def test_files_outside_of_a_csvs_folder_are_read_only_when_told_to(
    bench: Bench, photo_folder: Path
) -> None:
    """The flag and the kind to try again are what the table of failures says."""
    names = sorted(path.relative_to(photo_folder) for path in photo_folder.rglob("*.jpg"))
    lines = [f"{name.as_posix()},{name.parts[0]}" for name in names]
    shutil.move(photo_folder / names[0], "away.jpg")
    lines[0] = f"{Path('away.jpg').resolve().as_posix()},{names[0].parts[0]}"
    (photo_folder / "list.csv").write_text("\n".join(["path,label", *lines]))
    command = ("extract", photo_folder / "list.csv", "--labels", "calm,dread,joy", *SMALL)
    told = bench(*command).output
    assert "--retry-failed outside --allow-outside" in told
    assert len(FeatureStore("features.zarr")) == len(names) - 1
    assert bench(*command, "--retry-failed", "outside", "--allow-outside").exit_code == 0
    assert len(FeatureStore("features.zarr")) == len(names)


def test_other_settings_for_a_finished_store_are_one_line(bench: Bench, photo_folder: Path) -> None:
    bench("extract", photo_folder, *SMALL)
    text = assert_one_line(bench("extract", photo_folder, *SMALL, "--seed", 1))
    assert "made with seed = 0, now it is 1" in text


def test_results_of_another_store_are_one_line(
    bench: Bench, photo_folder: Path, sample_store: FeatureStore
) -> None:
    bench("extract", photo_folder, *SMALL)
    bench("run", "pca-svm")
    text = assert_one_line(bench("run", "pca-svm", "--store", sample_store.path))
    assert "holds results on another store" in text


def test_a_folder_that_can_not_be_made_is_one_line(bench: Bench, photo_folder: Path) -> None:
    Path("file").write_text("text")
    assert "file" in assert_one_line(bench("extract", photo_folder, *SMALL, "--store", "file/s"))


@pytest.mark.slow
def test_a_network_is_trained_on_what_people_did_not_agree_on(
    bench: Bench, voted_photos: Path
) -> None:
    made = bench("extract", voted_photos, *SMALL, "--keep", "all", "--image-size", 64)
    assert made.exit_code == 0
    result = bench("run", "noisy-finetuned", "--preset", "quick")
    assert result.exit_code == 0
    images = int(result.stdout.partition("training on ")[2].split()[0])
    assert 0 < images <= 10
    assert "noisy-finetuned: ok" in result.stdout


@pytest.mark.slow
def test_the_embedded_sample_end_to_end_in_an_empty_folder_and_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "BENCH"))}
    environment = kept | {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home")}

    def bench(*arguments: str) -> str:
        command = [sys.executable, "-m", "bench", *arguments]
        run = subprocess.run(
            command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        assert "Traceback" not in run.stderr
        return run.stdout

    assert "1,600 images" in bench("extract", "--image-size", "64")
    first = bench("run", "--all")
    with (tmp_path / "work" / "results" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == set(MODELS)
    by_status = {row["model"]: row["status"] for row in rows}
    assert by_status.pop("noisy-finetuned") == "skipped"  # nobody voted on drawn images
    assert set(by_status.values()) == {"ok"}
    for row in rows[:-1]:
        assert row["seed"] == "0"
        assert row["variant"] == ("default" if row["model"] in QUICK else "quick")
        assert 0.125 < float(row["test_accuracy"]) < 1
        assert 0.125 < float(row["dev_accuracy"]) < 1
        assert 0.125 < float(row["train_accuracy"]) <= 1
        assert float(row["test_accuracy"]) == int(row["test_correct"]) / int(row["test_total"])
        assert float(row["fit_seconds"]) > 0
    assert "synthetic images" in first
    assert bench("run", "--all").count("kept from an earlier run") == len(MODELS) - 1
    assert list((tmp_path / "work" / "results" / "runs").rglob("*checkpoint*")) == []
