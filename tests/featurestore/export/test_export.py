"""Where exports go: whole or not at all, and never over anything by accident."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import filelock
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import FeatureStoreError, StoreBusyError, StoreDamagedError
from featurestore.export import FORMATS, default_target, export_store
from featurestore.export._content import BLOCK_BYTES, Content, rows_at_a_time

FILES, FOLDERS = ("h5", "parquet", "npz"), ("tfrecord", "webdataset")


@pytest.fixture(scope="module")
def opened(finished: Path) -> FeatureStore:
    return FeatureStore(finished)


def contents(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name if path.is_dir() else "": file.read_bytes() for file in files}


@pytest.mark.slow
def test_the_same_store_gives_the_same_bytes(opened: FeatureStore, tmp_path: Path) -> None:
    first = {form: contents(export_store(opened, form, tmp_path / f"1{form}")) for form in FORMATS}
    time.sleep(2.1)  # zip's clock ticks every other second
    for form in FORMATS:
        assert contents(export_store(opened, form, tmp_path / f"2{form}")) == first[form], form


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_is_refused_and_replaced_only_when_told(
    opened: FeatureStore, tmp_path: Path, form: str
) -> None:
    path = export_store(opened, form, tmp_path / "deep" / "out")
    before = contents(path)
    with pytest.raises(FeatureStoreError, match="is there already; give another name, or --force"):
        export_store(opened, form, path)
    assert export_store(opened, form, path, force=True) == path
    assert contents(path) == before
    assert [entry.name for entry in path.parent.iterdir()] == ["out"]


def test_a_folder_of_somebodys_files_is_never_replaced(
    opened: FeatureStore, tmp_path: Path
) -> None:
    path = export_store(opened, "webdataset", tmp_path / "out")
    (path / "notes.txt").write_text("mine")
    with pytest.raises(FeatureStoreError, match="not even --force"):
        export_store(opened, "webdataset", path, force=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "metadata.json").write_text("[]")
    with pytest.raises(FeatureStoreError, match="not even --force"):
        export_store(opened, "webdataset", tmp_path / "photos", force=True)
    (tmp_path / "empty").mkdir()
    export_store(opened, "webdataset", tmp_path / "empty")


def test_a_file_is_no_folder_and_a_folder_no_file(opened: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FeatureStoreError, match="is no folder"):
        export_store(opened, "tfrecord", tmp_path / "file", force=True)
    with pytest.raises(FeatureStoreError, match="is no file"):
        export_store(opened, "h5", tmp_path, force=True)


def test_nothing_is_written_into_the_store(opened: FeatureStore, finished: Path) -> None:
    for target in (finished / "a.h5", finished / "images" / ".." / "a.h5"):
        with pytest.raises(FeatureStoreError, match="lies in the store itself"):
            export_store(opened, "h5", target)


@pytest.mark.parametrize("form", FORMATS)
def test_an_error_leaves_nothing(store: Path, tmp_path: Path, form: str) -> None:
    shard = store / "embeddings" / "mobilenet" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(StoreDamagedError, match=r"embeddings/mobilenet: can't be read .*verify"):
        export_store(FeatureStore(store), form, tmp_path / "to" / "out")
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("form", FORMATS)
def test_an_earlier_export_stays_when_a_new_one_fails(
    opened: FeatureStore, store: Path, tmp_path: Path, form: str
) -> None:
    path = export_store(opened, form, tmp_path / "to" / "out")
    before = contents(path)
    shard = store / "embeddings" / "mobilenet" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(StoreDamagedError):
        export_store(FeatureStore(store), form, path, force=True)
    assert contents(path) == before


@pytest.mark.parametrize("form", ["h5", "webdataset"])
def test_a_killed_export_leaves_nothing_under_the_name_and_goes_again(
    opened: FeatureStore, finished: Path, tmp_path: Path, form: str
) -> None:
    path = tmp_path / "to" / "out"
    kill = "lambda size: os.kill(os.getpid(), 9)"
    code = (
        "import os; from featurestore import FeatureStore; "
        "from featurestore.export import export_store; "
        f"export_store(FeatureStore({str(finished)!r}), {form!r}, {str(path)!r}, step={kill})"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, env={**os.environ})
    assert run.returncode == -9
    assert not path.exists()
    assert (tmp_path / "to" / ".out.export" / "new").exists()
    export_store(opened, form, path)
    assert contents(path) == contents(export_store(opened, form, tmp_path / "undisturbed"))
    assert [entry.name for entry in path.parent.iterdir()] == ["out"]


def test_an_export_comes_back_when_the_next_one_did_not_get_its_name(
    opened: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_store(opened, "tfrecord", tmp_path / "out")
    before = contents(path)
    rename = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("no more names")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no more names"):
        export_store(opened, "tfrecord", path, force=True)
    assert contents(path) == before
    # The same after a kill, which leaves it to the next one.
    (tmp_path / ".out.export").mkdir()
    rename(path, tmp_path / ".out.export" / "old")
    with pytest.raises(FeatureStoreError, match="is there already"):
        export_store(opened, "tfrecord", path)
    assert contents(path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("form", ["h5", "webdataset"])
def test_files_beside_it_are_somebodys_own(opened: FeatureStore, tmp_path: Path, form: str) -> None:
    for ending in ("old", "partial", "lock"):
        (tmp_path / f"out.{ending}").mkdir()
        (tmp_path / f"out.{ending}" / "mine").touch()
    for force in (False, True):
        export_store(opened, form, tmp_path / "out", force=force)
    assert sorted(path.name for path in tmp_path.rglob("mine")) == ["mine"] * 3
    assert len(list(tmp_path.iterdir())) == 4


def test_two_processes_do_not_write_the_same(opened: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / ".a.h5.export").mkdir()
    with (
        filelock.FileLock(tmp_path / ".a.h5.export" / "lock"),
        pytest.raises(StoreBusyError, match=r"a\.h5: another process is exporting"),
    ):
        export_store(opened, "h5", tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def test_a_store_that_changes_in_the_meantime_is_told(store: Path, tmp_path: Path) -> None:
    before = FeatureStore(store)
    root = store / "zarr.json"
    text = json.loads(root.read_text())
    text["attributes"]["fingerprint"] = "other"
    root.write_text(json.dumps(text))
    with pytest.raises(StoreBusyError, match="was changed while it was exported"):
        export_store(before, "npz", tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_every_byte_is_told(opened: FeatureStore, tmp_path: Path) -> None:
    for form in ("h5", "parquet", "npz"):
        begun: list[int] = []
        steps: list[int] = []
        export_store(opened, form, tmp_path / form, begin=begun.append, step=steps.append)
        assert begun == [sum(steps)] == [80 * (3072 + 4096 + 8 + 32 + 1 + 64)]


def test_large_rows_are_read_fewer_at_a_time() -> None:
    assert rows_at_a_time(3072) == 1024
    assert rows_at_a_time(3 * 512 * 512) == BLOCK_BYTES // (3 * 512 * 512) < 100
    assert rows_at_a_time(2**40) == 1


def test_columns(opened: FeatureStore) -> None:
    content = Content(opened)
    assert content.columns["id"].dtype == np.dtype("S64")
    assert len(content) == 80
    starts = [start for start, _ in content.blocks()]
    assert starts == [0]


@pytest.mark.parametrize(
    ("store", "form", "target"),
    [
        ("a/fi.zarr", "h5", "a/fi.h5"),
        ("fi", "tfrecord", "fi_tfrecord"),
        ("fi.zarr/", "webdataset", "fi_webdataset"),
        ("s3://bucket/a/fi.zarr", "h5", "fi.h5"),
        ("s3://bucket/fi.zarr/", "h5", "fi.h5"),
    ],
)
def test_default_targets(store: str, form: str, target: str) -> None:
    assert default_target(store, form) == Path(target)


def test_the_store_of_the_working_folder_goes_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fi.zarr").mkdir()
    monkeypatch.chdir(tmp_path / "fi.zarr")
    assert default_target(".", "npz") == tmp_path.resolve() / "fi.npz"
