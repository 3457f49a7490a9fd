"""Label names, and how a label's text becomes an id."""

import pytest

from featurestore._labels import MIKELS, LabelParser, order_names
from featurestore.errors import SourceError


def test_mikels_emotions_have_the_ids_that_fi_users_agree_on() -> None:
    assert MIKELS == (
        "amusement",
        "anger",
        "awe",
        "contentment",
        "disgust",
        "excitement",
        "fear",
        "sadness",
    )


@pytest.mark.parametrize(
    "names",
    [list(MIKELS), ["sadness", "awe"], ["Fear", "AWE", "fear"], ["amusement"]],
)
def test_mikels_names_get_the_canonical_order(names: list[str]) -> None:
    assert order_names(names) == MIKELS


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["joy", "calm", "joy", "dread"], ("calm", "dread", "joy")),
        (["sadness", "awe", "joy"], ("awe", "joy", "sadness")),
    ],
)
def test_other_names_are_sorted_without_repeats(names: list[str], ordered: tuple[str, ...]) -> None:
    assert order_names(names) == ordered


@pytest.mark.parametrize(("text", "label"), [("awe", 2), (" Awe ", 2), ("SADNESS", 7)])
def test_names_parse_whatever_their_case_and_margins(text: str, label: int) -> None:
    assert LabelParser(MIKELS, [text]).parse(text) == label


@pytest.mark.parametrize(
    ("column", "text", "label"),
    [
        (["0", "3", "7"], "0", 0),
        (["0", "3", "7"], "7", 7),
        (["1", "3", "8"], "1", 0),
        (["1", "3", "8"], "8", 7),
        ([" 0", "3 "], "3 ", 3),
        (["awe", "0", "5"], "awe", 2),
        (["awe", "0", "5"], "5", 5),
    ],
)
def test_integers_count_from_what_the_column_shows(
    column: list[str], text: str, label: int
) -> None:
    assert LabelParser(MIKELS, column).parse(text) == label


def test_ambiguous_integers_are_asked_about() -> None:
    with pytest.raises(SourceError, match="--label-base 0 or --label-base 1"):
        LabelParser(MIKELS, ["1", "4", "7"])


@pytest.mark.parametrize(("base", "label"), [(0, 4), (1, 3)])
def test_a_given_base_settles_ambiguous_integers(base: int, label: int) -> None:
    assert LabelParser(MIKELS, ["1", "4", "7"], base).parse("4") == label


def test_both_zero_and_the_number_of_labels_is_refused() -> None:
    with pytest.raises(SourceError, match="both 0 and 8"):
        LabelParser(MIKELS, ["0", "8"])


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (["0"], "9"),
        (["0"], "-1"),
        (["0"], "1.0"),
        (["0"], "²"),
        (["0"], "1" * 5000),
        (["8"], "0"),
        (["awe"], "3"),
        (["awe"], "joy"),
        (["awe"], ""),
    ],
)
def test_other_texts_are_no_label(column: list[str], text: str) -> None:
    with pytest.raises(ValueError, match="is none of amusement, anger"):
        LabelParser(MIKELS, column).parse(text)


def test_a_name_that_looks_like_a_number_is_a_name() -> None:
    parser = LabelParser(("3", "7"), ["3", "7", "3"])
    assert [parser.parse("3"), parser.parse("7")] == [0, 1]


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    parser = LabelParser(("Cat", "cat", "dog"), [])
    assert [parser.parse(text) for text in ("Cat", " cat", "Dog")] == [0, 1, 2]
