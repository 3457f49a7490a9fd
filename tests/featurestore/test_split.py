"""Train, dev and test: which row belongs where."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurestore._split import assign_splits, parse_ratio
from featurestore.errors import SourceError

RATIO = (80, 10, 10)


def hashes(count: int) -> list[str]:
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


def split_all(labels: list[int], ratio: tuple[int, int, int] = RATIO, seed: int = 0) -> list[int]:
    return assign_splits(
        labels, [""] * len(labels), hashes(len(labels)), range(len(labels)), ratio, seed
    ).tolist()


def counts(splits: list[int]) -> list[int]:
    return [splits.count(k) for k in range(3)]


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("80/10/10", (80, 10, 10)), ("8/1/1", (8, 1, 1)), ("100/0/0", (100, 0, 0))],
)
def test_ratio_is_three_whole_numbers(text: str, ratio: tuple[int, int, int]) -> None:
    assert parse_ratio(text) == ratio


@pytest.mark.parametrize(
    "text",
    [
        "",
        "80",
        "80/20",
        "80/10/10/0",
        "80/10/x",
        "80/-10/30",
        "8.5/1/1",
        "0/50/50",
        "8/²/1",
        "8//1",
    ],
)
def test_other_ratios_are_refused_with_the_option_named(text: str) -> None:
    with pytest.raises(SourceError, match="--split is"):
        parse_ratio(text)


def test_each_label_is_dealt_out_in_the_ratio() -> None:
    labels = [0] * 100 + [1] * 50 + [2] * 10
    splits = split_all(labels)
    assert counts(splits[:100]) == [80, 10, 10]
    assert counts(splits[100:150]) == [40, 5, 5]
    assert counts(splits[150:]) == [8, 1, 1]


@pytest.mark.parametrize(
    ("total", "ratio", "shares"),
    [
        (7, (80, 10, 10), [5, 1, 1]),
        (1, (80, 10, 10), [1, 0, 0]),
        (4, (1, 1, 1), [2, 1, 1]),
        (5, (1, 1, 1), [2, 2, 1]),
        (9, (100, 0, 0), [9, 0, 0]),
        (9, (2, 0, 1), [6, 0, 3]),
    ],
)
def test_remainders_go_to_the_largest_then_to_the_first(
    total: int, ratio: tuple[int, int, int], shares: list[int]
) -> None:
    assert counts(split_all([0] * total, ratio)) == shares


@given(
    labels=st.lists(st.integers(0, 4), max_size=120),
    ratio=st.tuples(st.integers(1, 100), st.integers(0, 100), st.integers(0, 100)),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_every_label_is_within_one_row_of_its_exact_share(
    labels: list[int], ratio: tuple[int, int, int], seed: int
) -> None:
    splits = np.array(split_all(labels, ratio, seed))
    for label in set(labels):
        own = splits[np.array(labels) == label].tolist()
        for count, part in zip(counts(own), ratio, strict=True):
            assert abs(count - len(own) * part / sum(ratio)) < 1


@given(order=st.permutations(range(40)))
@settings(max_examples=25, deadline=None)
def test_an_image_keeps_its_split_in_whatever_order_rows_come(order: list[int]) -> None:
    labels, names = [n % 3 for n in range(40)], hashes(40)
    expected = assign_splits(labels, [""] * 40, names, range(40), RATIO, 0)
    moved = assign_splits(
        [labels[i] for i in order], [""] * 40, [names[i] for i in order], range(40), RATIO, 0
    )
    np.testing.assert_array_equal(moved, expected[order])


def test_another_seed_deals_differently_with_the_same_counts() -> None:
    first, second = split_all([0] * 100, seed=0), split_all([0] * 100, seed=1)
    assert first != second
    assert counts(first) == counts(second)


def test_given_splits_are_kept_whatever_the_ratio() -> None:
    names = ["train", "dev", "test", "test", "dev", "dev"]
    splits = assign_splits([0] * 6, names, hashes(6), range(6), RATIO, 0)
    assert splits.tolist() == [0, 1, 2, 2, 1, 1]


def test_only_rows_without_a_split_are_dealt_out() -> None:
    names = ["test"] * 5 + [""] * 20 + ["train"] * 5
    splits = assign_splits([0] * 30, names, hashes(30), range(30), RATIO, 0).tolist()
    assert splits[:5] == [2] * 5
    assert splits[25:] == [0] * 5
    assert counts(splits[5:25]) == [16, 2, 2]


@pytest.mark.parametrize(("present", "lacking", "drawn"), [("test", 1, 10), ("dev", 2, 10)])
def test_a_lacking_split_is_drawn_from_train(present: str, lacking: int, drawn: int) -> None:
    names = ["train"] * 90 + [present] * 30
    splits = assign_splits([0] * 120, names, hashes(120), range(120), RATIO, 0).tolist()
    assert splits[:90].count(lacking) == drawn
    assert splits[:90].count(0) == 80
    assert set(splits[90:]) == {3 - lacking}


def test_a_lacking_split_is_drawn_label_by_label() -> None:
    labels = [0] * 45 + [1] * 18
    splits = assign_splits(
        labels, ["train"] * 62 + ["test"], hashes(63), range(63), (8, 1, 1), 0
    ).tolist()
    assert splits[:45].count(1) == 5
    assert splits[45:].count(1) == 2


def test_nothing_is_drawn_from_a_source_without_train_rows() -> None:
    splits = assign_splits([0] * 4, ["test"] * 4, hashes(4), range(4), RATIO, 0)
    assert splits.tolist() == [2] * 4
