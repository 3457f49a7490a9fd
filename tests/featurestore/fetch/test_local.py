"""From a location to its bytes, or to a typed failure."""

import os
from pathlib import Path

import pytest

from featurestore.errors import BadUrl, NotFound, Unreadable
from featurestore.fetch import fetch_file, fetch_location


def test_a_relative_path_is_read_from_the_base(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(b"bytes")
    assert fetch_location("deep/a.jpg", tmp_path) == b"bytes"


def test_an_absolute_path_needs_no_base(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"bytes")
    assert fetch_location(str(tmp_path / "a.jpg"), Path("/nowhere")) == b"bytes"


@pytest.mark.parametrize("name", ["50%.jpg", "a%20b.jpg", "a#1.jpg", "[1].jpg", "grün.jpg"])
def test_a_path_is_taken_literally(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"bytes")
    assert fetch_location(name, tmp_path) == b"bytes"


@pytest.mark.parametrize(
    "name", ["plain.jpg", "a b.jpg", "grün.jpg", "a#1.jpg", "a%20b.jpg", "50%.jpg"]
)
def test_a_file_url_is_percent_decoded_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"bytes")
    assert fetch_location((tmp_path / name).as_uri(), Path("/nowhere")) == b"bytes"


@pytest.mark.parametrize("name", ["gone.jpg", "gone/a.jpg", "a.txt/b.jpg"])
def test_a_missing_file_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(NotFound, match="no such file"):
        fetch_location(name, tmp_path)


def test_a_missing_file_url_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        fetch_location((tmp_path / "gone.jpg").as_uri(), tmp_path)


def test_a_directory_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="not a regular file"):
        fetch_file(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.timeout(10)
def test_a_named_pipe_is_unreadable_and_nobody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(Unreadable, match="not a regular file"):
        fetch_location("pipe.jpg", tmp_path)


def test_a_nul_in_the_path_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        fetch_location("a\0b.jpg", tmp_path)


def test_a_name_too_long_for_the_system_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        fetch_location("a" * 5000, tmp_path)


@pytest.mark.parametrize("location", ["ftp://example.org/a.jpg", "s3://bucket/a.jpg", "://a.jpg"])
def test_other_addresses_are_unsupported(tmp_path: Path, location: str) -> None:
    with pytest.raises(BadUrl):
        fetch_location(location, tmp_path)


def test_a_malformed_address_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(BadUrl):
        fetch_location("ftp://[broken/a.jpg", tmp_path)
