"""Run every benchmark that has a peer, and write what was found into docs/benchmarks.md.

    python benchmarks/all.py --out measured/
    python benchmarks/all.py --out measured/ --images cifar10/ --torch-python ~/torch/bin/python \\
        --img2dataset ~/img2dataset/bin/img2dataset

Half an hour on 2 cores; how long each part took stands in the document. What can't run is a row
with its reason, and stops nothing else. Parts that have ended are kept in --out and not run again
unless --force is given, so the same command goes on where it was stopped.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _table

ROOT = _table.HERE.parent
KEPT, DOCUMENT = ROOT / "docs" / "benchmarks.json", ROOT / "docs" / "benchmarks.md"
LIBRARIES = (
    *("numpy", "tensorflow", "keras", "ai-edge-litert", "scikit-learn", "lightgbm", "pillow"),
    *("requests", "zarr", "h5py", "pyarrow", "distributed"),
)
GIVEN = ("images", "store", "img2dataset", "torch_python")
LONGEST = 1800  # s, after which a part is ended


@dataclass(frozen=True)
class Part:
    """A benchmark with the arguments that it is run with.

    Attributes
    ----------
    title : str
    script : str
    arguments : tuple of str
        "{images}" and the like stand for what this command was given; an option whose value wasn't
        given is left out.
    why : str
        Why with these.
    needs : str
        What must have been given, or "".
    peer : str
        The one peer that is shown, where a document of its own has all of them; or "".
    """

    title: str
    script: str
    arguments: tuple[str, ...]
    why: str
    needs: str = ""
    peer: str = ""

    @property
    def name(self) -> str:
        """What its file in --out is called."""
        return self.title.replace(" ", "-").lower()


PARTS = (
    Part(
        "Start-up",
        "start.py",
        ("--rounds", "5"),
        "a start takes seconds at most; five rounds show how it varies",
    ),
    Part(
        "Downloads",
        "download.py",
        ("--rounds", "3", "--img2dataset", "{img2dataset}"),
        "5,000 images take ten seconds, of which start-up is little",
    ),
    Part(
        "Extraction of the sample",
        "extract.py",
        ("--rounds", "3", "--count", "800", "--torch-python", "{torch_python}"),
        "800 JPEGs of the sample's size keep four programs busy for about ten seconds each",
    ),
    Part(
        "Extraction of photographs",
        "extract.py",
        (
            *("--rounds", "3", "--count", "800", "--images", "{images}"),
            *("--torch-python", "{torch_python}"),
        ),
        "the same on photographs, where a folder of them is given",
        "images",
    ),
    Part(
        "Extraction by Dask's workers",
        "scheduler.py",
        ("--rounds", "3", "--count", "3200", "--images", "{images}"),
        "3,200 images keep both busy for twenty seconds: with half as many, rounds differ too much",
    ),
    Part(
        "Reading a store",
        "store_reads.py",
        ("--rows", "20000", "--images-from", "{images}"),
        "20,000 rows of embeddings are 82 MB, more than the processor's caches hold; all peers "
        "are in [store-layout.md](store-layout.md)",
        peer="npy memmap",
    ),
    Part(
        "Classifiers",
        "classifiers.py",
        ("--rounds", "3", "--rows", "10000"),
        "10,000 rows: LightGBM's defaults take a minute a fit at that",
    ),
    Part(
        "Classifiers on a store",
        "classifiers.py",
        ("--rounds", "1", "--store", "{store}"),
        "what is right on test is measured on real embeddings, where a store of them is given",
        "store",
    ),
    Part(
        "Networks",
        "cnn.py",
        ("--rounds", "3", "--stem", "imagenet", "--torch-python", "{torch_python}"),
        "the 7x7 stem, as `bench run` trains it; the 3x3 one takes 15 times as long",
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder where finished parts are kept")
    titles = tuple(part.title for part in PARTS)
    parser.add_argument("--parts", nargs="+", choices=titles, default=titles, help="only these")
    parser.add_argument("--images", type=Path, help="folder of class folders of photographs")
    parser.add_argument("--store", type=Path, help="a store made from photographs")
    parser.add_argument("--img2dataset", type=Path, help="its program, in another environment")
    parser.add_argument("--torch-python", type=Path, help="a Python that has PyTorch")
    parser.add_argument("--force", action="store_true", help="run parts again that have ended")
    parser.add_argument("--write", action="store_true", help="write the document from what is kept")
    arguments = parser.parse_args()
    if not arguments.write:
        if arguments.out is None:
            parser.error("--out is missing: the folder where finished parts are kept")
        run_all(arguments)
    _table.put(DOCUMENT, "all.py", in_words(json.loads(KEPT.read_bytes())))


def run_all(arguments: argparse.Namespace) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = []
    for part in PARTS:
        kept = arguments.out / f"{part.name}.json"
        if kept.is_file() and not (arguments.force and part.title in arguments.parts):
            parts.append(json.loads(kept.read_bytes()))
            continue
        if part.title not in arguments.parts:
            parts.append(not_run(part, "was not run"))
            continue
        found = run(part, arguments)
        parts.append(found)
        if not all("reason" in row for row in found["rows"]):
            kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{part.title}: {found['seconds']:.0f} s\n{_table.show(found['rows'])}\n", flush=True)
    text = json.dumps({"machine": _table.machine(*LIBRARIES), "parts": parts}, indent=1)
    KEPT.write_text(text + "\n", encoding="utf-8")


def run(part: Part, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a part in a process of its own; return its rows, or one with the reason why not."""
    given = {name: getattr(arguments, name) for name in GIVEN}
    if part.needs and given[part.needs] is None:
        return not_run(part, f"--{part.needs} was not given")
    found = arguments.out / f"{part.name}.rows.json"
    found.unlink(missing_ok=True)
    command = [sys.executable, str(_table.HERE / part.script), "--json", str(found)]
    start = time.perf_counter()
    try:
        subprocess.run(
            command + filled(part, given),
            capture_output=True,
            text=True,
            check=True,
            timeout=LONGEST,
        )
        rows = json.loads(found.read_bytes())
        rows = [row for row in rows if part.peer in ("", row["peer"])]
    except subprocess.CalledProcessError as error:
        rows = [_table.missing(part.title, "", _table.failure(error))]
    except subprocess.TimeoutExpired:
        rows = [_table.missing(part.title, "", f"was ended after {LONGEST} s")]
    return about(part, time.perf_counter() - start, rows)


