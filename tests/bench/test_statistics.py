"""Scores and differences: against libraries and against cases that can be counted by hand."""

import numpy as np
import pytest
from results_examples import result, scores
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import balanced_accuracy_score, f1_score

from bench._baselines import BASELINES
from bench._statistics import (
    Spread,
    calibration,
    holm,
    paired,
    score,
    summarise,
    unpaired,
    wilson,
)


def guesses(n: int = 400, labels: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,) and probabilities (n, labels) that lean to the right one."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, n)
    scores = rng.normal(size=(n, labels)) + 1.5 * np.eye(labels)[truth]
    powers = np.exp(scores)
    return truth, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_scores_are_scikit_learns() -> None:
    truth, probabilities = guesses()
    found = score(truth, probabilities)
    predicted = probabilities.argmax(axis=1)
    assert found.correct == (truth == predicted).sum()
    assert found.total == 400
    assert found.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert found.log_loss == pytest.approx(-np.log(probabilities[np.arange(400), truth]).mean())
    limits = binomtest(found.correct, 400).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))


def test_scores_of_a_case_that_can_be_counted() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array(
        [[0.7, 0.2, 0.1, 0], [0.3, 0.6, 0.1, 0], [0.1, 0.8, 0.1, 0], [0.45, 0.05, 0.5, 0]]
    )
    found = score(truth, probabilities)
    assert (found.correct, found.accuracy) == (2, 0.5)
    assert found.top2 == 0.75  # the last has its true label third
    assert found.confusion == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found.recall == [0.5, 0.5, None, None]
    assert found.precision == [1, 0.5, 0, None]
    assert found.f1 == pytest.approx([2 / 3, 0.5, None, None])
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.5) / 2)
    assert found.balanced_accuracy == 0.5
    # Bins of width 1/15: each image is alone in its own.
    assert found.ece == pytest.approx((0.3 + 0.6 + 0.2 + 0.5) / 4)


def test_two_labels_have_no_top_2() -> None:
    truth, probabilities = guesses(labels=2)
    assert score(truth, probabilities).top2 is None


def test_a_certain_mistake_has_a_finite_log_loss() -> None:
    found = score(np.array([0, 1]), np.eye(3, dtype=np.float32)[[1, 1]])
    assert 10 < found.log_loss < 100


def test_calibration_is_of_all_images() -> None:
    truth, probabilities = guesses()
    found = calibration(truth, probabilities)
    assert found.count.sum() == 400
    sure = probabilities.max(axis=1)
    assert np.average(found.confidence, weights=found.count) == pytest.approx(sure.mean())
    hits = (probabilities.argmax(axis=1) == truth).mean()
    assert np.average(found.accuracy, weights=found.count) == pytest.approx(hits)
    perfect = np.repeat([[0.75, 0.25, 0]], 400, axis=0)
    assert calibration(np.arange(400) % 4 == 3, perfect).error == pytest.approx(0)
    assert calibration(np.zeros(5, int), np.eye(3)[[0] * 5]).error == 0


def test_wilson_takes_a_mean_over_seeds() -> None:
    low, high = wilson(50.5, 100)
    assert wilson(50, 100)[0] < low < wilson(51, 100)[0]
    assert wilson(50, 100)[1] < high < wilson(51, 100)[1]


@pytest.mark.parametrize("total", range(1, 60))
def test_an_interval_holds_the_accuracy_that_it_is_of(total: int) -> None:
    for correct in (0, total / 2, total):
        low, high = wilson(correct, total)
        assert 0 <= low <= correct / total <= high <= 1


def test_published_counts_have_the_intervals_of_their_counts() -> None:
    (fine_tuned,) = (b for b in BASELINES if b.title == "Fine-tuned-CNN")
    assert (fine_tuned.correct, fine_tuned.total) == (2034, 3490)
    assert wilson(2034, 3490) == pytest.approx((0.5664, 0.5991), abs=1e-4)


def test_pairs_have_mcnemars_p() -> None:
    a = np.array([1] * 60 + [1] * 15 + [0] * 5 + [0] * 20, bool)
    b = np.array([1] * 60 + [0] * 15 + [1] * 5 + [0] * 20, bool)
    found = paired(a[None], b[None])
    assert (found.mean, found.only_a, found.only_b) == (pytest.approx(0.1), 15, 5)
    assert found.p == pytest.approx(binomtest(5, 20).pvalue)
    assert found.low < 0.1 < found.high


def test_the_interval_of_a_pair_is_that_of_a_bootstrap_over_images() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 500)) < 0.7, rng.random((2, 500)) < 0.6
    found = paired(a, b)
    each = a.mean(axis=0) - b.mean(axis=0)
    drawn = bootstrap((each,), np.mean, method="percentile", n_resamples=9999, rng=rng)
    limits = drawn.confidence_interval
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=0.003)
    assert found.mean == pytest.approx(each.mean())
    assert found.clear
    assert paired(a, b) == found  # drawn the same each time


def test_a_model_does_not_differ_from_itself() -> None:
    hits = np.arange(50)[None] % 3 == 0
    found = paired(hits, hits)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert not found.clear


def test_different_images_are_compared_by_newcombes_interval() -> None:
    # Newcombe 1998, table II, contrast (a), method 10: 56/70 - 48/80.
    found = unpaired(56, 70, 48, 80)
    assert found.mean == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p is None


def test_holms_correction_is_for_all_of_them() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_seeds_are_summarised() -> None:
    runs = [result(seed=s, test=scores(c)) for s, c in ((1, 6), (0, 4))]
    failed = result(seed=2, status="failed", reason="no", train_accuracy=None, dev=None, test=None)
    other = result("pca-svm")
    first, second = summarise([*runs, other, failed])
    assert [run.seed for run in first.runs] == [0, 1, 2]
    assert [run.seed for run in first.ok] == [0, 1]
    spread = first.accuracy("test")
    assert spread is not None
    assert (spread.mean, spread.sd) == pytest.approx((5 / 16, np.std([4 / 16, 6 / 16], ddof=1)))
    assert first.interval == wilson(5, 16)
    assert first.note == "1 of 3 seeds failed: no"
    assert (second.model, second.note) == ("pca-svm", "")
    assert second.accuracy("train") == Spread(0.9, None)


def test_seeds_that_are_missing_are_counted_by_what_became_of_them() -> None:
    lacking: dict[str, object] = {"train_accuracy": None, "dev": None, "test": None}
    runs = [
        result(seed=0),
        result(seed=1, status="failed", reason="boom", **lacking),
        result(seed=2, status="unfinished", reason="no time", **lacking),
        result(seed=3, status="failed", reason="boom", **lacking),
    ]
    (found,) = summarise(runs)
    assert found.note == "2 of 4 seeds failed: boom; 1 unfinished: no time"


def test_nothing_that_ended_well_has_no_numbers() -> None:
    failed = result(status="failed", reason="no", train_accuracy=None, dev=None, test=None)
    (found,) = summarise([failed])
    assert found.accuracy("train") is found.accuracy("test") is found.interval is None
    assert found.note == "no"
