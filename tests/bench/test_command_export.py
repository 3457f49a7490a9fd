"""``bench export`` and ``bench import``: what they print, and errors in one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result

from bench._command_export import FORMATS
from bench.cli import main
from featurestore import FeatureStore, export

Bench = Callable[..., Result]
SMALL = ("--embed-size", 32)


def assert_one_line(result: Result) -> str:
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")
    return result.stderr


@pytest.fixture
def h5_file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["image"] = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
        file["emo"] = np.eye(2)[np.arange(40) % 2]
    return tmp_path / "set.h5"


def test_the_forms_are_those_that_there_are() -> None:
    assert FORMATS == export.FORMATS


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_has_examples(bench: Bench, command: str, option: str) -> None:
    result = bench(command, option)
    assert result.exit_code == 0
    assert f"bench {command} " in result.output.split("Examples:")[1]


@pytest.mark.parametrize("command", ["export", "import"])
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from bench.cli import main; main([sys.argv[1], '--help'], "
        "standalone_mode=False); print(*sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "zarr", "h5py", "pyarrow", "tensorflow", "featurestore", "tqdm"}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        *(("h5", "sample.h5"), ("parquet", "sample.parquet"), ("npz", "sample.npz")),
        *(("tfrecord", "sample_tfrecord"), ("webdataset", "sample_webdataset")),
    ],
)
def test_an_export_goes_beside_the_store_unless_told(
    bench: Bench, sample_store: FeatureStore, tmp_path: Path, form: str, name: str
) -> None:
    (tmp_path / "sample.zarr").symlink_to(sample_store.path)
    result = bench("export", "sample.zarr", "--to", form)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{name}: 160 images, ")
    assert (tmp_path / name).is_dir() == ("." not in name)
    assert bench("export", "sample.zarr", "--to", form, "--out", "deep/other").exit_code == 0
    text = assert_one_line(bench("export", "sample.zarr", "--to", form))
    assert f"{name}: is there already; give another name, or --force to replace it" in text
    assert bench("export", "sample.zarr", "--to", form, "--force").stdout == result.stdout


def test_a_missing_store_or_form_is_told(bench: Bench, tmp_path: Path) -> None:
    assert "there is no store here" in assert_one_line(bench("export", "no.zarr", "--to", "h5"))
    for options in ((), ("--to", "pickle")):
        result = bench("export", "no.zarr", *options)
        assert result.exit_code == 2
        assert "--to" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_there_and_back(bench: Bench, sample_store: FeatureStore) -> None:
    bench("export", sample_store.path, "--to", "h5", "--out", "a.h5")
    result = bench("import", "a.h5", "--store", "b.zarr", *SMALL)
    assert result.exit_code == 0, result.stderr
    assert "b.zarr: a.h5, 160 images" in result.stdout
    assert "These are synthetic images" in result.stdout
    assert result.stdout.endswith("Next: bench run --all --store b.zarr\n")
    again = bench("import", "a.h5", "--store", "b.zarr", *SMALL)
    assert again.stdout.startswith("b.zarr is finished already; nothing was done.\n")
    assert bench("extract", "a.h5", "--store", "b.zarr", *SMALL).stdout == again.stdout
    made = FeatureStore("b.zarr")
    assert made.attributes["source"]["kind"] == "h5"
    for split in ("train", "dev", "test"):
        old, new = (
            sorted(
                zip(
                    store.labels[store.rows(split)].tolist(),
                    (store.images[i].tobytes() for i in store.rows(split)),
                    strict=True,
                )
            )
            for store in (sample_store, made)
        )
        assert old == new
    shown = bench("inspect", "b.zarr")
    assert "source kind" in shown.stdout
    assert "is sound" in bench("verify", "b.zarr").stdout


def test_settings_of_an_extraction_are_those_of_an_import(bench: Bench, h5_file: Path) -> None:
    options = (*SMALL, "--labels", "calm,tense", "--image-size", 64, "--seed", 3)
    result = bench("import", h5_file, *options, "--split", "50/25/25", "--min-side", 16)
    assert result.exit_code == 0, result.stderr
    store = FeatureStore("features.zarr")
    assert store.label_names == ("calm", "tense")
    assert store.image_sizes == (32, 64)
    assert np.bincount(store.splits).tolist() == [20, 10, 10]
    noted = store.attributes["settings"]
    assert (noted["seed"], noted["min_side"], noted["split"]) == (3, 16, "50/25/25")
    assert result.stdout.endswith("Next: bench run --all\n")
    other = assert_one_line(bench("import", h5_file, *SMALL, "--labels", "calm,tense"))
    assert "made with min_side = 16, now it is 32" in other


def test_every_option_of_extract_is_shared_or_left_out_on_purpose() -> None:
    names = {
        name: {option.name for option in main.commands[name].params}
        for name in ("extract", "import")
    }
    assert names["import"] - names["extract"] == {"label_column"}
    assert names["extract"] - names["import"] == {
        *("keep", "min_agree", "allow_outside"),  # CSVs
        "scheduler",  # on a cluster `bench extract` reads the same sources
        *("keep_originals", "threads", "per_host", "rate", "timeout", "tries", "max_bytes"),
        *("user_agent", "allow_private_hosts"),
    }


def test_what_img2dataset_wrote(bench: Bench, tmp_path: Path, jpeg: Callable[..., bytes]) -> None:
    shard = tmp_path / "laion" / "00000"
    shard.mkdir(parents=True)
    rows = []
    for number in range(10):
        key = f"{number:09}"
        rows.append({"key": key, "status": "success", "mood": ("calm", "tense")[number % 2]})
        (shard / f"{key}.jpg").write_bytes(jpeg(seed=number) if number else b"broken")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "laion" / "00000.parquet")
    assert "--label-column" in assert_one_line(bench("import", "laion", *SMALL))
    result = bench("import", "laion", "--label-column", "mood", *SMALL)
    assert result.exit_code == 0, result.stderr
    assert "laion, 9 images" in result.stdout
    failed = bench("inspect", "--failed").stdout
    assert failed.startswith("not_image\t00000/000000000.jpg\t")
    (shard / "000000000.jpg").write_bytes(jpeg(seed=0))
    retried = bench("import", "laion", "--label-column", "mood", *SMALL, "--retry-failed")
    assert "laion, 10 images" in retried.stdout


def test_a_source_that_extract_reads_is_sent_there(bench: Bench, photo_folder: Path) -> None:
    text = assert_one_line(bench("import", photo_folder, *SMALL))
    assert "photos: is no HDF5 file and no folder that img2dataset wrote" in text
    assert "bench extract" in text
    assert "no such file or folder" in assert_one_line(bench("import", "nowhere"))
    assert not Path("features.zarr").exists()


def test_a_file_that_is_damaged_is_one_line(bench: Bench, h5_file: Path) -> None:
    text = assert_one_line(bench("import", h5_file))
    assert "emo has 2 columns and nothing says what they are called" in text
    h5_file.write_bytes(h5_file.read_bytes()[:5000])
    assert "is damaged or truncated" in assert_one_line(bench("import", h5_file))


@pytest.mark.slow
def test_an_import_killed_at_many_moments_loses_nothing(
    bench: Bench, sample_store: FeatureStore, tmp_path: Path
) -> None:
    bench("export", sample_store.path, "--to", "h5", "--out", "a.h5")
    command = [sys.executable, "-m", "bench", "import", str(tmp_path / "a.h5"), "--store"]
    root = Path(__file__).parents[2]

    def run(name: str, seconds: float | None) -> bool:
        whole = [*command, str(tmp_path / name)]
        with subprocess.Popen(
            whole, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                return process.wait(seconds) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                return False

    assert run("undisturbed.zarr", None)
    seconds, kills = 1.0, 0
    while not run("killed.zarr", seconds):
        kills += 1
        seconds *= 1.3
    assert kills >= 2
    whole, killed = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.json")}
        for n in ("undisturbed.zarr", "killed.zarr")
    )
    assert whole == killed  # the root has the checksums of all files
