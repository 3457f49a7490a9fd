"""From outcomes to rows: duplicates, labels and splits."""

from collections.abc import Sequence

import numpy as np
import pytest

from featurestore._records import Record
from featurestore._segments import Outcomes
from featurestore._select import Selection, select
from featurestore._votes import KeepRule


def rec(
    name: str,
    agree: tuple[int, ...] = (1, 0),
    disagree: tuple[int, ...] = (0, 0),
    split: str = "",
    kind: str = "",
) -> Record:
    return Record(name, agree, disagree, split, kind=kind, detail=f"{kind} detail" if kind else "")


def choose(
    records: Sequence[Record],
    contents: Sequence[str],
    kinds: Sequence[str] | None = None,
    keep: KeepRule | None = None,
) -> Selection:
    count = len(records)
    outcomes = Outcomes.unknown(count)
    outcomes.kind[:] = list(kinds or [""] * count)
    outcomes.detail[:] = [f"{kind} seen" if kind else "" for kind in kinds or [""] * count]
    outcomes.sha256[:] = list(contents)
    outcomes.segment[:] = 0
    outcomes.position[:] = np.arange(count)
    noise = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return select(records, outcomes, lambda i: noise[i], keep or KeepRule(), (8, 1, 1), seed=0)


def test_copies_become_one_row_and_name_the_one_that_stays() -> None:
    chosen = choose([rec("a"), rec("b"), rec("c")], ["x", "y", "x"])
    assert chosen.records.tolist() == [0, 1]
    assert chosen.kind == ["", "", "duplicate"]
    assert chosen.detail[2] == "same bytes as a"


@pytest.mark.parametrize(
    ("splits", "kept"),
    [
        (("train", "test"), 1),
        (("dev", "test"), 1),
        (("train", "dev"), 1),
        (("", "train"), 1),
        (("test", "train"), 0),
        (("train", "train"), 0),
    ],
)
def test_the_copy_of_the_more_protected_split_stays(splits: tuple[str, str], kept: int) -> None:
    chosen = choose([rec("a", split=splits[0]), rec("b", split=splits[1])], ["x", "x"])
    assert chosen.records.tolist() == [kept]
    assert chosen.kind[1 - kept] == "duplicate"


def test_the_row_has_the_split_of_the_copy_that_stays() -> None:
    records = [rec("a", split="train"), rec("b", split="test"), rec("c", split="dev")]
    assert choose(records, ["x", "x", "y"]).splits.tolist() == [2, 1]


def test_votes_of_copies_are_summed() -> None:
    chosen = choose([rec("a", (3, 0), (1, 0)), rec("b", (0, 6), (0, 2))], ["x", "x"])
    assert chosen.labels.tolist() == [1]
    np.testing.assert_array_equal(chosen.label_strength, [[0.75, 0.75]])
    assert chosen.label_of_record.tolist() == [0, 1]


def test_copies_that_contradict_each_other_are_all_left_out_for_votes() -> None:
    chosen = choose([rec("a", (2, 0), (0, 0)), rec("b", (0, 0), (2, 0)), rec("c")], ["x", "x", "y"])
    assert chosen.records.tolist() == [2]
    assert chosen.kind == ["votes", "votes", ""]
    assert chosen.detail[0] == "agree [2, 0], disagree [2, 0] over all copies"


def test_an_image_with_two_emotions_has_the_strength_of_both() -> None:
    chosen = choose([rec("a", (4, 1), (0, 3))], ["x"])
    assert chosen.labels.tolist() == [0]
    np.testing.assert_array_equal(chosen.label_strength, [[1.0, 0.25]])


def test_failures_keep_their_kind_and_detail() -> None:
    records = [rec("a", kind="bad_row"), rec("b"), rec("c"), rec("d", kind="votes")]
    chosen = choose(records, ["", "", "z", ""], ["", "not_image", "", ""])
    assert chosen.kind == ["bad_row", "not_image", "", "votes"]
    assert chosen.detail == ["bad_row detail", "not_image seen", "", "votes detail"]
    assert chosen.records.tolist() == [2]


def test_failed_records_are_no_copies_of_each_other() -> None:
    chosen = choose([rec("a"), rec("b")], ["x", "x"], ["undecodable", ""])
    assert chosen.records.tolist() == [1]
    assert chosen.kind == ["undecodable", ""]


def test_rows_ascend_even_where_a_later_copy_stays() -> None:
    records = [rec("a", split="train"), rec("b", (0, 1), split="dev"), rec("c", split="test")]
    chosen = choose(records, ["x", "y", "x"])
    assert chosen.records.tolist() == [1, 2]
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.splits.tolist() == [1, 2]
    np.testing.assert_array_equal(chosen.label_strength, [[0, 1], [1, 0]])


def test_a_source_of_failures_only_gives_no_rows() -> None:
    chosen = choose([rec("a"), rec("b")], ["", ""], ["not_found", "not_found"])
    assert chosen.records.shape == (0,)
    assert chosen.label_strength.shape == (0, 2)
    assert chosen.splits.shape == (0,)
    assert chosen.kind == ["not_found", "not_found"]


def test_the_keep_rule_decides_over_copies() -> None:
    records = [rec("a", (2, 0)), rec("b", (2, 0))]
    assert choose(records, ["x", "x"], keep=KeepRule(min_agree=4)).labels.tolist() == [0]
    assert choose(records, ["x", "x"], keep=KeepRule(min_agree=5)).kind == ["votes", "votes"]
