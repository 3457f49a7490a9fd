"""Committing: all files of a change get into a store, or none."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from featurestore import ExtractSettings, FeatureStore, Source, extract, read_source, verify
from featurestore.errors import StoreDamagedError, StoreUnfinishedError


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_after(moved: int) -> Callable[[Path, Path], Path]:
    """Return a ``Path.replace`` that ends the process once so many files are in the store."""
    move, count = Path.replace, 0

    def replace(path: Path, target: Path) -> Path:
        nonlocal count
        if "next" in path.parts and "next" not in target.parts:
            count += 1
            if count > moved:
                raise Killed
        return move(path, target)

    return replace


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "moved", [1, 52, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 25, 51))]
)
def test_a_commit_that_was_cut_short_is_ended_by_the_next_start(
    finished: Path,
    small_sample: Source,
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moved: int,
) -> None:
    store = tmp_path / "s"
    move = Path.replace
    monkeypatch.setattr(Path, "replace", killed_after(moved))
    with pytest.raises(Killed):
        extract(small_sample, store, settings)
    monkeypatch.setattr(Path, "replace", move)
    with pytest.raises(StoreUnfinishedError, match="on their way into it"):
        FeatureStore(store)
    nothing_to_fetch = replace(small_sample, fetch=lambda location: b"")
    extract(nothing_to_fetch, store, settings)
    assert tree(store) == tree(finished)
    assert verify(store) == []


def test_a_journal_of_somebody_else_moves_nothing_out_of_the_store(
    store: Path, tmp_path: Path, small_sample: Source, settings: ExtractSettings
) -> None:
    (tmp_path / "mine").write_text("mine")
    (store / ".staging" / "next").mkdir(parents=True)
    (store / ".staging" / "commit.json").write_text('["../../../mine"]')
    (tmp_path / "copy.zarr" / ".staging" / "other").write_text("other")
    extract(small_sample, store, settings)
    assert (tmp_path / "mine").read_text() == "mine"
    assert verify(store) == []


def test_a_damaged_store_gets_no_rows(
    photo_folder: Path, heal: Callable[[], object], settings: ExtractSettings, tmp_path: Path
) -> None:
    source, store = read_source(str(photo_folder)), tmp_path / "s"
    extract(source, store, settings)
    heal()
    shard = store / "embeddings" / "mobilenet" / "c" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[1000] ^= 64
    shard.write_bytes(content)
    with pytest.raises(
        StoreDamagedError, match=r"c/0/0: checksum differs .*; make the store again"
    ):
        extract(source, store, settings, retry=["not_image"])
    assert len(verify(store)) == 1
    content[1000] ^= 64
    shard.write_bytes(content)
    assert len(extract(source, store, settings, retry=["not_image"])) == 30


@pytest.mark.parametrize("moved", [0, 20, 999])
@pytest.mark.slow
def test_retried_records_are_appended_once_however_the_commit_was_cut_short(
    photo_folder: Path,
    heal: Callable[[], object],
    settings: ExtractSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moved: int,
) -> None:
    source, store = read_source(str(photo_folder)), tmp_path / "s"
    extract(source, store, settings)
    heal()
    copy = tmp_path / "undisturbed"
    shutil.copytree(store, copy)
    extract(source, copy, settings, retry=["not_image"])

    clear = shutil.rmtree

    def killed_while_clearing(path: Path, **options: bool) -> None:
        if path.name == "segments":
            raise Killed
        clear(path, **options)

    monkeypatch.setattr(Path, "replace", killed_after(moved))
    monkeypatch.setattr(shutil, "rmtree", killed_while_clearing)
    with pytest.raises(Killed):
        extract(source, store, settings, retry=["not_image"])
    monkeypatch.undo()
    after = extract(source, store, settings, retry=["not_image"])
    assert len(after) == 30
    assert tree(store) == tree(copy)
    assert verify(store) == []