def about(part: Part, seconds: float, rows: list[_table.Row]) -> dict[str, Any]:
    return {
        "title": part.title,
        "command": told(part),
        "why": part.why,
        "seconds": seconds,
        "rows": rows,
    }


def not_run(part: Part, reason: str) -> dict[str, Any]:
    return about(part, 0.0, [_table.missing(part.title, "", reason)])


def filled(part: Part, given: dict[str, Path | None]) -> list[str]:
    """Return a part's arguments with what was given in their places."""
    found: list[str] = []
    for argument in part.arguments:
        if not argument.startswith("{"):
            found.append(argument)
        elif (value := given[argument.strip("{}")]) is not None:
            found.append(str(value))
        else:
            found.pop()  # the option
    return found


def told(part: Part) -> str:
    """Return the command as a reader would give it."""
    names = [name.strip("{}").upper() if "{" in name else name for name in part.arguments]
    return " ".join(["python", f"benchmarks/{part.script}", *names])


def in_words(kept: dict[str, Any]) -> str:
    """Return what stands in docs/benchmarks.md between the marks."""
    machine = _table.markdown(["", ""], [[k, v] for k, v in kept["machine"].items()])
    runs = [
        [f"`{part['command']}`", part["why"], f"{part['seconds']:.0f}"] for part in kept["parts"]
    ]
    tables = [f"## {part['title']}\n\n{_table.show(part['rows'])}" for part in kept["parts"]]
    how = _table.markdown(["run as", "why so", "seconds"], runs)
    return "\n\n".join([machine, how, *tables])


if __name__ == "__main__":
    main()
