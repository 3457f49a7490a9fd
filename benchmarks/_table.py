"""What the benchmarks share: compared figures as rows, a Markdown table, JSON, parts of documents.

A row is a dict of what a benchmark compares with one peer:

    what      what was done, on what
    peer      the peer's name; "" where a figure stands for itself
    ours      median of our rounds, or None where nothing was measured
    theirs    median of the peer's rounds, or None
    ratio     median over the rounds of how much better ours is: above 1 it is
    spread    [least, greatest] of these ratios, or of ours where there is no peer; or None
    unit      of ``ours`` and ``theirs``, such as "images/s"
    reason    why nothing was measured; not there otherwise

Importing this module puts the benchmarks' folder last on the path: its files have the names of
packages ("classifiers", "cnn"), and would hide them.
"""

import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.sort(key=lambda folder: Path(folder) == HERE)

Row = dict[str, Any]
END = "<!-- end -->"


def compare(
    what: str,
    peer: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    unit: str,
    *,
    less: bool = False,
) -> Row:
    """Return the row of two programs that ran by turns.

    Parameters
    ----------
    ours, theirs : sequence of float, one for each round
    less : bool
        Whether less is better, as of seconds.
    """
    ratios = [t / o if less else o / t for o, t in zip(ours, theirs, strict=True)]
    return {
        "what": what,
        "peer": peer,
        "ours": statistics.median(ours),
        "theirs": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "spread": [min(ratios), max(ratios)],
        "unit": unit,
    }


Figures = list[float] | str  # one for each round, or why there are none


def by_turns(
    programs: Mapping[str, Callable[[], float]], ours: str, rounds: int, warm_ups: int = 0
) -> dict[str, Figures]:
    """Run programs by turns; return the figures that each gave, but of the first rounds.

    A peer that fails is not run again. Ours ends the benchmark.
    """
    values: dict[str, list[float]] = {name: [] for name in programs}
    reasons: dict[str, str] = {}
    for number in range(warm_ups + rounds):
        for name in [name for name in programs if name not in reasons]:
            try:
                value = programs[name]()
            except subprocess.CalledProcessError as error:
                reasons[name] = failure(error)
                continue
            if number >= warm_ups:
                values[name].append(value)
        if ours in reasons:
            sys.exit(reasons[ours])
    return {name: reasons.get(name, values[name]) for name in programs}


def against(
    what: str, found: Mapping[str, Figures], ours: str, peers: Mapping[str, str], unit: str
) -> list[Row]:
    """Return the rows of ours and each of some peers, whom ``peers`` gives the names to tell."""
    mine = found[ours]
    assert not isinstance(mine, str)  # the benchmark would have ended
    rows = []
    for name, told in peers.items():
        theirs = found.get(name, "not installed")
        if isinstance(theirs, str):
            rows.append(missing(what, told, theirs))
        else:
            rows.append(compare(what, told, mine, theirs, unit))
    return rows


def alone(what: str, values: Sequence[float], unit: str) -> Row:
    """Return the row of figures that no peer has."""
    return {
        "what": what,
        "peer": "",
        "ours": statistics.median(values),
        "theirs": None,
        "ratio": None,
        "spread": [min(values), max(values)],
        "unit": unit,
    }


def missing(what: str, peer: str, reason: str) -> Row:
    """Return the row of something that couldn't be measured."""
    empty = dict.fromkeys(("ours", "theirs", "ratio", "spread"))
    return {"what": what, "peer": peer, **empty, "unit": "", "reason": reason}


def show(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = []
    for row in rows:
        if "reason" in row:
            cells.append([row["what"], row["peer"], "", "", row["reason"]])
            continue
        low, high = row["spread"] or (None, None)
        between = f" ({number(low)} .. {number(high)})" if row["spread"] else ""
        ours, theirs = f"{number(row['ours'])} {row['unit']}", ""
        if row["theirs"] is not None:
            theirs = f"{number(row['theirs'])} {row['unit']}"
        if row["ratio"] is None:
            cells.append([row["what"], row["peer"], ours + between, theirs, ""])
        else:
            cells.append([row["what"], row["peer"], ours, theirs, number(row["ratio"]) + between])
    return markdown(
        ["what", "peer", "ours", "the peer's", "ratio: median (least .. greatest)"], cells
    )


def markdown(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Return a number with two or three digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"


def report(rows: Sequence[Row], path: Path | None) -> None:
    """Print rows as a table, and write them as JSON where a file is given."""
    print(show(rows), flush=True)
    if path is not None:
        path.write_text(json.dumps(list(rows), indent=1) + "\n", encoding="utf-8")


def failure(error: subprocess.CalledProcessError) -> str:
    """Return the last line that a program which failed has written, as a reason."""
    lines = str(error.stderr or "").strip().splitlines()
    return lines[-1].replace("|", "/")[:200] if lines else f"ended with status {error.returncode}"


def begin_mark(script: str) -> str:
    """Return the line above what a script writes into a document."""
    return f"<!-- made by benchmarks/{script} -->"


def marked(text: str, script: str) -> str:
    """Return what stands between a script's marks in a document's text.

    Raises
    ------
    SystemExit
        If it has no such marks.
    """
    _, begin, rest = text.partition(begin_mark(script) + "\n")
    inside, end, _ = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"there is no place for what benchmarks/{script} makes")
    return inside


def put(document: Path, script: str, text: str) -> None:
    """Write a text between a script's marks in a document."""
    old = document.read_text(encoding="utf-8")
    begin = begin_mark(script) + "\n"
    before = old.partition(begin)[0] + begin
    after = old[len(before) + len(marked(old, script)) :]
    document.write_text(f"{before}{text}\n{after}", encoding="utf-8")


def machine(*libraries: str) -> dict[str, str]:
    """Return what was measured on: processor, cores, memory, system, and versions."""
    import psutil

    from featurestore._engines import usable_cores

    release = ".".join(platform.release().split(".")[:2])  # what follows is the machine's own
    found = {
        "processor": _processor(),
        "cores": str(usable_cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {release}, {platform.machine()}",
        "Python": platform.python_version(),
    }
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
