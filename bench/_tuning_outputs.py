"""What a study leaves for people: the table of the best trials, all trials as CSV, the picture."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from bench._spaces import SPACES
from bench._tables import limits_text, percent, title_of
from bench._tuning import interval, value_text
from bench._tuning_plots import draw_study
from bench._tuning_records import About, Trial, ranked
from featurestore._files import write_durably

SHOWN = 5
MEASURED = ("dev_accuracy", "dev_loss", "train_accuracy", "train_loss", "seconds")


def show_best(about: About, trials: Sequence[Trial]) -> str:
    """Return a table of the best trials, and how it is to be read."""
    names = parameter_names(about, trials)
    rows = [
        [
            *(str(trial.number), *(value_text(trial.values[name]) for name in names)),
            *(percent(trial.train_accuracy), percent(trial.dev_accuracy)),
            limits_text(*interval(trial, about)),
            "" if trial.dev_loss is None else f"{trial.dev_loss:.3f}",
        ]
        for trial in ranked(trials)[:SHOWN]
    ]
    header = ("trial", *names, "train %", "dev %", "95 % interval", "dev log-loss")
    table = tabulate(rows, header, disable_numparse=True, colalign=["right"] * len(header))
    states = [trial.state for trial in trials]
    counts = [f"{states.count('ok')} trials"]
    counts += [f"{states.count(s)} {s}" for s in ("pruned", "failed", "running") if s in states]
    what = "the report's grid" if about.grid else "search"
    title = title_of(about.model, (trial.values for trial in trials))
    return (
        f"{title}, {what}: {', '.join(counts)}; {about.dev_images:,} dev images\n\n"
        f"{table}\n\n"
        "These were chosen by the dev split, so their dev accuracy is better than what new images "
        "will give,\nand the interval, which is of one model, leaves that out. The test split was "
        "not looked at."
    )


def show_csv(about: About, trials: Sequence[Trial]) -> str:
    """Return all trials as CSV, a line for each."""
    names = parameter_names(about, trials)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("trial", "state", *names, *MEASURED, "dev_low", "dev_high", "reason"))
    for trial in trials:
        limits = interval(trial, about) if trial.state == "ok" else ("", "")
        measured = (getattr(trial, name) for name in MEASURED)
        values = (trial.values.get(name, "") for name in names)
        writer.writerow((trial.number, trial.state, *values, *measured, *limits, trial.reason))
    return text.getvalue()


def write_study(folder: Path, about: About, trials: Sequence[Trial]) -> list[Path]:
    """Write the table and the picture beside the journal, and return their paths."""
    written = []
    for suffix, text in (("csv", show_csv(about, trials)), ("svg", draw_study(about, trials))):
        written.append(folder / f"{about.name}.{suffix}")
        write_durably(written[-1], text.encode())
    return written


def parameter_names(about: About, trials: Sequence[Trial]) -> list[str]:
    """Return the names of the parameters that were tried, in the order of the space."""
    there = {name for trial in trials for name in trial.values}
    return [p.name for p in SPACES[about.model].parameters if p.name in there]
