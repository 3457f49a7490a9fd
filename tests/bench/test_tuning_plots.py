"""Pictures of a study: what is drawn against what, for files and for the page."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench._dataset import Dataset
from bench._errors import BenchError
from bench._models import MODELS
from bench._spaces import GRIDS, SPACES
from bench._tuning import Plan, TuneOptions, tune
from bench._tuning_data import TuningData
from bench._tuning_plots import draw_study, panels, tuning_figures
from bench._tuning_records import About, Trial
from bench._tuning_study import StudyFolder
from featurestore import FeatureStore

ABOUT = About("mlp", False, "default", 0, None, "s", {}, "p", 160, 8)


def ended(number: int, values: dict[str, Any]) -> Trial:
    accuracy = 0.4 + 0.01 * (7 * number % 23)
    return Trial(number, "ok", values, accuracy, 2 - accuracy, 0.9, 0.3, 1.0)


def grid_of(model: str) -> list[Trial]:
    return [ended(number, point) for number, point in enumerate(GRIDS[model].points(), 1)]


def searched(model: str) -> list[Trial]:
    parts = SPACES[model].parameters
    found = []
    for number in range(1, 9):
        values: dict[str, Any] = {}
        for p in parts:
            if p.low is None or p.high is None:
                values[p.name] = p.choices[number % len(p.choices)]
            else:
                values[p.name] = type(p.low)(p.low + (p.high - p.low) * number / 8)
        found.append(ended(number, values))
    return found


def test_a_search_has_a_panel_for_each_parameter_with_all_trials() -> None:
    trials = searched("mlp")
    found = panels(ABOUT, [*trials, Trial(9, "failed", trials[0].values)])
    assert [panel.title for panel in found] == [p.name for p in SPACES["mlp"].parameters]
    for panel in found:
        assert len(panel.trials) == 8
        assert not panel.lines
        values = [trial.values[panel.parameter.name] for trial in panel.trials]
        assert values == sorted(values)


def test_the_reports_figures_vary_one_parameter_each() -> None:
    found = panels(replace(ABOUT, grid=True), grid_of("mlp"))
    assert [panel.title for panel in found] == ["learning_rate", "batch_size", "epochs"]
    for panel in found:
        assert panel.lines
        values = tuple(trial.values[panel.parameter.name] for trial in panel.trials)
        assert values == GRIDS["mlp"].parameters[panel.parameter.name]


def test_depth_is_shown_for_each_dropout() -> None:
    found = panels(replace(ABOUT, model="resnet", grid=True), grid_of("resnet"))
    assert [panel.title for panel in found] == [f"dropout {v:g}" for v in (0.5, 0.2, 0.1, 0.01)]
    for panel in found:
        assert [t.values["depth"] for t in panel.trials] == [18, 34, 50, 101, 152]


@pytest.mark.slow
@pytest.mark.parametrize("model", [*SPACES, "mlp-grid", "resnet-grid"])
def test_every_study_can_be_drawn_and_the_same_way_twice(model: str) -> None:
    name, is_grid = model.removesuffix("-grid"), model.endswith("-grid")
    about = replace(ABOUT, model=name, grid=is_grid)
    trials = grid_of(name) if is_grid else searched(name)
    drawn = draw_study(about, trials)
    assert drawn == draw_study(about, trials)
    root = ElementTree.fromstring(drawn)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "#10000" not in drawn
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"train", "dev", "best on dev", "loss", "accuracy, %"} <= texts
    assert {panel.title for panel in panels(about, trials)} <= texts


def test_one_trial_and_a_shortened_grid_can_be_drawn() -> None:
    assert "best on dev" in draw_study(ABOUT, searched("mlp")[:1])
    points = GRIDS["mlp"].shortened(50).points()
    about = replace(ABOUT, grid=True, max_epochs=50)
    trials = [ended(number, point) for number, point in enumerate(points, 1)]
    assert [len(panel.trials) for panel in panels(about, trials)] == [4, 5, 1]
    assert draw_study(about, trials)


def test_a_page_has_the_pictures_of_all_studies(sample_store: FeatureStore, tmp_path: Path) -> None:
    assert tuning_figures(tmp_path) == []
    for name, options in (
        ("pca-svm", TuneOptions(trials=2)),
        ("mlp", TuneOptions(grid=True, max_epochs=2)),
    ):
        entry = MODELS[name]
        data = TuningData.of(Dataset(sample_store), "embeddings")
        plan = Plan.of(entry, data, options)
        with StudyFolder(tmp_path / "tuning", plan.about, plan.ranges()) as folder:
            tune(plan, data, folder, None, [].append)
    journals = [path.read_bytes() for path in (tmp_path / "tuning").glob("*.journal")]
    figures = tuning_figures(tmp_path)
    assert [title for title, _ in figures] == [
        "3-layer MLP, the report's grid: 8 trials",
        "PCA + SVM, search: 2 trials",
    ]
    assert tuning_figures(tmp_path) == figures
    assert [path.read_bytes() for path in (tmp_path / "tuning").glob("*.journal")] == journals
    ids: list[str] = []
    for _, svg in figures:
        root = ElementTree.fromstring(svg)
        assert (root.tag, root.get("role")) == ("svg", "img")
        assert root.get("aria-label")
        assert "var(--series-1)" in svg
        assert "#10000" not in svg
        ids += [i for element in root.iter() if (i := element.get("id"))]
    assert len(ids) == len(set(ids))
    (tmp_path / "tuning" / "mlp-grid.journal").write_text("x\n")
    with pytest.raises(BenchError, match=r"mlp-grid\.journal: is no journal"):
        tuning_figures(tmp_path)
