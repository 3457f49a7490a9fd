"""A store's files as the root lists them."""

import hashlib
from pathlib import Path

from featurestore._objects import hash_objects, list_objects
from featurestore._place import LocalPlace


def test_objects_are_all_files_but_the_root_and_the_staging_folder(tmp_path: Path) -> None:
    for name in ("zarr.json", "images/zarr.json", "images/c/0", ".staging/lock", "a/.staging/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert list_objects(LocalPlace(tmp_path)) == [
        *("a/.staging/x", "images/c/0", "images/zarr.json", "notes.txt")
    ]


def test_hash_of_a_file_is_its_sha256_or_the_reason_why_there_is_none(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "x").write_bytes(content)
    found = hash_objects(LocalPlace(tmp_path), ["x", "y"])
    assert found["x"] == hashlib.sha256(content).hexdigest()
    assert isinstance(found["y"], FileNotFoundError)
