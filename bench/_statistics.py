"""The numbers behind a table: scores of a run, spread over seeds, differences between models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._records import RunResult, SplitScores

LEVEL = 0.95
CALIBRATION_BINS = 15
RESAMPLES = 10_000
Array = npt.NDArray[Any]


def wilson(correct: float, total: int) -> tuple[float, float]:
    """Return Wilson's interval of an accuracy at 95 %, within 0..1.

    ``correct`` may be a mean over seeds and so no whole number.
    """
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(correct, total, alpha=1 - LEVEL, method="wilson")
    share = correct / total  # at 0 and at 1 rounding may leave it outside by a hair
    return min(float(low), share), max(float(high), share)


def score(labels: Array, probabilities: Array) -> SplitScores:
    """Return the scores of a split.

    Parameters
    ----------
    labels : int64 (n,), n > 0
    probabilities : float (n, labels)
    """
    from sklearn.metrics import (
        confusion_matrix,
        log_loss,
        precision_recall_fscore_support,
        top_k_accuracy_score,
    )

    every = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    correct, total = int((predicted == labels).sum()), len(labels)
    low, high = wilson(correct, total)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    there, guessed = support > 0, np.isin(every, predicted)
    # Rounding may leave sums a little off 1; scikit-learn minds.
    shares = probabilities.astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    top2 = top_k_accuracy_score(labels, shares, k=2, labels=every) if len(every) > 2 else None
    return SplitScores(
        correct=correct,
        total=total,
        accuracy=correct / total,
        low=low,
        high=high,
        top2=None if top2 is None else float(top2),
        # Labels without an image would count as 0 in scikit-learn's own macro average.
        macro_f1=float(f1[there].mean()),
        balanced_accuracy=float(recall[there].mean()),
        log_loss=float(log_loss(labels, shares, labels=every)),
        ece=calibration(labels, probabilities).error,
        precision=_or_none(precision, guessed),
        recall=_or_none(recall, there),
        f1=_or_none(f1, there),
        confusion=confusion_matrix(labels, predicted, labels=every).tolist(),
    )


def _or_none(values: Array, known: Array) -> list[float | None]:
    return [float(v) if k else None for v, k in zip(values, known, strict=True)]


@dataclass(frozen=True)
class Calibration:
    """Whether a model is right as often as it is sure.

    Attributes
    ----------
    confidence, accuracy : float (bins that aren't empty,)
        Means over a bin's images of the likeliest label's probability and of whether it is right.
    count : int (bins that aren't empty,)
    """

    confidence: Array
    accuracy: Array
    count: Array

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al. 2017): the mean gap over all images."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.count))


def calibration(labels: Array, probabilities: Array) -> Calibration:
    """Return the calibration of probabilities (n, labels) for labels (n,), n > 0."""
    from scipy.stats import binned_statistic

    sure = probabilities.max(axis=1).astype(np.float64)
    hit = (probabilities.argmax(axis=1) == labels).astype(float)
    about: dict[str, Any] = {"bins": CALIBRATION_BINS, "range": (0, 1 + 1e-6)}  # rounding
    count = binned_statistic(sure, sure, "count", **about).statistic
    some = count > 0
    sums = [binned_statistic(sure, v, "sum", **about).statistic[some] for v in (sure, hit)]
    return Calibration(sums[0] / count[some], sums[1] / count[some], count[some].astype(int))


@dataclass(frozen=True)
class Spread:
    """A mean over seeds, and its standard deviation where there is more than one."""

    mean: float
    sd: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Return that of the values that are there, or None if there are none."""
        there = [v for v in values if v is not None]
        if not there:
            return None
        return cls(float(np.mean(there)), float(np.std(there, ddof=1)) if len(there) > 1 else None)


@dataclass(frozen=True)
class Summary:
    """The runs of one model and variant with all their seeds.

    Attributes
    ----------
    runs : tuple of RunResult
        In the order of their seeds.
    """

    runs: tuple[RunResult, ...]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.runs[0].model

    @property
    def variant(self) -> str:
        """Its preset and what else was asked for."""
        return self.runs[0].variant

    @property
    def ok(self) -> tuple[RunResult, ...]:
        """Those that ended well."""
        return tuple(run for run in self.runs if run.status == "ok")

    def accuracy(self, split: str) -> Spread | None:
        """Return the accuracy on a split."""
        if split == "train":
            return Spread.of(run.train_accuracy for run in self.ok)
        return self.score("accuracy", split)

    def score(self, name: str, split: str = "test") -> Spread | None:
        """Return a field of SplitScores, such as "macro_f1"."""
        scores = (getattr(run, split) for run in self.ok)
        return Spread.of(getattr(s, name) for s in scores if s is not None)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of the mean test accuracy: what another test set could have given.

        It holds the chance of which images were drawn; ``sd`` of the accuracy that of the seed.
        """
        correct = self.score("correct")
        return None if correct is None else wilson(correct.mean, self._total)

    @property
    def _total(self) -> int:
        return next(run.test.total for run in self.ok if run.test)

    @property
    def note(self) -> str:
        """Why runs are missing, in one line, or ""."""
        missing = [run for run in self.runs if run.status != "ok"]
        if not missing:
            return ""
        if len(self.runs) == 1:
            return missing[0].reason
        parts: list[str] = []
        for status in dict.fromkeys(run.status for run in missing):
            reasons = [run.reason for run in missing if run.status == status]
            total = "" if parts else f" of {len(self.runs)} seeds"
            parts.append(f"{len(reasons)}{total} {status}: {'; '.join(dict.fromkeys(reasons))}")
        return "; ".join(parts)


def summarise(runs: Iterable[RunResult]) -> list[Summary]:
    """Return runs by model and variant, in the order in which those come first."""
    found: dict[tuple[str, str], list[RunResult]] = {}
    for run in runs:
        found.setdefault((run.model, run.variant), []).append(run)
    return [Summary(tuple(sorted(group, key=lambda r: r.seed))) for group in found.values()]


@dataclass(frozen=True)
class Difference:
    """A's accuracy minus B's.

    Attributes
    ----------
    mean : float
    low, high : float
        A 95 % interval.
    p : float or None
        McNemar's, where both were tested on the same images.
    only_a, only_b : int or None
        Test images that only one of the two gets right, in the runs that McNemar's test is of.
    """

    mean: float
    low: float
    high: float
    p: float | None = None
    only_a: int | None = None
    only_b: int | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def paired(a: Array, b: Array) -> Difference:
    """Compare two models on the same images.

    The interval is a bootstrap over images of the difference between the means over seeds; p is of
    McNemar's exact test (1947) between the first seed of each.

    Parameters
    ----------
    a, b : bool (seeds, n)
        Whether each image was told right.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    each = a.mean(axis=0) - b.mean(axis=0)
    # With few seeds there are few different values: drawing how often each of them comes is the
    # same as drawing images, and costs nothing.
    values, counts = np.unique(np.round(each, 9), return_counts=True)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(each), counts / len(each), RESAMPLES)
    low, high = np.percentile(drawn @ values / len(each), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    only_a, only_b = int((a[0] & ~b[0]).sum()), int((b[0] & ~a[0]).sum())
    p = mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue if only_a + only_b else 1.0
    return Difference(float(each.mean()), float(low), float(high), float(p), only_a, only_b)


def unpaired(correct_a: float, total_a: int, correct_b: float, total_b: int) -> Difference:
    """Compare accuracies on different images: Newcombe's interval (1998) of two proportions."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        correct_a, total_a, correct_b, total_b, method="newcomb", alpha=1 - LEVEL
    )
    return Difference(correct_a / total_a - correct_b / total_b, float(low), float(high))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(ps, method="holm")[1]] if ps else []
