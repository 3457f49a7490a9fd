"""What the packages promise: a name that comes or goes is a decision, and each is documented."""

import inspect
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType

import pytest

import classifiers
import cnn
import featurestore

PROMISED = {
    featurestore: {
        *("BACKBONES", "MIKELS", "SPLITS"),
        *("Backbone", "Damage", "ExtractSettings", "FeatureStore", "KeepRule", "Progress"),
        *("Record", "Source", "SourceOptions"),
        *("FeatureStoreError", "StoreError", "WebSettings", "errors"),
        *("extract", "read_source", "verify"),
    },
    classifiers: {
        *("EmbeddingClassifier", "LightGBM", "LinearProbe", "MLP", "PCASVM"),
        *("SavedModelError", "load_model"),
    },
    cnn: {
        *("FineTunedCNN", "FractalNet", "ImageClassifier", "NoisyFineTunedCNN", "ResNet"),
        *("SavedModelError", "TrainingDivergedError", "load_model"),
    },
}
CONSTANTS = {"BACKBONES", "MIKELS", "SPLITS"}
NAMES = [(module, name) for module, names in PROMISED.items() for name in sorted(names)]


def documentable(module: ModuleType, name: str) -> Iterator[tuple[str, object]]:
    thing = getattr(module, name)
    yield name, thing
    if inspect.isclass(thing):
        fields = getattr(thing, "__dataclass_fields__", {})  # documented by their class
        for attribute, value in vars(thing).items():
            if attribute.startswith("_") or attribute in fields:
                continue
            if inspect.isfunction(value) or isinstance(value, property | cached_property):
                yield f"{name}.{attribute}", value


@pytest.mark.parametrize("module", PROMISED, ids=lambda module: module.__name__)
def test_public_names_are_the_promised_ones(module: ModuleType) -> None:
    assert set(module.__all__) == PROMISED[module]
    assert len(module.__all__) == len(PROMISED[module])
    assert module.__doc__


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_is_there_and_documented(module: ModuleType, name: str) -> None:
    for full_name, thing in documentable(module, name):
        if full_name in CONSTANTS:
            continue
        text = thing.__doc__
        assert text, f"{full_name} has no docstring"
        assert not text.startswith(f"{name}("), f"{full_name} has only dataclass' own docstring"
