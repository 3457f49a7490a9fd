"""Advice: there is some for every way in which a record can fail."""

import pytest

from bench._advice import ADVICE, advise
from featurestore.errors import RETRYABLE_KINDS, RecordFailure


def kinds(base: type[RecordFailure] = RecordFailure) -> set[str]:
    """Return the kinds of all failures, wherever they stand in the tree."""
    found = {base.kind} if hasattr(base, "kind") else set()
    return found.union(*(kinds(failure) for failure in base.__subclasses__()))


def test_every_kind_has_advice_and_no_other() -> None:
    assert ADVICE.keys() == kinds() | {"", "votes", "duplicate", "bad_row"}


def test_kinds_that_can_be_tried_again_are_kinds() -> None:
    assert set(RETRYABLE_KINDS) <= kinds()


@pytest.mark.parametrize("kind", RETRYABLE_KINDS)
def test_advice_to_try_again_names_the_kind(kind: str) -> None:
    advice = advise(kind)
    assert advice
    assert "{" not in advice
    assert "--retry-failed" not in advice or f"--retry-failed {kind}" in advice
