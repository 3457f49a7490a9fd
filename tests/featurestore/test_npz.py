"""Files of arrays that are damaged, or made to do harm."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featurestore._npz import DamagedArraysError, read_npz


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of two arrays."""
    np.savez(tmp_path / "arrays.npz", a=np.arange(3), b=np.array("text"))
    return tmp_path / "arrays.npz"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_arrays_come_back_all_or_those_named(path: Path) -> None:
    found = read_npz(path)
    assert found.keys() == {"a", "b"}
    np.testing.assert_array_equal(found["a"], [0, 1, 2])
    assert str(read_npz(str(path), ["b"])["b"]) == "text"
    with pytest.raises(DamagedArraysError, match="c is not a file"):
        read_npz(path, ["c"])


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "arrays.npz")


@pytest.mark.parametrize(
    "flip", [1, *(pytest.param(flip, marks=pytest.mark.slow) for flip in (0x20, 0xFF))]
)
def test_no_flipped_byte_is_missed(path: Path, flip: int) -> None:
    sound = path.read_bytes()
    whole = read_npz(path)
    for place in range(len(sound)):
        data = bytearray(sound)
        data[place] ^= flip
        path.write_bytes(data)
        try:
            found = read_npz(path)
        except DamagedArraysError:
            continue
        # Times, versions and the like mean nothing.
        assert found.keys() == whole.keys()
        for name, array in whole.items():
            np.testing.assert_array_equal(found[name], array)


DIRECTORY = b"PK\x01\x02"  # an entry of the zip's table of contents


def in_directory(offset: int, value: int) -> Callable[[bytearray], None]:
    """Return what changes two bytes of the first entry, and of the file's own header alike."""

    def change(data: bytearray) -> None:
        struct.pack_into("<H", data, data.index(DIRECTORY) + offset, value)
        struct.pack_into("<H", data, offset - 2, value)

    return change


# Each is what a fuzzer came upon: they end in NotImplementedError, RuntimeError and others.
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(in_directory(6, 255), id="a version to come"),
        pytest.param(in_directory(8, 1 << 5), id="patched"),
        pytest.param(in_directory(8, 1 << 6), id="strongly encrypted"),
        pytest.param(in_directory(8, 1), id="encrypted"),
        pytest.param(in_directory(10, 77), id="an unknown compression"),
    ],
)
def test_damaged_zip_headers_are_one_typed_error(
    path: Path, change: Callable[[bytearray], None]
) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    with pytest.raises(DamagedArraysError):
        read_npz(path)


@pytest.mark.parametrize(
    "header",
    ["{'descr': '<i4', 'shape': (4,), 'fortran_order': (", "'''", "{" * 3000, "[1]", ""],
)
def test_damaged_array_headers_are_one_typed_error(path: Path, header: str) -> None:
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", npy)
    with pytest.raises(DamagedArraysError):
        read_npz(path)


def test_an_array_larger_than_any_memory_is_one_typed_error(path: Path) -> None:
    content = members(path)
    content["a.npy"] = content["a.npy"].replace(b"(3,), }" + b" " * 12, b"(3000000000000000,)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(DamagedArraysError):
        read_npz(path)


def test_what_is_no_array_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"no array")
    with pytest.raises(DamagedArraysError, match="'a' is no array"):
        read_npz(path)


def test_compressed_arrays_are_refused_before_they_unfold(path: Path) -> None:
    np.savez_compressed(path, a=np.zeros(50_000_000, np.uint8))
    assert path.stat().st_size < 100_000
    with pytest.raises(DamagedArraysError, match="compressed"):
        read_npz(path)


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("sprung"),)  # type: ignore[return-value]


@pytest.mark.parametrize("form", ["member", "whole", "npy"])
def test_a_pickle_is_never_loaded(
    path: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trap = np.array([_Trap()], dtype=object)
    if form == "member":
        np.savez(path, allow_pickle=True, a=trap)
    elif form == "npy":
        buffer = io.BytesIO()
        np.save(buffer, trap, allow_pickle=True)
        path.write_bytes(buffer.getvalue())
    else:
        path.write_bytes(pickle.dumps(trap))
    with pytest.raises(DamagedArraysError):
        read_npz(path)
    assert not Path("sprung").exists()
