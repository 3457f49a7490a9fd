"""Folder sources: class folders, with or without a split level."""

import errno
import os
from pathlib import Path

import pytest

from featurestore._labels import MIKELS
from featurestore._records import Source
from featurestore.errors import NotFound, SourceError
from featurestore.sources import read_folder


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def labels(source: Source) -> dict[str, str]:
    return {record.id: source.label_names[record.agree.index(1)] for record in source.records}


def splits(source: Source) -> dict[str, str]:
    return {record.id: record.split for record in source.records}


def test_class_folders_give_labels_and_no_splits(photo_folder: Path) -> None:
    source = read_folder(photo_folder)
    assert (source.kind, source.title, source.is_fi) == ("folder", "photos", False)
    assert source.label_names == ("calm", "dread", "joy")
    assert len(source.records) == 30
    assert all(name.split("/")[0] == label for name, label in labels(source).items())
    assert set(splits(source).values()) == {""}


def test_each_image_has_one_vote(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "calm/a.jpg", "joy/b.jpg"))
    assert [(r.agree, r.disagree) for r in source.records] == [((1, 0), (0, 0)), ((0, 1), (0, 0))]


def test_records_are_sorted_and_can_be_fetched(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "joy/b.jpg", "joy/a.jpg", "calm/z.jpg"))
    ids = [record.id for record in source.records]
    assert ids == ["calm/z.jpg", "joy/a.jpg", "joy/b.jpg"]
    assert [source.fetch(name) for name in ids] == [name.encode() for name in ids]
    with pytest.raises(NotFound):
        source.fetch("joy/gone.jpg")


@pytest.mark.parametrize(
    ("dev", "test"),
    [("dev", "test"), ("val", "test"), ("valid", "Testing"), ("Validation", "TEST")],
)
def test_split_folders_give_splits(tmp_path: Path, dev: str, test: str) -> None:
    fill(tmp_path, "train/joy/a.jpg", f"{dev}/joy/a.jpg", f"{test}/calm/a.jpg")
    source = read_folder(tmp_path)
    assert splits(source) == {
        "train/joy/a.jpg": "train",
        f"{dev}/joy/a.jpg": "dev",
        f"{test}/calm/a.jpg": "test",
    }
    assert source.label_names == ("calm", "joy")
    assert labels(source)[f"{test}/calm/a.jpg"] == "calm"


def test_a_lone_train_folder_is_enough(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "Training/joy/a.jpg"))
    assert splits(source) == {"Training/joy/a.jpg": "train"}


def test_split_folders_beside_class_folders_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/joy/a.jpg", "test/joy/a.jpg", "calm/a.jpg")
    with pytest.raises(SourceError, match=r"split folders \(test, train\) beside others \(calm\)"):
        read_folder(tmp_path)


def test_splits_without_train_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "val/joy/a.jpg", "test/joy/a.jpg")
    with pytest.raises(SourceError, match="no train folder"):
        read_folder(tmp_path)


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    fill(tmp_path, "joy/a.jpg", "joy/.DS_Store", "joy/.thumbs/a.jpg", ".git/config", ".hidden")
    fill(tmp_path, "__MACOSX/._joy")
    assert list(labels(read_folder(tmp_path))) == ["joy/a.jpg"]


def test_a_hidden_folder_beside_splits_is_no_class(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "train/joy/a.jpg", ".cache/joy/b.jpg"))
    assert list(labels(source)) == ["train/joy/a.jpg"]


def test_files_beside_the_class_folders_are_no_records(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "joy/a.jpg", "README.md"))
    assert list(labels(source)) == ["joy/a.jpg"]


def test_folders_within_a_class_belong_to_it(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "joy/2019/may/a.jpg", "joy/test/b.jpg", "calm/a.jpg"))
    assert labels(source) == {
        "calm/a.jpg": "calm",
        "joy/2019/may/a.jpg": "joy",
        "joy/test/b.jpg": "joy",
    }


def test_linked_folders_within_a_class_belong_to_it(tmp_path: Path) -> None:
    fill(tmp_path / "more", "b.jpg", "deep/c.jpg", ".hidden.jpg")
    root = fill(tmp_path / "set", "joy/a.jpg", "calm/a.jpg", "calm/.kept/d.jpg")
    (root / "joy" / "more").symlink_to(tmp_path / "more")
    (root / "calm" / "kept").symlink_to(".kept")
    assert labels(read_folder(root)) == {
        "calm/a.jpg": "calm",
        "calm/kept/d.jpg": "calm",
        "joy/a.jpg": "joy",
        "joy/more/b.jpg": "joy",
        "joy/more/deep/c.jpg": "joy",
    }


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", "joy/a.jpg", "joy/one/b.jpg", "joy/two/c.jpg")
    fill(tmp_path / "out", "d.jpg")
    for link, target in {
        "joy/self": ".",
        "joy/one/up": "..",
        "joy/one/two": "../two",
        "joy/two/one": "../one",
        "joy/two/out": tmp_path / "out",
    }.items():
        (root / link).symlink_to(target)
    (tmp_path / "out" / "back").symlink_to(root / "joy")
    found = list(labels(read_folder(root)))
    assert {"joy/a.jpg", "joy/one/b.jpg", "joy/two/c.jpg", "joy/two/out/d.jpg"} <= set(found)
    assert len(found) < 10


def test_a_folder_that_can_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images would be lacking without a word. (To root no folder is closed.)"""
    fill(tmp_path, "joy/a.jpg", "joy/closed/b.jpg")
    scandir = os.scandir

    def refuse(place: str | Path) -> object:
        if Path(place).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match="closed: Permission denied; make it readable or move"):
        read_folder(tmp_path)


def test_files_that_are_no_images_become_records(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "joy/notes.txt", "joy/a", "joy/Thumbs.db"))
    assert sorted(labels(source)) == ["joy/Thumbs.db", "joy/a", "joy/notes.txt"]


def test_mikels_names_get_the_canonical_order(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "sadness/a.jpg", "awe/a.jpg"))
    assert source.label_names == MIKELS
    assert labels(source) == {"awe/a.jpg": "awe", "sadness/a.jpg": "sadness"}


def test_mikels_names_count_in_upper_case_too(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "Sadness/a.jpg", "AWE/a.jpg"))
    assert source.label_names == MIKELS
    assert labels(source) == {"AWE/a.jpg": "awe", "Sadness/a.jpg": "sadness"}


def test_other_names_are_sorted_and_keep_their_case(tmp_path: Path) -> None:
    source = read_folder(fill(tmp_path, "awe/a.jpg", "Zen/a.jpg", "joy/a.jpg"))
    assert source.label_names == ("Zen", "awe", "joy")


@pytest.mark.parametrize("names", [(), ("a.jpg",), ("joy/.hidden",), ("train/a.jpg",)])
def test_a_folder_without_images_in_class_folders_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(SourceError, match="no images in class folders"):
        read_folder(fill(tmp_path, *names))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gone: "):
        read_folder(tmp_path / "gone")
