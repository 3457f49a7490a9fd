"""The picture of accuracies."""

import xml.etree.ElementTree as ET

from results_examples import result

from bench._baselines import BASELINES
from bench._chart import draw_accuracy
from bench._dataset import Dataset
from bench._records import Results
from featurestore import FeatureStore


def test_the_chart_is_a_picture_that_does_not_change_by_itself(sample_store: FeatureStore) -> None:
    runs = [result("mlp"), result("lightgbm"), result("lightgbm", 1)]
    failed = result("resnet", status="failed", reason="no", dev=None, test=None)
    found = Results(store=Dataset(sample_store).describe(), runs=[*runs, failed])
    chart = draw_accuracy(found)
    assert draw_accuracy(found) == chart
    root = ET.fromstring(chart)
    assert root.tag.endswith("svg")
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "3-layer MLP, default, seed 0" in texts
    assert "LightGBM, default, seeds 0..1" in texts
    assert not any("ResNet" in str(text) for text in texts)
    assert texts.count("25.0") == 2
    assert sum(f"{b.origin}: {b.title}" in texts for b in BASELINES) == len(BASELINES)
    assert any("synthetic images" in str(text) for text in texts)
    assert any("not comparable" in str(text) for text in texts)
