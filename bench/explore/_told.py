"""What models say of a store's images, spread over the store's rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench._errors import BenchError
from bench._predictions import Predictions
from bench._records import Results, RunResult
from bench._results import predictions_of
from bench._tables import title_of


@dataclass(frozen=True)
class Told:
    """What one model says of a store's n images; most models say nothing of those of train.

    Attributes
    ----------
    key : str
        The same for the same model and variant, and fit for an address.
    title : str
    about : dict
        What a page says of the run: variant, seed, accuracy on dev.
    place : int64 (n,)
        Where in ``probabilities`` an image is; -1 for nowhere.
    label : int64 (k,)
        The true labels, as the model has them: they may be grouped.
    probabilities : float32 (k, answers)
    """

    key: str
    title: str
    about: dict[str, object]
    place: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    @classmethod
    def spread(
        cls, key: str, title: str, about: dict[str, object], found: Predictions, count: int
    ) -> "Told":
        """Return predictions spread over ``count`` rows.

        Raises
        ------
        ValueError
            If they are of other rows.
        """
        if len(found.row) and not 0 <= found.row.min() <= found.row.max() < count:
            raise ValueError(f"predictions of {key} are of rows that the store doesn't have")
        place = np.full(count, -1, np.int64)
        place[found.row] = np.arange(len(found.row))
        return cls(key, title, about, place, found.label, found.probabilities)

    @cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The likeliest answer, int64 (n,); -1 for none."""
        return self._over_rows(self.probabilities.argmax(axis=1), -1)

    @cached_property
    def sureness(self) -> npt.NDArray[np.float32]:
        """Its probability, float32 (n,); -1 for none."""
        return self._over_rows(self.probabilities.max(axis=1), -1).astype(np.float32)

    @cached_property
    def right(self) -> npt.NDArray[np.int64]:
        """Whether it is right, int64 (n,): 1, 0, or -1 for no answer."""
        return self._over_rows(self.probabilities.argmax(axis=1) == self.label, -1)

    def _over_rows(self, values: npt.NDArray[np.generic], missing: int) -> npt.NDArray[np.int64]:
        spread = np.append(values, missing)[self.place]  # -1 is the one appended
        return np.asarray(spread)


def read_told(folder: Path, results: Results, count: int) -> Iterator[Told]:
    """Yield what each model and variant says, by its first seed, the best on dev first.

    Raises
    ------
    BenchError
        If predictions can't be read, or are of another store.
    """
    first: dict[tuple[str, str], RunResult] = {}
    for run in sorted(results.runs, key=lambda run: run.seed):
        if run.status == "ok":
            first.setdefault((run.model, run.variant), run)
    for run in sorted(first.values(), key=lambda run: -run.dev.accuracy if run.dev else 1):
        found = predictions_of(folder, run)
        if found is None or not len(found.row):
            continue
        try:
            yield Told.spread(f"{run.model}-{run.variant}", name_of(run), about(run), found, count)
        except ValueError as error:
            raise BenchError(f"{folder}: {error}; redo the run with --force") from None


def name_of(run: RunResult) -> str:
    """Return what a run's model is called beside others."""
    title = title_of(run.model, [run.settings])
    return title if run.variant in ("default", "quick") else f"{title}, {run.variant}"


def about(run: RunResult) -> dict[str, object]:
    """Return what a page says of a run."""
    dev = run.dev.accuracy if run.dev else None
    return {"model": run.model, "variant": run.variant, "seed": run.seed, "dev": dev}
