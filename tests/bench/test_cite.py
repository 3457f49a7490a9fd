"""A paragraph for a paper: every number in it is the results'."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from results_examples import result, scores

from bench import _cite
from bench._cite import cite
from bench._dataset import Dataset
from bench._models import MODELS
from bench._records import Results, RunResult
from bench._results import read_results
from featurestore import BACKBONES, FeatureStore


def results(store: FeatureStore, *runs: RunResult, **changed: object) -> Results:
    return Results(store=Dataset(store).describe().model_copy(update=changed), runs=list(runs))


def test_it_says_what_was_done_and_what_came_of_it(sample_store: FeatureStore) -> None:
    versions = {"emotion-bench": "0.1.0", "numpy": "2.4.6"}
    runs = [result(seed=seed, test=scores(c), versions=versions) for seed, c in ((0, 4), (1, 8))]
    failed = result("resnet", status="failed", reason="no", dev=None, test=None)
    text = " ".join(cite(results(sample_store, *runs, failed)).split())
    assert "We used 160 synthetic images drawn by a program" in text
    assert "128 for training, 16 for development, 16 for testing" in text
    assert "with 8 labels (amusement, anger, " in text
    assert "by mobilenet (Howard et al. 2017)" in text
    assert "squeezed to 32 x 32 px" in text
    assert "3-layer MLP, a multilayer perceptron on the embeddings" in text
    assert "seeds 0..1), tells 37.5 ± 17.7 % of the test images right (95 % interval" in text
    assert "emotion-bench 0.1.0, numpy 2.4.6" in text
    assert "residual" not in text
    assert f"store: {sample_store.fingerprint}" in text
    assert "mlp, default, seed 1: mlp1" in text
    assert "You et al." not in text


def test_only_what_is_used_is_cited(sample_store: FeatureStore) -> None:
    text = cite(results(sample_store, result("fractalnet"), is_fi=True, synthetic=False))
    assert "the FI data set (You et al. 2016)" in text
    assert "Larsson et al. 2017: " in text
    assert "LightGBM" not in text
    assert "synthetic" not in text
    for reference in (_cite.FI, _cite.WILSON):
        assert text.count(f"\n{reference.key}: ") == 1


def test_a_fine_tuned_network_is_told_by_its_own_backbone(sample_store: FeatureStore) -> None:
    runs = [
        result("finetuned", settings={"backbone": "densenet121"}),
        result("resnet", variant="mine", settings={"depth": 50}),
    ]
    text = cite(results(sample_store, *runs))
    said = " ".join(text.split())
    assert "are by mobilenet (Howard et al. 2017), pretrained" in said
    assert "Fine-tuned CNN, densenet121 (Huang et al. 2017), fine-tuned on larger images" in said
    assert "ResNet-50, a pre-activation residual network" in said
    assert text.count("\nHuang et al. 2017: ") == 1


def test_results_without_runs_describe_the_data(sample_store: FeatureStore) -> None:
    text = cite(results(sample_store))
    assert "We used 160" in text
    assert "Wilson" not in text


@pytest.mark.parametrize(
    ("across", "said"),
    [
        (None, "copies were kept once."),
        (0, "copies were kept once, and the near-duplicates that were found are within one split."),
        (1, "and 1 group of near-duplicates lies in more than one split."),
        (12, "and 12 groups of near-duplicates lie in more than one split."),
    ],
)
def test_near_duplicates_are_where_the_store_has_them(
    sample_store: FeatureStore, across: int | None, said: str
) -> None:
    text = cite(results(sample_store, near_duplicates_across=across))
    assert said in " ".join(text.split())


def test_every_model_and_backbone_is_known() -> None:
    assert _cite.MODELS.keys() == MODELS.keys()
    assert _cite.BACKBONES.keys() == BACKBONES.keys()


def test_the_command(bench: Callable[..., Result], album_results: Path, tmp_path: Path) -> None:
    found = bench("cite", album_results)
    assert found.exit_code == 0
    assert found.stdout == cite(read_results(album_results)) + "\n"
    missing = bench("cite")
    assert missing.exit_code == 1
    assert "results: holds no results" in missing.stderr


@pytest.mark.parametrize("changed", [{"groups": {"good": ["awe"], "bad": ["fear"]}}])
def test_groups_are_told(sample_store: FeatureStore, changed: dict[str, object]) -> None:
    assert "Labels were grouped (good: awe; bad: fear)." in " ".join(
        cite(results(sample_store, **changed)).split()
    )
