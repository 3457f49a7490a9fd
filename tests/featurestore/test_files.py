"""Files: written whole or not at all, and their checksums."""

import hashlib
import json
from pathlib import Path

from featurestore._files import checksum, hash_object, list_objects, write_durably


def test_a_durable_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("old")
    with path.open() as reader:
        write_durably(path, json.dumps({"new": 1}).encode())
        assert reader.read() == "old"
    assert json.loads(path.read_text()) == {"new": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_objects_are_all_files_but_the_root_and_the_staging_folder(tmp_path: Path) -> None:
    for name in ("zarr.json", "images/zarr.json", "images/c/0", ".staging/lock", "a/.staging/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert list_objects(tmp_path) == ["a/.staging/x", "images/c/0", "images/zarr.json"]


def test_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_object(tmp_path / "x", durable=True) == hashlib.sha256(b"abc").hexdigest()


def test_checksum_covers_all_but_itself() -> None:
    root = {"a": 1, "b": {"c": 2}}
    assert checksum(root) == checksum(root | {"checksum": "x"})
    assert checksum(root) != checksum(root | {"a": 2})
