"""Data sets: splits as the store has them, groups of labels, and their votes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench._dataset import NAMED_GROUPS, Dataset, parse_groups
from bench._errors import BenchError
from featurestore import (
    SPLITS,
    ExtractSettings,
    FeatureStore,
    KeepRule,
    SourceOptions,
    extract,
    read_source,
)
from featurestore.errors import StoreDamagedError


def test_without_groups_it_is_the_store(sample_store: FeatureStore) -> None:
    data = Dataset(sample_store)
    assert data.label_names == sample_store.label_names
    embeddings = sample_store.embeddings()[:]
    for name in SPLITS:
        rows = sample_store.rows(name)
        split = data.splits()[name]
        np.testing.assert_array_equal(split.rows, rows)
        np.testing.assert_array_equal(split.X, embeddings[rows])
        np.testing.assert_array_equal(split.y, sample_store.labels[rows])
        np.testing.assert_array_equal(split.strength, sample_store.label_strength[rows])


def test_groups_join_labels_and_their_votes(sample_store: FeatureStore) -> None:
    data = Dataset(sample_store, {"low": ("sadness", "fear"), "high": ("excitement",)})
    train = data.splits()["train"]
    ids = [sample_store.label_names.index(name) for name in ("sadness", "fear", "excitement")]
    labels = sample_store.labels[train.rows]
    assert set(labels) == set(ids)
    assert len(train.rows) == np.isin(sample_store.labels[sample_store.rows("train")], ids).sum()
    np.testing.assert_array_equal(train.y, (labels == ids[2]).astype(int))
    strength = sample_store.label_strength[train.rows]
    np.testing.assert_allclose(train.strength[:, 0], strength[:, ids[:2]].sum(axis=1))
    np.testing.assert_allclose(train.strength[:, 1], strength[:, ids[2]])


def test_groups_are_described(sample_store: FeatureStore) -> None:
    said = Dataset(sample_store, parse_groups(("polarity",))).describe()
    assert said.label_names == ["positive", "negative"]
    assert said.rows["train"] == len(sample_store.rows("train"))
    assert said.majority.test == 0.5
    assert said.majority.total == 16


def test_networks_learn_from_tensors_that_are_read_when_needed(sample_store: FeatureStore) -> None:
    data = Dataset(sample_store)
    for name, split in data.splits("thumbnails").items():
        rows = sample_store.rows(name)
        assert split.X.shape == (len(rows), 32, 32, 3)
        assert split.X.dtype == np.uint8
        np.testing.assert_array_equal(split.X[3:9], sample_store.images[:][rows][3:9])
        assert len(split.X[5:5]) == 0


def test_what_a_store_lacks_is_said(sample_store: FeatureStore) -> None:
    data = Dataset(sample_store)
    assert data.lacks("embeddings") == data.lacks("thumbnails") == ""
    assert "--image-size" in data.lacks("images")
    assert "--image-size" in data.lacks("weak images")


def test_weakly_labelled_images_are_for_those_that_ask_for_them(
    voted_photos: Path, tmp_path: Path
) -> None:
    settings = ExtractSettings(embed_size=32, engine="litert", image_sizes=(64,))

    def store(rule: str) -> FeatureStore:
        options = SourceOptions(keep=KeepRule(rule))  # type: ignore[arg-type]
        source = read_source(str(voted_photos), options)
        return extract(source, tmp_path / f"{rule}.zarr", settings)

    strong, every = store("majority"), store("all")
    assert len(strong) == 32  # two of the ten have two votes, both for it
    assert not strong.is_weak.any()
    assert "--keep all" in Dataset(strong).lacks("weak images")
    assert len(every) == 40
    assert every.is_weak.sum() == 10
    data = Dataset(every)
    weak = data.splits("weak images")
    assert every.is_weak[weak["train"].rows].all()
    assert weak["train"].X.shape[1:] == (64, 64, 3)
    for name in ("dev", "test"):
        np.testing.assert_array_equal(weak[name].rows, data.rows(name))
    assert not any(every.is_weak[data.rows(name)].any() for name in SPLITS)


@pytest.mark.parametrize(
    ("shard", "learns_from"),
    [("embeddings/mobilenet/c/0/0", "embeddings"), ("images/c/0/0/0/0", "thumbnails")],
)
def test_no_model_learns_from_damaged_data(
    sample_store: FeatureStore, tmp_path: Path, shard: str, learns_from: Any
) -> None:
    shutil.copytree(sample_store.path, tmp_path / "s")
    content = bytearray((tmp_path / "s" / shard).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "s" / shard).write_bytes(content)
    with pytest.raises(StoreDamagedError, match=f"{shard}: isn't as it was committed"):
        Dataset(FeatureStore(tmp_path / "s")).splits(learns_from)


def test_chance_is_of_the_labels_that_there_are_images_of(
    sample_store: FeatureStore, jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    assert Dataset(sample_store).describe().chance == 1 / 8
    assert Dataset(sample_store, parse_groups(("polarity",))).describe().chance == 1 / 2
    for seed in range(12):
        folder = tmp_path / "photos" / ("awe", "fear", "anger")[seed % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{seed}.jpg").write_bytes(jpeg(seed))
    three = extract(
        read_source(str(tmp_path / "photos")), tmp_path / "s", ExtractSettings(embed_size=32)
    )
    assert len(three.label_names) == 8
    about = Dataset(three).describe()
    assert about.chance == 1 / 3
    assert about.model_copy(update={"labels_trained": None}).chance == 1 / 8


def test_polarity_has_all_eight_emotions_once(sample_store: FeatureStore) -> None:
    labels = [label for group in NAMED_GROUPS["polarity"].values() for label in group]
    assert sorted(labels) == sorted(sample_store.label_names)


def test_groups_are_read_from_texts() -> None:
    found = parse_groups(("calm=awe, contentment", "tense = fear"))
    assert found == {"calm": ("awe", "contentment"), "tense": ("fear",)}
    assert parse_groups(()) == {}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("mood",), "--group mood: give NAME=LABEL,LABEL or one of polarity"),
        (("=awe", "b=fear"), "--group =awe: give NAME=LABEL"),
        (("a=", "b=fear"), "--group a=: give NAME=LABEL"),
        (("a=awe", "a=fear"), "'a' comes twice"),
        (("a=awe,fear", "b=fear"), "'fear' is in two groups"),
        (("a=awe,fear",), "one group alone"),
    ],
)
def test_groups_that_make_no_sense_are_refused(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        parse_groups(texts)


def test_an_unknown_label_is_refused_with_those_there_are(sample_store: FeatureStore) -> None:
    with pytest.raises(BenchError, match="no label 'joy'; it has amusement, anger"):
        Dataset(sample_store, {"a": ("joy",), "b": ("fear",)})
