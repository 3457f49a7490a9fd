"""What img2dataset leaves: folders or tars of images, each with its JSON, and a Parquet beside.

    00000/000000012.jpg, .json, .txt    or  00000.tar with the same in it
    00000.parquet                       a row for each address of that shard, downloaded or not

``bench export --to webdataset`` writes tars of the same kind, without a Parquet.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featurestore._labels import MIKELS, LabelParser, order_names
from featurestore._records import Record, Source
from featurestore.errors import FetchFailure, NotFound, SourceError
from featurestore.export._content import FORMAT
from featurestore.export._shards import METADATA
from featurestore.fetch import fetch_location
from featurestore.sources._csv import LABEL_NAMES
from featurestore.sources._folder import SPLIT_FOLDERS
from featurestore.sources._tar import list_members, read_member
from featurestore.sources._votes import one_vote_each, refuse_too_many

_SHARD = re.compile(r"(?:train-|dev-|val-|test-)?\d{3,}")
_IMAGE_ENDINGS = ("jpg", "jpeg", "png", "webp", "avif", "gif", "bmp", "tif", "tiff", "jp2")
_SUCCESS = "success"

Fetch = Callable[[], bytes]


@dataclass
class _Sample:
    """What a shard holds of one image, and what is said about it."""

    id: str
    fetch: Fetch | None = None  # of the image
    read_json: Fetch | None = None
    label: Any = None
    split: Any = None
    url: str = ""
    status: str = ""  # why img2dataset has no image
    problem: str = ""


def is_img2dataset(root: Path) -> bool:
    """Return whether a folder holds shards: numbered tars, or numbered folders with a Parquet."""
    names = {entry.name for entry in os.scandir(root)}
    shards = [Path(name).stem for name in names if _SHARD.fullmatch(Path(name).stem)]
    return any(
        f"{shard}.tar" in names or (f"{shard}.parquet" in names and (root / shard).is_dir())
        for shard in shards
    )


def read_img2dataset(
    root: Path,
    *,
    label_names: tuple[str, ...] | None = None,
    label_base: int | None = None,
    label_column: str | None = None,
) -> Source:
    """Return the images of a folder that img2dataset wrote, in either format, as a source.

    What is said of an image is taken from its shard's Parquet file, or from its JSON if there is no
    such file. Addresses that img2dataset could not download become failures in the manifest. A
    column called "split" gives splits.

    Parameters
    ----------
    root : Path
    label_names : tuple of str, optional
        The labels in the order of their ids; else those that occur, or Mikels' eight where the
        column holds integers.
    label_base : {0, 1}, optional
        What integer labels count from; asked for only where the column itself can't tell.
    label_column : str, optional
        The column, or the key of the JSON, with the labels; "label", "emotion", "class" or
        "category" unless told.

    Raises
    ------
    SourceError
        If there is no such column, a shard is damaged, or a tar holds anything but files.
    """
    samples = [
        sample for shard in _shards(root) for sample in _read_shard(root, shard, label_column)
    ]
    if not any(sample.fetch for sample in samples):
        raise SourceError(f"{root}: its {len(samples)} samples have no image among them")
    labels = [_text(sample.label) for sample in samples]
    if not any(labels):
        raise SourceError(
            f"{root}: no image has a label: name the column, or the key of the JSON, with "
            "--label-column"
        )
    told = _told(root)
    names = label_names or tuple(told.get("label_names", ())) or _names(root, labels)
    parser = LabelParser(names, labels, label_base)
    _refuse_unknown(root, labels, parser)
    votes = one_vote_each(len(parser.names))
    records = [_record(s, text, parser, votes) for s, text in zip(samples, labels, strict=True)]
    by_id = {sample.id: sample for sample in samples}
    if len(by_id) < len(samples):
        raise SourceError(f"{root}: some of its samples have the same name; write it anew")
    return Source(
        kind="img2dataset",
        title=root.resolve().name,
        label_names=parser.names,
        records=sorted(records, key=lambda record: record.id),
        fetch=_FetchById(by_id),
        synthetic=bool(told.get("synthetic")),
    )


def _told(root: Path) -> dict[str, Any]:
    """Return what an export of ours says about itself; nothing for all other folders."""
    try:
        about = json.loads((root / METADATA).read_bytes())
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            return {}
        names = about["label_names"]
        if all(isinstance(name, str) and name for name in names) and len({*names}) == len(names):
            return about
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SourceError(f"{root / METADATA}: is damaged; get the export again")


def _shards(root: Path) -> list[str]:
    stems = {Path(entry.name).stem for entry in os.scandir(root)}
    return sorted(stem for stem in stems if _SHARD.fullmatch(stem))


def _read_shard(root: Path, shard: str, column: str | None) -> Iterator[_Sample]:
    """Yield the samples of one shard."""
    tar, folder, parquet = (root / f"{shard}{ending}" for ending in (".tar", "", ".parquet"))
    if tar.is_file():
        files = {name: partial(read_member, tar, m) for name, m in list_members(tar).items()}
        samples = _group(tar.name, files)
    elif folder.is_dir():
        found = (e.name for e in os.scandir(folder) if not e.name.startswith("."))
        samples = _group(shard, {name: partial(fetch_location, name, folder) for name in found})
    else:
        samples = {}
    if parquet.is_file():
        yield from _join(parquet, shard, samples, column)
    else:
        for sample in samples.values():
            _read_json(sample, column)
            yield sample


def _group(place: str, files: dict[str, Any]) -> dict[str, _Sample]:
    """Return the samples by key: all before the first dot of the name, as WebDataset has it."""
    samples: dict[str, _Sample] = {}
    for name in sorted(files):
        folder, slash, file = name.rpartition("/")
        stem, _, ending = file.partition(".")
        key = f"{folder}{slash}{stem}"
        sample = samples.setdefault(key, _Sample(f"{place}/{key}"))
        if ending.lower() == "json":
            sample.read_json = files[name]
        elif ending.lower() in _IMAGE_ENDINGS and sample.fetch is None:
            sample.id, sample.fetch = f"{place}/{name}", files[name]
    return {k: s for k, s in samples.items() if s.fetch or s.read_json}


def _read_json(sample: _Sample, column: str | None) -> None:
    """Take label and split from a sample's JSON."""
    if sample.read_json is None:
        sample.problem = "has no .json beside it"
        return
    try:
        about = json.loads(sample.read_json())
    except (ValueError, RecursionError, FetchFailure) as error:
        sample.problem = f"its .json can't be read ({' '.join(str(error).split())[:100]})"
        return
    if not isinstance(about, dict):
        sample.problem = "its .json is no object"
        return
    name = column or next((name for name in LABEL_NAMES if name in about), "")
    sample.label, sample.split = about.get(name), about.get("split")
    sample.url = str(about.get("url") or "")


