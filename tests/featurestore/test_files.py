"""Files: written whole or not at all, and checksums."""

import json
from pathlib import Path

from featurestore._files import checksum, write_durably


def test_a_durable_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("old")
    with path.open() as reader:
        write_durably(path, json.dumps({"new": 1}).encode())
        assert reader.read() == "old"
    assert json.loads(path.read_text()) == {"new": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_checksum_covers_all_but_itself() -> None:
    root = {"a": 1, "b": {"c": 2}}
    assert checksum(root) == checksum(root | {"checksum": "x"})
    assert checksum(root) != checksum(root | {"a": 2})
