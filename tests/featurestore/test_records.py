"""Records, a source's fingerprint and the order of a store's rows."""

import dataclasses
import random
from typing import Any

import pytest

from featurestore._records import Record, Source, in_store_order

RECORDS = [Record(f"{n}.jpg", (1, 0), (0, 0)) for n in range(50)]


def make_source(records: list[Record], names: tuple[str, ...] = ("calm", "joy")) -> Source:
    return Source("csv", "title", names, records, fetch=lambda _: b"")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other.jpg"},
        {"agree": (2, 0)},
        {"disagree": (0, 1)},
        {"split": "test"},
        {"kind": "votes"},
    ],
)
def test_fingerprint_changes_with_what_is_said_about_a_record(change: dict[str, Any]) -> None:
    changed = [*RECORDS[:-1], dataclasses.replace(RECORDS[-1], **change)]
    assert make_source(changed).fingerprint() != make_source(RECORDS).fingerprint()


def test_fingerprint_changes_with_the_order_of_labels() -> None:
    swapped = make_source(RECORDS, ("joy", "calm"))
    assert swapped.fingerprint() != make_source(RECORDS).fingerprint()


def test_fingerprint_ignores_where_a_record_stood() -> None:
    moved = [dataclasses.replace(record, origin="b.csv:9") for record in RECORDS]
    assert make_source(moved).fingerprint() == make_source(RECORDS).fingerprint()


def test_store_order_depends_on_ids_and_seed_only() -> None:
    shuffled = random.Random(1).sample(RECORDS, len(RECORDS))
    assert in_store_order(shuffled, seed=3) == in_store_order(RECORDS, seed=3)


def test_store_order_is_a_shuffle_that_differs_by_seed() -> None:
    first, second = in_store_order(RECORDS, seed=0), in_store_order(RECORDS, seed=1)
    assert sorted(first, key=RECORDS.index) == RECORDS
    assert first != RECORDS
    assert first != second


def test_file_names_that_are_no_unicode_do_no_harm() -> None:
    record = Record("\udcff.jpg", (1, 0), (0, 0))
    assert in_store_order([record], seed=0) == [record]
    assert len(make_source([record]).fingerprint()) == 64
