"""CSV files: as You et al. distributed FI, or with a header.

FI is a folder of headerless files of four columns, ``emotion,url,disagree,agree``. The same
(emotion, url) may stand in several rows and files; its votes are summed. A file with a header needs
a location column and a label column, and may have ``disagree``, ``agree`` and ``split``.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from featurestore._labels import MIKELS, LabelParser
from featurestore._records import Record, Source
from featurestore._votes import KeepRule
from featurestore.errors import SourceError
from featurestore.fetch import fetch_location
from featurestore.sources._folder import SPLIT_FOLDERS

LOCATION_NAMES = (
    "url",
    "image_url",
    "path",
    "image_path",
    "filepath",
    "file",
    "filename",
    "image",
)
LABEL_NAMES = ("label", "emotion", "class", "category")
FI_COLUMNS = {"label": 0, "location": 1, "disagree": 2, "agree": 3}
FI_HOSTS = ("flickr.com", "staticflickr.com", "instagram.com", "cdninstagram.com", "instagr.am")


class _Row(NamedTuple):
    """One readable row; ``label`` is still text."""

    place: str
    label: str
    location: str
    disagree: int
    agree: int
    split: str


@dataclass
class _Tally:
    """What all rows say about one location."""

    place: str
    agree: list[int]
    disagree: list[int]
    splits: set[str] = field(default_factory=set)
    rows: int = 0


def read_csv(
    path: Path,
    *,
    label_names: tuple[str, ...] = MIKELS,
    label_base: int | None = None,
    keep: KeepRule | None = None,
    allow_outside: bool = False,
) -> Source:
    """Return the rows of a CSV file, or of all ``*.csv`` in a folder, as a source.

    Paths in a file are relative to the folder it lies in.

    Parameters
    ----------
    path : Path
    label_names : tuple of str
        The labels, in the order of their ids.
    label_base : {0, 1}, optional
        What integer labels count from; asked for only where the column itself can't tell.
    keep : KeepRule, optional
        Which votes are enough. Records without enough get the kind "votes".
    allow_outside : bool
        Whether paths may lead out of that folder, by "..", by symbolic links or from the root. Else
        such records fail with the kind "outside".

    Raises
    ------
    SourceError
        If a file isn't UTF-8 or has neither form, a cell holds a line break, or a label isn't one
        of ``label_names``.
    """
    files = find_csvs(path) if path.is_dir() else [path]
    rows: list[_Row] = []
    bad: list[Record] = []
    none = (0,) * len(label_names)
    for file in files:
        for parsed in _read_file(file):
            if isinstance(parsed, _Row):
                rows.append(parsed)
            else:
                place, detail = parsed
                bad.append(Record(place, none, none, origin=place, kind="bad_row", detail=detail))
    if not rows:
        reason = f"; the first is {bad[0].id}: {bad[0].detail}" if bad else ""
        raise SourceError(f"{path}: no row can be read{reason}")

    keep = keep or KeepRule()
    tallies = _add_up(rows, LabelParser(label_names, (r.label for r in rows), label_base))
    records = [_record(location, tally, keep) for location, tally in tallies.items()]
    return Source(
        kind="csv",
        title=path.resolve().name,
        label_names=label_names,
        records=sorted(records + bad, key=lambda record: record.id),
        fetch=partial(fetch_location, base=files[0].parent, allow_outside=allow_outside),
        keep=keep,
        is_fi=label_names == MIKELS and _is_fi(files, list(tallies)),
    )


def find_csvs(folder: Path) -> list[Path]:
    """Return the CSV files at the top of a folder; hidden ones are none.

    Those called "._awe_1.csv" stand beside each file of a zip from a Mac.
    """
    names = (p for p in folder.iterdir() if p.suffix.lower() == ".csv" and p.is_file())
    return sorted(p for p in names if not p.name.startswith("."))


def _read_file(file: Path) -> list[_Row | tuple[str, str]]:
    """Return a file's rows; one that can't be read is (place, reason)."""
    lines = _lines(file)
    columns = FI_COLUMNS
    if lines and (named := _header(lines[0][1])):
        columns = named
        lines = lines[1:]
    parsed = [_parse(f"{file.name}:{number}", cells, columns) for number, cells in lines]
    if columns is FI_COLUMNS and parsed and not any(isinstance(row, _Row) for row in parsed):
        first, cells = lines[0]
        apart = len(cells) == 1 and any(mark in cells[0] for mark in ";\t")
        raise SourceError(
            f"{file}:{first}: is neither a header that names a location column "
            f"({', '.join(LOCATION_NAMES)}) and a label column ({', '.join(LABEL_NAMES)}), "
            f"nor a row of the form emotion,url,disagree,agree; it is {','.join(cells)[:80]!r}"
            + ("; put commas between the columns" if apart else "")
        )
    return parsed


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, cells) of each row that isn't blank."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{file}: is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""))
    lines, first = [], 1
    try:
        for cells in reader:
            if any("\n" in cell or "\r" in cell for cell in cells):
                raise _swallowed(file, first, reader.line_num)
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                lines.append((reader.line_num, stripped))
            first = reader.line_num + 1
    except csv.Error as error:
        if reader.line_num > first:  # longer than a cell may be before another quote came
            raise _swallowed(file, first, reader.line_num) from None
        raise SourceError(f"{file}:{reader.line_num}: {error}") from None
    return lines


def _swallowed(file: Path, first: int, last: int) -> SourceError:
    # A row that an unclosed quote has swallowed would be gone without a trace.
    return SourceError(
        f"{file}:{first}: a quoted cell goes on up to line {last}: close or remove its quote, or "
        "take out the line breaks"
    )


def _header(cells: list[str]) -> dict[str, int] | None:
    """Return where the known columns stand, or None if this is no header."""
    at = {name.lower(): i for i, name in reversed(list(enumerate(cells)))}
    location = next((at[name] for name in LOCATION_NAMES if name in at), None)
    label = next((at[name] for name in LABEL_NAMES if name in at), None)
    if location is None or label is None:
        return None
    optional = {name: at[name] for name in ("disagree", "agree", "split") if name in at}
    return {"location": location, "label": label} | optional


def _parse(place: str, cells: list[str], columns: dict[str, int]) -> _Row | tuple[str, str]:
    if len(cells) <= max(columns.values()):
        return place, f"has {len(cells)} columns, needs {max(columns.values()) + 1}"
    location, label = cells[columns["location"]], cells[columns["label"]]
    if not location or not label:
        return place, f"has no {'label' if location else 'location'}"
    votes = {"agree": 1, "disagree": 0}  # a row without votes is one voice in favour
    for name in ("agree", "disagree"):
        if name in columns:
            text = cells[columns[name]]
            if not (text.isascii() and text.isdigit() and len(text) < 10):
                return place, f"{name} is {text!r}, not a count"
            votes[name] = int(text)
    split = cells[columns["split"]].lower() if "split" in columns else ""
    if split and split not in SPLIT_FOLDERS:
        return place, f"split is {split!r}, not one of train, dev, test"
    return _Row(
        place, label, location, votes["disagree"], votes["agree"], SPLIT_FOLDERS.get(split, "")
    )


def _add_up(rows: list[_Row], parser: LabelParser) -> dict[str, _Tally]:
    """Sum the votes of each (label, location) over all rows."""
    tallies: dict[str, _Tally] = {}
    unknown: Counter[str] = Counter()
    first_unknown = ""
    size = len(parser.names)
    for row in rows:
        try:
            label = parser.parse(row.label)
        except ValueError:
            first_unknown = first_unknown or row.place
            unknown[row.label] += 1
            continue
        if (tally := tallies.get(row.location)) is None:
            tally = tallies[row.location] = _Tally(row.place, [0] * size, [0] * size)
        tally.agree[label] += row.agree
        tally.disagree[label] += row.disagree
        tally.rows += 1
        if row.split:
            tally.splits.add(row.split)
    if unknown:
        shown = ", ".join(repr(text[:40]) for text, _ in unknown.most_common(3))
        raise SourceError(
            f"{first_unknown}: {unknown.total()} rows have a label that is none of "
            f"{', '.join(parser.names)}: {shown}; name your own with --labels a,b,c"
        )
    return tallies


def _record(location: str, tally: _Tally, keep: KeepRule) -> Record:
    kind = detail = split = ""
    if len(tally.splits) > 1:
        kind, detail = "bad_row", f"is in several splits: {', '.join(sorted(tally.splits))}"
    elif keep.label(tally.agree, tally.disagree) < 0:
        kind = "votes"
        detail = f"agree {sum(tally.agree)}, disagree {sum(tally.disagree)}"
    if len(tally.splits) == 1:
        (split,) = tally.splits
    origin = tally.place if tally.rows == 1 else f"{tally.place} and {tally.rows - 1} more rows"
    agree, disagree = tuple(tally.agree), tuple(tally.disagree)
    return Record(location, agree, disagree, split, origin, kind, detail)


def _is_fi(files: list[Path], locations: list[str]) -> bool:
    """Whether these are You et al.'s files: named after emotions, pointing to Flickr, Instagram."""
    if not all(file.name.lower().startswith(MIKELS) for file in files):
        return False
    for location in locations:
        try:
            host = urlsplit(location).hostname or ""
        except ValueError:
            return False
        if not any(host == known or host.endswith(f".{known}") for known in FI_HOSTS):
            return False
    return True
