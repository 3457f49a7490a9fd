"""The models by name, and the libraries that each result names a version of."""

import pytest

from bench._models import MODELS


@pytest.mark.parametrize("name", ["pca-svm", "linear-probe", "finetuned", "noisy-finetuned"])
def test_models_that_scikit_learn_solves_name_its_version(name: str) -> None:
    """For fine-tuned networks it solves the logistic regression that they begin with."""
    assert {"scikit-learn", "scipy"} <= set(MODELS[name].libraries)
