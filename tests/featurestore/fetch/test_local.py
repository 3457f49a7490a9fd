"""From a location to its bytes, or to a typed failure."""

import os
from pathlib import Path

import pytest

from featurestore.errors import BadUrl, NotFound, Outside, TooLarge, Unreadable
from featurestore.fetch import fetch_file, fetch_location


def test_a_relative_path_is_read_from_the_base(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(b"bytes")
    assert fetch_location("deep/a.jpg", tmp_path) == b"bytes"


def test_an_absolute_path_needs_no_base(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"bytes")
    place = str(tmp_path / "a.jpg")
    assert fetch_location(place, tmp_path) == b"bytes"
    assert fetch_location(place, Path("/nowhere"), allow_outside=True) == b"bytes"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a secret beside it, and links to that and to itself."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    made = tmp_path / "list"
    (made / "deep").mkdir(parents=True)
    (made / "a.jpg").write_bytes(b"bytes")
    (made / "link.jpg").symlink_to("../secret.jpg")
    (made / "away").symlink_to(tmp_path)
    (made / "here.jpg").symlink_to("a.jpg")
    (made / "loop.jpg").symlink_to("loop.jpg")
    return made


@pytest.mark.parametrize(
    "place",
    [
        *("../secret.jpg", "deep/../../secret.jpg", "{out}", "file://{out}", "FILE://{out}"),
        *("link.jpg", "away/secret.jpg", "../gone.jpg", "file://{out}/../secret.jpg"),
    ],
)
def test_what_leads_out_of_the_folder_is_refused(base: Path, place: str) -> None:
    """Also what isn't there: a list must not find out which files a computer has."""
    location = place.format(out=base.parent / "secret.jpg")
    with pytest.raises(Outside, match="lies outside of"):
        fetch_location(location, base)


@pytest.mark.parametrize("place", ["../secret.jpg", "link.jpg", "away/secret.jpg"])
def test_what_leads_out_of_the_folder_is_read_where_that_is_allowed(base: Path, place: str) -> None:
    assert fetch_location(place, base, allow_outside=True) == b"secret"


@pytest.mark.parametrize("place", ["deep/../a.jpg", "here.jpg", "../list/a.jpg", "away/list/a.jpg"])
def test_what_leads_back_into_the_folder_is_read(base: Path, place: str) -> None:
    assert fetch_location(place, base) == b"bytes"


def test_a_folder_that_is_itself_reached_by_a_link_is_read(base: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(base)
    assert fetch_location("a.jpg", tmp_path / "other") == b"bytes"


def test_a_link_to_itself_is_unreadable(base: Path) -> None:
    with pytest.raises(Unreadable):
        fetch_location("loop.jpg", base)


@pytest.mark.parametrize("name", ["50%.jpg", "a%20b.jpg", "a#1.jpg", "[1].jpg", "grün.jpg"])
def test_a_path_is_taken_literally(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"bytes")
    assert fetch_location(name, tmp_path) == b"bytes"


@pytest.mark.parametrize(
    "name", ["plain.jpg", "a b.jpg", "grün.jpg", "a#1.jpg", "a%20b.jpg", "50%.jpg"]
)
def test_a_file_url_is_percent_decoded_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"bytes")
    assert fetch_location((tmp_path / name).as_uri(), tmp_path) == b"bytes"


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


def test_a_sparse_file_that_no_memory_holds_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(TooLarge, match=r"sparse\.jpg: 1,099,511,627,776 bytes; the limit is"):
        fetch_location("sparse.jpg", tmp_path)


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
