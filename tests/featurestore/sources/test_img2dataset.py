"""Folders that img2dataset wrote, as files and as tars."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import ExtractSettings, FeatureStore, extract, read_source, verify
from featurestore._labels import MIKELS
from featurestore._records import Record, Source
from featurestore.errors import NotFound, Outside, SourceError
from featurestore.export import export_store
from featurestore.sources import SourceOptions, read_img2dataset
from featurestore.sources._img2dataset import _FetchById

Write = Callable[..., Path]
Row = dict[str, Any]


def rows_of(shard: int, moods: tuple[Any, ...]) -> list[Row]:
    return [
        {
            "key": f"{shard:05}{number:04}",
            "status": "success",
            "error_message": None,
            "url": f"https://example.org/{shard}/{number}.jpg",
            "caption": "a picture",
            "mood": mood,
        }
        for number, mood in enumerate(moods)
    ]


FAILED = {"status": "failed_to_download", "error_message": "HTTP Error 404: Not Found"}


@pytest.fixture
def write(tmp_path: Path, jpeg: Callable[..., bytes]) -> Write:
    """Return a function that writes shards of these rows as img2dataset does."""

    def files_of(row: Row, **more: bytes) -> dict[str, bytes]:
        picture = jpeg(seed=int(row["key"]))
        about = json.dumps(row, indent=4).encode()
        files = {".jpg": picture, ".txt": b"a picture", ".json": about, **more}
        return {f"{row['key']}{ending}": data for ending, data in files.items()}

    def make(*shards: list[Row], form: str = "files", parquet: bool = True) -> Path:
        root = tmp_path / "laion"
        root.mkdir()
        for number, rows in enumerate(shards):
            name = f"{number:05}"
            files: dict[str, bytes] = {}
            for row in rows:
                files |= files_of(row) if row["status"] == "success" else {}
            if form == "files":
                (root / name).mkdir()
                for file, data in files.items():
                    (root / name / file).write_bytes(data)
            else:
                with tarfile.open(root / f"{name}.tar", "w") as archive:
                    for file, data in files.items():
                        member = tarfile.TarInfo(file)
                        member.size = len(data)
                        archive.addfile(member, io.BytesIO(data))
            if parquet:
                pq.write_table(pa.Table.from_pylist(rows), root / f"{name}.parquet")
            (root / f"{name}_stats.json").write_text("{}")
        return root

    return make


def labels(source: Source) -> dict[str, str]:
    return {r.id: source.label_names[r.agree.index(1)] for r in source.records if not r.kind}


def bad(source: Source) -> list[Record]:
    return [record for record in source.records if record.kind]


@pytest.mark.parametrize("parquet", [True, False])
@pytest.mark.parametrize(("form", "ending"), [("files", ""), ("webdataset", ".tar")])
def test_images_and_labels_of_all_shards(
    write: Write, jpeg: Callable[..., bytes], form: str, ending: str, parquet: bool
) -> None:
    shards = rows_of(0, ("calm", "tense", "calm")), rows_of(1, ("tense",))
    root = write(*shards, form=form, parquet=parquet)
    source = read_img2dataset(root, label_column="mood")
    assert (source.kind, source.title, source.synthetic) == ("img2dataset", "laion", False)
    assert source.label_names == ("calm", "tense")
    assert labels(source) == {
        f"00000{ending}/000000000.jpg": "calm",
        f"00000{ending}/000000001.jpg": "tense",
        f"00000{ending}/000000002.jpg": "calm",
        f"00001{ending}/000010000.jpg": "tense",
    }
    assert [source.fetch(r.id) for r in source.records] == [jpeg(k) for k in (0, 1, 2, 10000)]
    assert source.records[3].origin == "https://example.org/1/0.jpg"


@pytest.mark.parametrize("form", ["files", "tars"])
def test_what_is_sent_elsewhere_knows_no_other_images(write: Write, form: str) -> None:
    folder = write(rows_of(0, ("awe", "fear", "anger")), form=form)
    source = read_img2dataset(folder, label_column="mood")
    assert isinstance(source.fetch, _FetchById)
    first, second = (record.id for record in source.records[:2])
    there = pickle.loads(pickle.dumps(source.fetch.only([first])))
    assert there(first) == source.fetch(first)
    with pytest.raises(KeyError):
        there(second)


def test_addresses_without_an_image_become_failures(
    write: Write, tmp_path: Path, settings: ExtractSettings
) -> None:
    rows = rows_of(0, ("calm", "tense", "calm", "tense"))
    rows[1] |= FAILED
    root = write(rows)
    (root / "00000" / "000000003.jpg").unlink()
    source = read_img2dataset(root, label_column="mood")
    assert len(source.records) == 4
    with pytest.raises(NotFound, match="has not downloaded it: HTTP Error 404: Not Found"):
        source.fetch("00000/000000001")
    store = extract(source, tmp_path / "s.zarr", settings)
    manifest = store.manifest()
    found = {manifest["id"][i]: manifest["detail"][i] for i in range(4) if manifest["kind"][i]}
    assert found == {
        "00000/000000001": "img2dataset has not downloaded it: HTTP Error 404: Not Found",
        "00000/000000003": "img2dataset has not downloaded it: it is missing, but was downloaded",
    }
    assert set(manifest["kind"].tolist()) == {"", "not_found"}
    assert len(store) == 2


def test_images_that_nothing_is_said_of_become_failures(write: Write) -> None:
    root = write(rows_of(0, ("calm", None, " ", "tense")))
    (root / "00000" / "99.png").write_bytes(b"x")
    source = read_img2dataset(root, label_column="mood")
    assert [(r.id, r.kind, r.detail) for r in bad(source)] == [
        ("00000/000000001.jpg", "bad_row", "has no label"),
        ("00000/000000002.jpg", "bad_row", "has no label"),
        ("00000/99.png", "bad_row", "is not in 00000.parquet"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "its .json can't be read"),
        ("[" * 100_000, "its .json can't be read"),
        ("[]", "its .json is no object"),
        ('{"mood": ["calm"]}', "has no label"),
        (None, "has no .json beside it"),
    ],
)
def test_a_json_that_is_none_is_a_failure_of_its_image(
    write: Write, text: str | None, said: str
) -> None:
    root = write(rows_of(0, ("calm", "tense")), parquet=False)
    path = root / "00000" / "000000001.json"
    path.unlink() if text is None else path.write_text(text)
    (record,) = bad(read_img2dataset(root, label_column="mood"))
    assert record.id == "00000/000000001.jpg"
    assert record.detail.startswith(said)


def test_usual_columns_are_found_and_others_have_to_be_named(write: Write) -> None:
    rows = rows_of(0, ("calm", "tense"))
    root = write(rows)
    with pytest.raises(SourceError, match=r"no column 'label'; .* --label-column: key, .* mood"):
        read_img2dataset(root)
    with pytest.raises(SourceError, match="no column 'feel'"):
        read_img2dataset(root, label_column="feel")
    table = pa.Table.from_pylist([row | {"emotion": "awe"} for row in rows])
    pq.write_table(table, root / "00000.parquet")
    assert set(labels(read_img2dataset(root)).values()) == {"awe"}
    (root / "00000.parquet").unlink()
    with pytest.raises(SourceError, match="no image has a label: name the column"):
        read_img2dataset(root)


def test_integers(write: Write) -> None:
    root = write(rows_of(0, (1, 8, None)))
    source = read_img2dataset(root, label_column="mood")
    assert source.label_names == MIKELS
    assert list(labels(source).values()) == ["amusement", "sadness"]
    named = read_img2dataset(
        root, label_column="mood", label_names=tuple("abcdefghi"), label_base=0
    )
    assert list(labels(named).values()) == ["b", "i"]


def test_integers_that_may_count_from_either_are_asked_for(write: Write) -> None:
    root = write(rows_of(0, (1, 2)))
    with pytest.raises(SourceError, match="--label-base"):
        read_img2dataset(root, label_column="mood")


def test_labels_that_are_none_of_those_given(write: Write) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    with pytest.raises(
        SourceError, match=r"'tense' is none of the labels calm, sad; name your own"
    ):
        read_img2dataset(root, label_column="mood", label_names=("calm", "sad"))


def test_a_column_that_holds_no_labels(write: Write) -> None:
    root = write(rows_of(0, tuple(f"text {k}" for k in range(1001))), form="webdataset")
    with pytest.raises(SourceError, match="1,001 different labels"):
        read_img2dataset(root, label_column="mood")
    table = pa.Table.from_pylist([{"key": "000000000", "mood": ["calm"]}])
    pq.write_table(table, root / "00000.parquet")
    with pytest.raises(SourceError, match=r"holds list<.*> name another|labels are texts"):
        read_img2dataset(root, label_column="mood")


def test_splits(write: Write) -> None:
    rows = rows_of(0, ("calm", "tense", "calm", "tense"))
    names = ("train", "val", "", "here")
    root = write([row | {"split": name} for row, name in zip(rows, names, strict=True)])
    source = read_img2dataset(root, label_column="mood")
    assert [record.split for record in source.records] == ["train", "dev", "", ""]
    assert [r.detail for r in bad(source)] == ["split is 'here', not one of train, dev, test"]


def test_a_split_that_is_a_number_is_none(write: Write) -> None:
    rows = rows_of(0, ("calm", "tense", "calm"))
    root = write([row | {"split": number} for row, number in zip(rows, (0, 1, None), strict=True)])
    assert [r.detail for r in bad(read_img2dataset(root, label_column="mood"))] == [
        "split is '0', not one of train, dev, test",
        "split is '1', not one of train, dev, test",
    ]


def test_labels_that_differ_in_case_alone_are_told_apart(write: Write) -> None:
    source = read_img2dataset(write(rows_of(0, ("Cat", "cat"))), label_column="mood")
    assert list(labels(source).values()) == ["Cat", "cat"]


def test_columns_of_the_same_name_are_refused(write: Write) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    table = pa.table([["000000000"], ["calm"], ["tense"]], names=["key", "mood", "mood"])
    pq.write_table(table, root / "00000.parquet")
    with pytest.raises(SourceError, match=r"00000\.parquet: has several columns 'mood'"):
        read_img2dataset(root, label_column="mood")


def test_keys_that_are_no_texts_are_refused(write: Write) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    pq.write_table(pa.table({"key": [b"000000000"], "mood": ["calm"]}), root / "00000.parquet")
    with pytest.raises(SourceError, match="the column 'key' holds binary; img2dataset writes te"):
        read_img2dataset(root, label_column="mood")


def write_keys(root: Path, *keys: str) -> None:
    table = pa.Table.from_pylist([{"key": key, "mood": "calm"} for key in keys])
    pq.write_table(table, root / "00000.parquet")


def test_keys_lead_nowhere(write: Write, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    root = write(rows_of(0, ("calm", "tense")))
    write_keys(root, "000000000", "../../secret", "http://127.0.0.1/a")
    source = read_img2dataset(root, label_column="mood")
    for name in ("00000/../../secret", "00000/http://127.0.0.1/a"):
        with pytest.raises(NotFound):
            source.fetch(name)


def test_keys_that_occur_twice_are_refused(write: Write) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    write_keys(root, "000000000", "000000000")
    with pytest.raises(SourceError, match=r"00000\.parquet: holds the key '000000000' twice"):
        read_img2dataset(root, label_column="mood")
    write_keys(root, "000000000", "000000000.jpg")
    with pytest.raises(SourceError, match="have the same name"):
        read_img2dataset(root, label_column="mood")


def test_a_parquet_that_is_none_is_one_line(write: Write) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    path = root / "00000.parquet"
    good = path.read_bytes()
    for data in (b"", b"PAR1", good[:-20], b"x" * 500, good[:4] + bytes(300) + good[304:]):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"00000\.parquet: can't be read") as error:
            read_img2dataset(root, label_column="mood")
        assert "\n" not in str(error.value)
    pq.write_table(pa.table({"mood": ["calm"]}), path)
    with pytest.raises(SourceError, match="no column 'key', so img2dataset did not write it"):
        read_img2dataset(root, label_column="mood")


def test_a_damaged_tar_is_one_line(write: Write) -> None:
    root = write(rows_of(0, ("calm", "tense")), form="webdataset")
    tar = root / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    with pytest.raises(SourceError, match=r"00000\.tar: "):
        read_source(str(root), SourceOptions(label_column="mood"))


def test_links_that_lead_out_of_a_shard_are_refused(write: Write, tmp_path: Path) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    image, other = sorted((root / "00000").glob("*.jpg"))
    image.unlink()
    image.symlink_to(tmp_path / "secret.jpg")
    source = read_img2dataset(root, label_column="mood")
    with pytest.raises(Outside):
        source.fetch(f"00000/{image.name}")
    assert source.fetch(f"00000/{other.name}") == other.read_bytes()


def test_shards_without_images_are_refused(write: Write) -> None:
    root = write([row | FAILED for row in rows_of(0, ("calm", "tense"))])
    with pytest.raises(SourceError, match="its 2 samples have no image among them"):
        read_img2dataset(root, label_column="mood")


def test_dispatch(write: Write, photo_folder: Path) -> None:
    root = write(rows_of(0, ("calm", "tense")))
    options = SourceOptions(label_column="mood", labels=("tense", "calm"))
    source = read_source(str(root), options)
    assert (source.kind, source.label_names) == ("img2dataset", ("tense", "calm"))
    (photo_folder / "joy").rename(photo_folder / "00000")  # a class may be called so
    assert read_source(str(photo_folder)).kind == "folder"
    with pytest.raises(SourceError, match="--label-column is for"):
        read_source(str(photo_folder), options)
    with pytest.raises(SourceError, match="--label-column is for"):
        read_source("sample", options)


def test_what_was_exported_as_webdataset_comes_back(
    finished: Path, tmp_path: Path, settings: ExtractSettings
) -> None:
    before = FeatureStore(finished)
    folder = export_store(before, "webdataset", tmp_path / "shards")
    source = read_source(str(folder))
    assert source.synthetic
    assert source.label_names == before.label_names
    after = extract(source, tmp_path / "again.zarr", settings)
    assert verify(after.path) == []
    old, new = before.manifest(), after.manifest()
    rows = dict(zip(old["sha256"].tolist(), old["row"].tolist(), strict=True))
    order = np.array([rows[Path(name).stem] for name in new["id"][np.argsort(new["row"])]])
    assert len(order) == len(before)
    np.testing.assert_array_equal(after.images[:], before.images[:][order])
    np.testing.assert_array_equal(after.labels, before.labels[order])
    np.testing.assert_array_equal(after.splits, before.splits[order])
    (folder / "metadata.json").write_text('{"format": "emotion-bench export"}')
    with pytest.raises(SourceError, match=r"metadata\.json: is damaged"):
        read_source(str(folder))
    (folder / "metadata.json").write_text('{"format": "somebody else\'s"}')
    assert not read_source(str(folder)).synthetic
