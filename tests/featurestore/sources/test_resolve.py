"""From what the user typed to a source."""

from pathlib import Path

import pytest

from featurestore._votes import KeepRule
from featurestore.errors import Outside, SourceError
from featurestore.sources import SourceOptions, read_source


def test_sample_is_the_synthetic_sample() -> None:
    assert read_source("sample").kind == "sample"


def test_a_folder_called_sample_needs_its_path(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_folder.rename(photo_folder.parent / "sample")
    monkeypatch.chdir(photo_folder.parent)
    assert read_source("sample").kind == "sample"
    assert read_source("./sample").kind == "folder"


def test_a_folder_of_class_folders_is_a_folder(photo_folder: Path) -> None:
    assert read_source(str(photo_folder)).kind == "folder"


@pytest.mark.parametrize("name", ["a.csv", "A.CSV"])
def test_a_folder_with_a_csv_at_its_top_is_read_by_its_csvs(photo_folder: Path, name: str) -> None:
    (photo_folder / name).write_text("path,label\njoy/0.jpg,awe\n")
    source = read_source(str(photo_folder))
    assert source.kind == "csv"
    assert [record.id for record in source.records] == ["joy/0.jpg"]


def test_a_hidden_csv_makes_no_csv_source(photo_folder: Path) -> None:
    (photo_folder / "._a.csv").write_bytes(b"\0\5\x16\7\xff")
    assert read_source(str(photo_folder)).kind == "folder"


def test_a_csv_deeper_in_a_folder_is_only_a_file(photo_folder: Path) -> None:
    (photo_folder / "joy" / "a.csv").write_text("path,label\njoy/0.jpg,awe\n")
    assert read_source(str(photo_folder)).kind == "folder"


def test_a_file_is_read_as_a_csv_whatever_its_ending(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("path,label\na.jpg,awe\n")
    assert read_source(str(tmp_path / "rows.txt")).kind == "csv"


def test_options_reach_the_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\na.jpg,2\nb.jpg,1\n")
    options = SourceOptions(("x", "y", "z"), label_base=1, keep=KeepRule("all", 1))
    source = read_source(str(tmp_path / "a.csv"), options)
    assert source.label_names == ("x", "y", "z")
    assert [record.agree for record in source.records] == [(0, 1, 0), (1, 0, 0)]
    assert source.keep == KeepRule("all", 1)


def test_a_csv_reads_files_outside_of_its_folder_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "a.csv").write_text("path,label\n../secret.jpg,awe\n")
    place = str(tmp_path / "list")
    with pytest.raises(Outside):
        read_source(place).fetch("../secret.jpg")
    allowed = read_source(place, SourceOptions(allow_outside=True))
    assert allowed.fetch("../secret.jpg") == b"secret"
    assert allowed.fingerprint() == read_source(place).fingerprint()


def test_a_missing_source_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder; give 'sample'"):
        read_source(str(tmp_path / "gone"))


@pytest.mark.parametrize("options", [SourceOptions(labels=("a", "b")), SourceOptions(label_base=0)])
def test_label_names_are_refused_where_the_source_has_its_own(
    photo_folder: Path, options: SourceOptions
) -> None:
    for name in ("sample", str(photo_folder)):
        with pytest.raises(SourceError, match="this source names its labels itself"):
            read_source(name, options)
