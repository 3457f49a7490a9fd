"""What the README shows is what the program made of the committed results."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench._chart import draw_accuracy
from bench._models import MODELS
from bench._records import Results
from bench._tables import show_results

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def committed() -> Results:
    text = (ROOT / "docs" / "sample_results.json").read_text(encoding="utf-8")
    return Results.model_validate_json(text)


def test_the_committed_results_are_of_all_models_on_the_sample(committed: Results) -> None:
    assert committed.store.title == "synthetic sample"
    assert [run.model for run in committed.runs] == list(MODELS)
    assert {run.model: run.status for run in committed.runs if run.status != "ok"} == {
        "noisy-finetuned": "skipped"
    }


def test_the_table_is_the_programs(committed: Results) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition("<!-- made by benchmarks/readme.py -->\n")
    shown, end, _ = rest.partition("\n<!-- end -->\n")
    assert end
    assert shown == show_results(committed, "github")


def test_the_picture_is_the_programs(committed: Results) -> None:
    def texts(svg: str) -> list[str | None]:
        # Where exactly lines run depends on matplotlib's version; what is written doesn't.
        return sorted(e.text or "" for e in ET.fromstring(svg).iter() if e.tag.endswith("text"))

    shown = (ROOT / "docs" / "accuracy.svg").read_text(encoding="utf-8")
    assert texts(shown) == texts(draw_accuracy(committed))
