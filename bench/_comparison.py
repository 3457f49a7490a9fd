"""Models beside each other on the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench._predictions import Predictions
from bench._records import Results, RunResult
from bench._results import predictions_of
from bench._statistics import Difference, Summary, holm, paired, summarise

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Contender:
    """A model's runs with what each said of the test images, in the order of their seeds.

    Attributes
    ----------
    summary : Summary
    runs : tuple of RunResult
    predictions : tuple of Predictions
        Of the test split, images in the order of their rows in the store.
    """

    summary: Summary
    runs: tuple[RunResult, ...]
    predictions: tuple[Predictions, ...]

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """Whether each image was told right, bool (seeds, n)."""
        return np.stack([found.hits for found in self.predictions])


@dataclass(frozen=True)
class Pair:
    """Two models on the same test images.

    Attributes
    ----------
    a, b : Summary
    difference : Difference
        A's accuracy minus B's.
    corrected_p : float
        McNemar's p by Holm's correction for all pairs.
    agreement : float
        The share of images of which the first seeds of both say the same.
    kappa : float
        Cohen's: agreement beyond chance.
    """

    a: Summary
    b: Summary
    difference: Difference
    corrected_p: float
    agreement: float
    kappa: float

    @property
    def clear(self) -> bool:
        """Whether one is better: by the interval, and by p for as many pairs as there are."""
        return self.difference.clear and self.corrected_p < SIGNIFICANT


@dataclass(frozen=True)
class Compared:
    """All models that have predictions, and all pairs of them."""

    tested: list[Contender]
    pairs: list[Pair]


def compare_all(folder: Path, results: Results) -> Compared:
    """Return all models of a results folder beside each other."""
    tested = []
    for summary in summarise(results.runs):
        found = tested_runs(folder, summary.ok)
        if found:
            tested.append(
                Contender(summary, tuple(run for run, _ in found), tuple(p for _, p in found))
            )
    couples = list(combinations(tested, 2))
    differences = [paired(a.hits, b.hits) for a, b in couples]
    corrected = holm([d.p for d in differences if d.p is not None])
    pairs = []
    for (a, b), difference, p in zip(couples, differences, corrected, strict=True):
        says = [model.predictions[0].predicted for model in (a, b)]
        agreement = float((says[0] == says[1]).mean())
        pairs.append(Pair(a.summary, b.summary, difference, p, agreement, _kappa(*says)))
    return Compared(tested, pairs)


def tested_runs(folder: Path, runs: Sequence[RunResult]) -> list[tuple[RunResult, Predictions]]:
    """Return runs with their predictions for the test images; those without any are left out."""
    found = []
    for run in runs:
        predictions = predictions_of(folder, run)
        if predictions is not None:
            test = predictions.of("test")
            if len(test.label):
                found.append((run, test))
    return found


def _kappa(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> float:
    from sklearn.metrics import cohen_kappa_score

    if len(np.union1d(a, b)) == 1:  # both say one and the same of every image
        return 1.0
    return float(cohen_kappa_score(a, b))
