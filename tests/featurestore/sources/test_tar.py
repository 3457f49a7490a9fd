"""Tars of samples: what is in good ones, and that hostile ones are refused in one line."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.errors import SourceError, TooLarge, Unreadable
from featurestore.sources._tar import Member, list_members, read_member


def write(path: Path, files: dict[str, bytes], **attributes: Any) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in attributes.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_members_are_found_and_read(tmp_path: Path) -> None:
    files = {"a.jpg": b"one", "b/c.jpg": b"", "./d.jpg": b"x" * 5000, "ü" * 150 + ".jpg": b"long"}
    path = write(tmp_path / "a.tar", files)
    members = list_members(path)
    assert list(members) == ["a.jpg", "b/c.jpg", "d.jpg", "ü" * 150 + ".jpg"]
    assert [read_member(path, member) for member in members.values()] == list(files.values())


def test_folders_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.jpg").write_bytes(b"x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "b", "b")
    assert list(list_members(tmp_path / "a.tar")) == ["b/c.jpg"]


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "..\\a.jpg", ".."])
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"a\.tar: .* leads out of the tar"):
        list_members(write(tmp_path / "a.tar", {name: b""}))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.LNKTYPE, "is a link"),
        (tarfile.FIFOTYPE, "is no ordinary file"),
        (tarfile.CHRTYPE, "is no ordinary file"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, said: str) -> None:
    path = write(tmp_path / "a.tar", {"a.jpg": b""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(SourceError, match=said):
        list_members(path)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="twice"):
        list_members(write(tmp_path / "a.tar", {"a.jpg": b"1", "./a.jpg": b"2"}))


@pytest.mark.parametrize("kept", [0, 100, 511, 512, 700, 1500, 1536, 2000])
def test_a_truncated_tar_is_refused(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "a.tar", {"a.jpg": b"x" * 600, "b.jpg": b"y" * 600})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SourceError, match=r"a\.tar: (can't be read as a tar|is damaged or trunc)"):
        list_members(path)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", {"a.jpg": b"x" * 600, "b.jpg": b"y" * 600})
    data = bytearray(path.read_bytes())
    data[1536 + 5] ^= 1  # tarfile would take the second header for the end
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged or truncated at byte 1,536"):
        list_members(path)


def test_compressed_tars_and_other_files_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 1000)
    for name in ("a.tar", "b.tar"):
        with pytest.raises(SourceError, match="can't be read as a tar"):
            list_members(tmp_path / name)


@pytest.mark.parametrize("size", [-1024, -512, -1, 10**18])
def test_a_size_that_is_none_is_refused_and_ends(tmp_path: Path, size: int) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.jpg")
        member.pax_headers = {"size": str(size)}
        archive.addfile(member)
        archive.addfile(tarfile.TarInfo("b.jpg"))
    with pytest.raises(SourceError, match=r"a\.tar: "):
        list_members(tmp_path / "a.tar")


def test_random_damage_gives_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", {f"{'long' * 40}{k}.jpg": b"x" * 50 for k in range(4)})
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        bad = bytearray(good)
        bad[rng.integers(8192)] = rng.integers(256)
        path.write_bytes(bad)
        try:
            list_members(path)
        except SourceError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - others are sound where it matters
    assert refused > 50


def test_a_sparse_file_that_no_memory_holds_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    member = tarfile.TarInfo("a.json")
    member.size = 2**40
    with path.open("wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.truncate(512 + 2**40 + 1024)
    with pytest.raises(TooLarge, match=r"a\.tar: 1,099,511,627,776 bytes"):
        read_member(path, list_members(path)["a.json"])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize("harm", [Path.unlink, cut])
def test_a_tar_that_changes_later_is_a_failure(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = write(tmp_path / "a.tar", {"a.jpg": b"x" * 600})
    (member,) = list_members(path).values()
    assert member == Member(512, 600)
    harm(path)
    with pytest.raises(Unreadable, match=r"a\.tar"):
        read_member(path, member)