def _join(
    parquet: Path, shard: str, samples: dict[str, _Sample], column: str | None
) -> Iterator[_Sample]:
    """Yield a shard's samples with what its Parquet file says of them, and those without images."""
    left = dict(samples)
    seen: set[str] = set()
    for row in _rows(parquet, column):
        key = str(row["key"])
        if key in seen:
            raise SourceError(f"{parquet}: holds the key {key[:100]!r} twice; write it anew")
        seen.add(key)
        sample = left.pop(key, None) or _Sample(f"{shard}/{key}")
        sample.label, sample.split = row["label"], row["split"]
        sample.url = str(row["url"] or "")
        if sample.fetch is None:
            reason = str(row["error_message"] or row["status"] or "no reason given")
            said = reason if row["status"] != _SUCCESS else "it is missing, but was downloaded"
            sample.status = " ".join(said.split())[:200]
        yield sample
    for sample in left.values():
        sample.problem = f"is not in {parquet.name}"
        yield sample


def _rows(parquet: Path, column: str | None) -> Iterator[dict[str, Any]]:
    """Yield key, label, split, status and error_message of each row of a Parquet file."""
    try:
        with pq.ParquetFile(parquet) as file:
            there = file.schema_arrow.names
            label = column or next((name for name in LABEL_NAMES if name in there), None)
            if "key" not in there:
                raise SourceError(
                    f"{parquet}: has no column 'key', so img2dataset did not write it"
                )
            if label is None or label not in there:
                raise SourceError(
                    f"{parquet}: has no column {label or LABEL_NAMES[0]!r}; name the one with the "
                    f"labels with --label-column: {', '.join(there)[:300]}"
                )
            more = ("split", "url", "status", "error_message")
            wanted = list(dict.fromkeys(["key", label, *(name for name in more if name in there)]))
            for name in wanted:
                if there.count(name) > 1:
                    raise SourceError(f"{parquet}: has several columns {name!r}; write it anew")
            _refuse_types(parquet, file.schema_arrow, label)
            for batch in file.iter_batches(columns=wanted):
                for row in batch.to_pylist():
                    yield dict.fromkeys(more) | row | {"label": row[label]}
    except (pa.ArrowException, OSError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise SourceError(f"{parquet}: can't be read as Parquet ({text})") from None


def _refuse_types(parquet: Path, schema: pa.Schema, label: str) -> None:
    if not _is_text_or_integer(kind := schema.field("key").type):
        raise SourceError(f"{parquet}: the column 'key' holds {kind}; img2dataset writes texts")
    kind = schema.field(label).type
    if not (_is_text_or_integer(kind) or pa.types.is_floating(kind)):
        raise SourceError(
            f"{parquet}: the column {label!r} holds {kind}; labels are texts or integers, so name "
            "another with --label-column"
        )


def _is_text_or_integer(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
    return bool(is_text or pa.types.is_integer(inner))


def _text(label: Any) -> str:
    """Return a label as text; "" if it is none."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # pandas makes floats of integers where some are missing
    if isinstance(label, str) or (isinstance(label, int) and not isinstance(label, bool)):
        return str(label).strip()
    return ""


def _names(root: Path, labels: Iterable[str]) -> tuple[str, ...]:
    different = {label for label in labels if label}
    if all(label.isascii() and label.isdigit() for label in different):
        return MIKELS
    refuse_too_many(str(root), len(different))
    return order_names(different)


def _refuse_unknown(root: Path, labels: Iterable[str], parser: LabelParser) -> None:
    for label in sorted(set(labels) - {""}):
        try:
            parser.parse(label)
        except ValueError:
            raise SourceError(
                f"{root}: {label[:40]!r} is none of the labels {', '.join(parser.names)}; name "
                "your own with --labels a,b,c"
            ) from None


def _record(
    sample: _Sample, label: str, parser: LabelParser, votes: list[tuple[int, ...]]
) -> Record:
    none = (0,) * len(parser.names)
    said = "" if sample.split is None else str(sample.split).strip()
    split = SPLIT_FOLDERS.get(said.lower(), "")
    problem = sample.problem
    if not problem and not label:
        problem = "has no label"
    if not problem and said and not split:
        problem = f"split is {said[:40]!r}, not one of train, dev, test"
    if problem:
        return Record(sample.id, none, none, split, sample.url, "bad_row", problem)
    return Record(sample.id, votes[parser.parse(label)], none, split, sample.url)


class _FetchById:
    """Gives the bytes of samples by id."""

    def __init__(self, samples: Mapping[str, _Sample]) -> None:
        self._samples = samples

    def __call__(self, place: str) -> bytes:
        return _fetch(self._samples[place])

    def only(self, places: Iterable[str]) -> "_FetchById":
        """Return one that knows these alone: it is sent along with the work on them."""
        return _FetchById({place: self._samples[place] for place in places})


def _fetch(sample: _Sample) -> bytes:
    if sample.fetch is None:
        raise NotFound(f"img2dataset has not downloaded it: {sample.status}")
    return sample.fetch()
