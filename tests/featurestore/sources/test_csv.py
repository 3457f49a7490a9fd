"""CSV sources: as FI was distributed, or with a header."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurestore._labels import MIKELS
from featurestore._records import Record, Source
from featurestore._votes import KeepRule, strength
from featurestore.errors import SourceError
from featurestore.sources import read_csv
from featurestore.sources._csv import LABEL_NAMES, LOCATION_NAMES

AMUSEMENT, ANGER, AWE, FEAR = (MIKELS.index(n) for n in ("amusement", "anger", "awe", "fear"))


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def by_id(source: Source) -> dict[str, Record]:
    return {record.id: record for record in source.records}


def labels(source: Source) -> dict[str, int]:
    return {r.id: source.keep.label(r.agree, r.disagree) for r in source.records}


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "data.csv"


def test_a_headerless_row_is_emotion_url_disagree_agree(csv: Path) -> None:
    source = read_csv(write(csv, "awe,a.jpg,1,4\n"))
    (record,) = source.records
    assert (record.id, record.origin, record.kind) == ("a.jpg", "data.csv:1", "")
    assert (record.agree[AWE], record.disagree[AWE]) == (4, 1)
    assert (sum(record.agree), sum(record.disagree)) == (4, 1)
    assert (source.kind, source.title, source.label_names) == ("csv", "data.csv", MIKELS)


def test_votes_are_summed_over_rows_and_files(tmp_path: Path) -> None:
    write(tmp_path / "awe_1.csv", "awe,a.jpg,1,2\nawe,b.jpg,0,5\nawe,a.jpg,0,3\n")
    write(tmp_path / "awe_2.csv", "awe,a.jpg,2,1\n")
    record = by_id(read_csv(tmp_path))["a.jpg"]
    assert (record.agree[AWE], record.disagree[AWE]) == (6, 3)
    assert record.origin == "awe_1.csv:1 and 2 more rows"


def test_records_are_sorted_by_id(csv: Path) -> None:
    source = read_csv(write(csv, "awe,c.jpg,0,1\nawe,a.jpg,0,1\nawe,b.jpg,0,1\n"))
    assert [record.id for record in source.records] == ["a.jpg", "b.jpg", "c.jpg"]


VOTES = "awe,more.jpg,2,3\nawe,tie.jpg,2,2\nawe,fewer.jpg,3,2\n"


def test_more_agree_than_disagree_is_kept(csv: Path) -> None:
    records = by_id(read_csv(write(csv, VOTES)))
    assert {name: r.kind for name, r in records.items()} == {
        "more.jpg": "",
        "tie.jpg": "votes",
        "fewer.jpg": "votes",
    }
    assert records["fewer.jpg"].detail == "agree 2, disagree 3"


def test_keep_all_keeps_every_image(csv: Path) -> None:
    source = read_csv(write(csv, VOTES), keep=KeepRule("all"))
    assert {record.kind for record in source.records} == {""}
    assert source.keep == KeepRule("all")


def test_min_agree_leaves_out_images_with_fewer_votes(csv: Path) -> None:
    source = read_csv(write(csv, "awe,a.jpg,0,3\nawe,b.jpg,0,2\n"), keep=KeepRule(min_agree=3))
    assert [record.kind for record in source.records] == ["", "votes"]


def test_an_image_with_two_emotions_keeps_the_strengths_of_both(csv: Path) -> None:
    source = read_csv(write(csv, "awe,a.jpg,1,3\nfear,a.jpg,2,2\n"))
    (record,) = source.records
    shares = strength(np.array([record.agree]), np.array([record.disagree]))[0]
    assert (shares[AWE], shares[FEAR], shares.sum()) == (0.75, 0.5, 1.25)
    assert labels(source) == {"a.jpg": AWE}


@pytest.mark.parametrize("location", LOCATION_NAMES)
def test_a_header_may_call_the_location(csv: Path, location: str) -> None:
    assert labels(read_csv(write(csv, f"label,{location}\nawe,a.jpg\n"))) == {"a.jpg": AWE}


@pytest.mark.parametrize("label", LABEL_NAMES)
def test_a_header_may_call_the_label(csv: Path, label: str) -> None:
    assert labels(read_csv(write(csv, f"path,{label}\na.jpg,awe\n"))) == {"a.jpg": AWE}


def test_header_columns_come_in_any_order_and_case_among_others(csv: Path) -> None:
    text = "Id,AGREE,Label,note,Disagree,URL,Split\n7,5,awe,nice,2,a.jpg,Test\n"
    (record,) = read_csv(write(csv, text)).records
    assert (record.id, record.split) == ("a.jpg", "test")
    assert (record.agree[AWE], record.disagree[AWE]) == (5, 2)


def test_a_row_without_votes_is_one_voice_in_favour(csv: Path) -> None:
    (record,) = read_csv(write(csv, "path,label\na.jpg,awe\n")).records
    assert (record.agree[AWE], sum(record.agree), sum(record.disagree)) == (1, 1, 0)


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("train", "train"),
        ("val", "dev"),
        ("Valid", "dev"),
        ("dev", "dev"),
        ("TEST", "test"),
        ("", ""),
    ],
)
def test_the_split_column_is_read(csv: Path, text: str, split: str) -> None:
    (record,) = read_csv(write(csv, f"path,label,split\na.jpg,awe,{text}\n")).records
    assert (record.split, record.kind) == (split, "")


def test_rows_that_contradict_each_other_about_the_split_are_a_bad_row(csv: Path) -> None:
    text = "path,label,split\na.jpg,awe,train\na.jpg,awe,test\nb.jpg,awe,\nb.jpg,awe,dev\n"
    first, second = read_csv(write(csv, text)).records
    assert (first.kind, first.split) == ("bad_row", "")
    assert first.detail == "is in several splits: test, train"
    assert (second.kind, second.split) == ("", "dev")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffpath,label\na.jpg,awe\n",
        "path,label\r\na.jpg,awe\r\n",
        "\n\n  \npath,label\n,\n\na.jpg,awe\n\n",
        'path,label\n"a.jpg","awe"\n',
        " path , label \n a.jpg , awe \n",
        "path,label\na.jpg,awe",
    ],
    ids=["BOM", "CRLF", "blank lines", "quotes", "margins", "no newline at the end"],
)
def test_files_are_read_however_they_were_saved(csv: Path, text: str) -> None:
    assert labels(read_csv(write(csv, text))) == {"a.jpg": AWE}


def test_a_byte_order_mark_is_no_part_of_a_headerless_label(csv: Path) -> None:
    assert labels(read_csv(write(csv, "\ufeffawe,a.jpg,0,1\n"))) == {"a.jpg": AWE}


def test_quoted_cells_may_hold_commas_and_quotes(csv: Path) -> None:
    source = read_csv(write(csv, 'path,label\n"a, ""b"".jpg",awe\n'))
    assert labels(source) == {'a, "b".jpg': AWE}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'path,label\na.jpg,awe\n\n"b.jpg,awe\nc.jpg,fear\n"d.jpg,awe\n',
            "data.csv:4: .* to line 6:",
        ),
        ('path,label\na.jpg,awe\n"b.jpg,awe\nc.jpg,fear\n', "data.csv:3: .* to line 4:"),
        ('path,label\r\n"a.jpg,awe\r\n"b.jpg,awe\r\n', "data.csv:2: .* to line 3:"),
        ('path,label\n"a.jpg,awe\n' + "b.jpg,awe\n" * 20_000, "data.csv:2: .* to line 131"),
        ('awe,"a.jpg,0,3\nawe,b.jpg,0,3\n', "data.csv:1: .* to line 2:"),
    ],
    ids=["closed by another", "never closed", "CRLF", "long", "headerless"],
)
def test_a_quote_that_swallows_lines_is_refused(csv: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read_csv(write(csv, text))
    assert "\n" not in str(caught.value)


def test_a_hidden_file_of_a_zip_from_a_mac_is_no_csv(tmp_path: Path) -> None:
    write(tmp_path / "awe_1.csv", "awe,a.jpg,0,3\n")
    write(tmp_path / "._awe_1.csv", b"\0\5\x16\7\xff")
    assert list(by_id(read_csv(tmp_path))) == ["a.jpg"]


@pytest.mark.parametrize("base", [0, 1])
def test_integer_labels_count_from_what_the_column_shows(csv: Path, base: int) -> None:
    rows = "".join(f"{n}.jpg,{n + base}\n" for n in range(8))
    assert labels(read_csv(write(csv, "path,label\n" + rows))) == {f"{n}.jpg": n for n in range(8)}


def test_ambiguous_integer_labels_are_asked_about(csv: Path) -> None:
    write(csv, "path,label\na.jpg,1\nb.jpg,7\n")
    with pytest.raises(SourceError, match="--label-base"):
        read_csv(csv)
    assert labels(read_csv(csv, label_base=0)) == {"a.jpg": 1, "b.jpg": 7}
    assert labels(read_csv(csv, label_base=1)) == {"a.jpg": 0, "b.jpg": 6}


def test_integer_labels_of_both_0_and_8_are_refused(csv: Path) -> None:
    with pytest.raises(SourceError, match="both 0 and 8"):
        read_csv(write(csv, "path,label\na.jpg,0\nb.jpg,8\n"))


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("b.jpg,awe,0", "has 3 columns, needs 4"),
        (",awe,0,1", "has no location"),
        ("b.jpg,,0,1", "has no label"),
        ("b.jpg,awe,x,1", "disagree is 'x', not a count"),
        ("b.jpg,awe,0,-1", "agree is '-1', not a count"),
        ("b.jpg,awe,0,", "agree is '', not a count"),
        ("b.jpg,awe,0,1.0", "agree is '1.0', not a count"),
    ],
)
def test_a_row_that_cannot_be_read_becomes_a_record(csv: Path, row: str, detail: str) -> None:
    source = read_csv(write(csv, f"path,label,disagree,agree\na.jpg,awe,0,1\n\n{row}\n"))
    bad = by_id(source)["data.csv:4"]
    assert (bad.kind, bad.detail, bad.origin) == ("bad_row", detail, "data.csv:4")
    assert by_id(source)["a.jpg"].kind == ""


def test_an_unknown_split_is_a_bad_row(csv: Path) -> None:
    source = read_csv(write(csv, "path,label,split\na.jpg,awe,train\nb.jpg,awe,holdout\n"))
    assert by_id(source)["data.csv:3"].detail == "split is 'holdout', not one of train, dev, test"


def test_a_bad_row_of_a_headerless_file_becomes_a_record(csv: Path) -> None:
    source = read_csv(write(csv, "awe,b.jpg\nawe,a.jpg,0,1\n"))
    assert by_id(source)["data.csv:1"].kind == "bad_row"


def test_an_unknown_label_is_one_line_that_names_the_place(csv: Path) -> None:
    write(csv, "path,label\na.jpg,awe\nb.jpg,joy\nc.jpg,joy\n")
    with pytest.raises(SourceError, match=r"^data\.csv:3: 2 rows .*'joy'.*--labels") as caught:
        read_csv(csv)
    assert "\n" not in str(caught.value)


def test_own_labels_are_counted_in_the_given_order(csv: Path) -> None:
    source = read_csv(
        write(csv, "path,label\na.jpg,joy\nb.jpg,calm\n"), label_names=("joy", "calm")
    )
    assert labels(source) == {"a.jpg": 0, "b.jpg": 1}
    assert len(source.records[0].agree) == 2


def test_a_file_that_is_not_utf8_is_refused(csv: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.csv: is not UTF-8 text \(byte 13\)"):
        read_csv(write(csv, "path,label\ngrün.jpg,awe\n".encode("latin-1")))


@pytest.mark.parametrize("text", ["", "\n\n", "path,label\n"])
def test_a_file_without_rows_is_refused(csv: Path, text: str) -> None:
    with pytest.raises(SourceError, match="no row can be read"):
        read_csv(write(csv, text))


def test_a_folder_without_csv_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no row can be read"):
        read_csv(tmp_path)


def test_a_missing_file_is_refused(csv: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.csv: "):
        read_csv(csv)


def test_columns_that_other_marks_part_are_told(csv: Path) -> None:
    csv.write_text("url;label\na.jpg;awe\n")
    with pytest.raises(SourceError, match="it is 'url;label'; put commas between the columns"):
        read_csv(csv)


@pytest.mark.parametrize("text", ["name,kind\na.jpg,awe\n", "<html>\n", "a;b;c\n"])
def test_a_file_of_neither_form_is_refused_with_its_place(csv: Path, text: str) -> None:
    with pytest.raises(SourceError, match=r"data\.csv:1: is neither a header") as caught:
        read_csv(write(csv, text))
    assert "\n" not in str(caught.value)


def test_a_cell_longer_than_csv_allows_is_refused(csv: Path) -> None:
    with pytest.raises(SourceError, match=r"data\.csv:2: field larger"):
        read_csv(write(csv, f"path,label\n{'a' * 200_000},awe\n"))


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    write(tmp_path / "set" / "images" / "a.jpg", b"bytes")
    file = write(tmp_path / "set" / "data.csv", "path,label\nimages/a.jpg,awe\n")
    for path in (file, file.parent):
        assert read_csv(path).fetch("images/a.jpg") == b"bytes"


FI_URLS = ("http://farm1.staticflickr.com/a.jpg", "https://scontent.cdninstagram.com/b.jpg")


@pytest.mark.parametrize(
    ("name", "urls", "is_fi"),
    [
        ("amusement_1.csv", FI_URLS, True),
        ("Awe.csv", FI_URLS, True),
        ("data.csv", FI_URLS, False),
        ("awe.csv", (*FI_URLS, "http://example.org/a.jpg"), False),
        ("awe.csv", ("http://notflickr.com/a.jpg",), False),
        ("awe.csv", ("flickr.com/a.jpg",), False),
        ("awe.csv", ("http://[flickr.com/a.jpg",), False),
    ],
)
def test_fi_is_recognized_by_file_names_and_hosts(
    tmp_path: Path, name: str, urls: tuple[str, ...], is_fi: bool
) -> None:
    source = read_csv(write(tmp_path / name, "".join(f"awe,{url},0,1\n" for url in urls)))
    assert source.is_fi is is_fi


def test_own_labels_are_not_fi(tmp_path: Path) -> None:
    file = write(tmp_path / "awe.csv", f"awe,{FI_URLS[0]},0,1\n")
    assert read_csv(file).is_fi
    assert not read_csv(file, label_names=("awe", "fear")).is_fi


ROWS = ("awe,a.jpg,1,4\n", "fear,a.jpg,0,2\n", "awe,b.jpg,0,3\n", "anger,c.jpg,3,1\n")


def fingerprint(folder: Path, *files: tuple[str, ...]) -> str:
    for number, rows in enumerate(files):
        write(folder / f"{number}.csv", "".join(rows))
    return read_csv(folder).fingerprint()


def test_the_fingerprint_is_the_same_however_rows_are_spread(tmp_path: Path) -> None:
    first = fingerprint(tmp_path / "first", ROWS[:2], ROWS[2:])
    assert fingerprint(tmp_path / "second", ROWS[:0:-1], ROWS[:1]) == first
    assert fingerprint(tmp_path / "third", ROWS) == first


def test_the_fingerprint_changes_with_a_vote(tmp_path: Path) -> None:
    first = fingerprint(tmp_path / "first", ROWS)
    assert fingerprint(tmp_path / "second", ("awe,a.jpg,1,5\n", *ROWS[1:])) != first


@given(content=st.binary(max_size=400) | st.text(alphabet='aw,;"\n\r0158é\t .:/', max_size=200))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_give_records_or_one_clear_line(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = ""
    try:
        source = read_csv(path)
    except SourceError as error:
        said = str(error)
    if said:
        assert str(path) in said or "label" in said
        assert "\n" not in said
    else:
        assert source.records
        assert len({record.id for record in source.records}) == len(source.records)
        assert source.fingerprint()
