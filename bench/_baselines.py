"""Published results, as their authors give them.

You et al. 2016 (arXiv 1605.02677) give correct and total; the report gives whole percents.
"""

from dataclasses import dataclass

from bench._records import StoreAbout


@dataclass(frozen=True)
class Baseline:
    """A published result on the FI data set.

    Attributes
    ----------
    title, origin : str
    train, dev, test : float or None
        Accuracy within 0..1.
    correct, total : int or None
        Of the test set, where they were published.
    """

    title: str
    origin: str
    train: float | None
    dev: float | None
    test: float
    correct: int | None = None
    total: int | None = None


BASELINES = (
    Baseline("ImageNet-CNN, PCA, SVM", "You et al. 2016", None, None, 1120 / 3490, 1120, 3490),
    Baseline("Noisy-fine-tuned-CNN", "You et al. 2016", None, None, 1600 / 3490, 1600, 3490),
    Baseline("Fine-tuned-CNN", "You et al. 2016", None, None, 2034 / 3490, 2034, 3490),
    Baseline("residual network", "report", 0.52, 0.25, 0.24),
    Baseline("fractal network", "report", 0.13, 0.13, 0.13),
    Baseline("32 px embedding, 3-layer net", "report", 0.46, 0.20, 0.18),
)
REPORT = '"Is a Picture Worth 1,000 Words?" (Kowalski, Jacobson, Rtabi; Stanford)'


def incomparable(store: StoreAbout) -> str:
    """Return why results on a store can't be compared with these, or "" where they can."""
    if store.groups:
        return "not comparable: eight labels of FI"
    return "" if store.is_fi else "not comparable: measured on FI"
