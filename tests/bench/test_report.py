"""The report: complete, self-contained, safe with any name, and usable by everyone."""

import asyncio
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from results_examples import result, scores

from bench._comparison import Compared, Pair, compare_all
from bench._dataset import Dataset
from bench._models import MODELS
from bench._records import Results, StoreAbout
from bench._report import build_report
from bench._report_scores import differences, in_short
from bench._results import ResultsFolder
from bench._runner import RunOptions, run_models
from bench._statistics import Difference, score, summarise
from featurestore import FeatureStore

SECTIONS = (
    *("about", "results", "differences", "models", "classes", "calibration", "gallery"),
    *("data", "provenance"),
)
EVIL = "<script>alert(1)</script>"
HISTORY = {
    **{"loss": [2.0, 1.0, 0.5], "dev_loss": [2.1, None, 1.5], "learning_rate": [0.1, 0.1, 0.1]},
    **{"accuracy": [0.2, 0.5, 0.9], "dev_accuracy": [0.2, None, 0.4]},
}
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "an element was not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def folder(sample_store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of two models with two seeds."""
    path = tmp_path_factory.mktemp("report") / "results"
    data = Dataset(sample_store)
    entries = [MODELS["pca-svm"], MODELS["linear-probe"]]
    with ResultsFolder(path, data.describe()) as results:
        run_models(data, entries, RunOptions(seeds=2), results, lambda line: None)
    return path


@pytest.fixture(scope="module")
def built(sample_store: FeatureStore, folder: Path) -> str:
    return build(sample_store, read(sample_store, folder), folder)


def read(store: FeatureStore, folder: Path) -> Results:
    """Return the folder's results, the first model's with curves as a network would have them."""
    with ResultsFolder(folder, Dataset(store).describe()) as found:
        runs = found.results.runs
        curves = [run.model_copy(update={"history": HISTORY}) for run in runs[:2]]
        return Results(store=found.results.store, runs=[*curves, *runs[2:]])


def build(
    store: FeatureStore, results: Results, folder: Path, compared: Compared | None = None
) -> str:
    if compared is None:
        compared = compare_all(folder, results)
    return build_report(folder, results, compared, Dataset(store))


def about(store: FeatureStore, **changed: Any) -> StoreAbout:
    return Dataset(store).describe().model_copy(update=changed)


def check(text: str, sections: tuple[str, ...] = SECTIONS) -> Page:
    """Return a page after checking what holds for every page."""
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"] or "" for _, a in page.tags if "href" in a]
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert [a["id"] for a in page.named("section")] == list(sections)
    regions = [a["aria-label"] for _, a in page.tags if a.get("role") == "region"]
    assert len(regions) == len(set(regions)), "two tables are called the same"
    assert not page.named("script")
    return page


@pytest.mark.slow
def test_what_was_tuned_is_shown(bench: Callable[..., Result], sample_store: FeatureStore) -> None:
    where = ("--store", sample_store.path)
    assert bench("tune", "linear-probe", "--trials", 3, *where).exit_code == 0
    assert bench("run", "linear-probe", *where).exit_code == 0
    text = Path("results/report.html").read_text(encoding="utf-8")
    check(text, (*SECTIONS[:-2], "tuning", *SECTIONS[-2:]))
    assert 'aria-label="linear probe' in text


def test_everything_is_there(built: str) -> None:
    page = check(built)
    for text in ("chance", "always amusement", "PCA + SVM", "linear probe", "You et al. 2016"):
        assert text in page.text
    for attributes in page.named("section"):
        assert any(a.get("href") == f"#{attributes['id']}" for a in page.named("a"))
    assert "SYNTHETIC. These are synthetic images" in page.text
    assert "not comparable: measured on FI" in page.text
    assert page.text.count("Confusion matrix, test images, seed 0") == 2
    assert "best" in page.text
    pictures = [a for a in page.named("svg") if a.get("role") == "img"]
    assert len(pictures) == 2  # curves of the first model, reliability diagrams
    assert all(a["aria-label"] for a in pictures)
    assert page.named("img")
    assert all((a["alt"] or "").startswith("test image, true label ") for a in page.named("img"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_nothing_is_loaded_from_anywhere(built: str) -> None:
    page = check(built)
    text = re.sub(r'"data:image/[a-z]+;base64,[^"]+"', '""', built)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert not page.named("link")
    sources = [a["src"] or "" for _, a in page.tags if "src" in a]
    assert all(source.startswith("data:image/") for source in sources)
    (policy,) = (a for a in page.named("meta") if a.get("http-equiv"))
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert len(built) < 1_000_000


def test_tables_name_their_rows_and_columns(built: str) -> None:
    page = check(built)
    assert len(page.named("caption")) == len(page.named("table")) > 8
    assert all(a["scope"] in ("row", "col", "colgroup") for a in page.named("th"))


def test_the_same_results_give_the_same_bytes(
    sample_store: FeatureStore, folder: Path, built: str
) -> None:
    assert build(sample_store, read(sample_store, folder), folder) == built


def test_names_and_reasons_are_text(sample_store: FeatureStore, folder: Path) -> None:
    results = read(sample_store, folder)
    names = [EVIL, "a&b", *results.store.label_names[2:]]
    failed = result("evil", status="failed", reason=f'{EVIL} "quoted"', test=None, dev=None)
    evil = Results(
        store=about(sample_store, title=EVIL, label_names=names, groups={EVIL: ["a&b"]}),
        runs=[
            *results.runs,
            failed.model_copy(update={"variant": EVIL, "settings": {EVIL: EVIL}}),
            result(EVIL, history={"loss": [1.0, 0.5]}, variant="$x^2$ " + EVIL),
        ],
    )
    text = build(sample_store, evil, folder)
    page = check(text)
    assert EVIL not in text
    assert EVIL in page.text
    assert "a&amp;b" in text
    assert f'{EVIL} "quoted"' in page.text


def test_without_a_run_that_ended_well(sample_store: FeatureStore, tmp_path: Path) -> None:
    lost: dict[str, Any] = {"train_accuracy": None, "dev": None, "test": None}
    runs = [
        result("mlp", status="failed", reason="TypeError: no", **lost),
        result("lightgbm", status="unfinished", reason="the time budget ended", **lost),
    ]
    page = check(build(sample_store, Results(store=about(sample_store), runs=runs), tmp_path))
    assert "TypeError: no" in page.text
    assert "unfinished" in page.text
    assert "the time budget ended" in page.text
    assert "No model has ended well" in page.text
    assert "No model has been tested yet." in page.text


def test_without_any_run(sample_store: FeatureStore, tmp_path: Path) -> None:
    page = check(build(sample_store, Results(store=about(sample_store), runs=[]), tmp_path))
    assert "There are no runs." in page.text


def test_without_test_or_train_images(sample_store: FeatureStore, tmp_path: Path) -> None:
    store = about(sample_store, rows={"train": 0, "dev": 0, "test": 0})
    none = store.majority.model_copy(
        update={"label": None, "train": None, "dev": None, "test": None, "correct": 0, "total": 0}
    )
    store = store.model_copy(update={"majority": none})
    history = {"loss": [1.0, None], "dev_loss": [None, None], "dev_accuracy": [None, 0.0]}
    runs = [result(dev=None, test=None, train_accuracy=None, history=history)]
    page = check(build(sample_store, Results(store=store, runs=runs), tmp_path))
    assert "The test split is empty" in page.text
    assert "Learning curves" in page.text
    assert "always" not in page.text.partition("Differences between models")[0]


def test_runs_whose_predictions_are_gone_keep_their_scores(
    sample_store: FeatureStore, folder: Path
) -> None:
    results = read(sample_store, folder)
    page = check(build(sample_store, results, folder, Compared([], [])))
    assert "Confusion matrix, test images, seed 0" in page.text
    assert page.text.count("No predictions for test images are there.") == 2
    assert "It takes two models" in page.text


@pytest.mark.parametrize("count", [2, 35])
def test_few_labels_or_many(sample_store: FeatureStore, tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    names = [f"label {number}" for number in range(count)]
    # The last label has no image.
    scores = score(rng.integers(0, count - 1, 300), rng.dirichlet(np.ones(count), 300))
    store = about(sample_store, label_names=names)
    runs = [result(seed=seed, dev=scores, test=scores) for seed in range(2)]
    page = check(build(sample_store, Results(store=store, runs=runs), tmp_path))
    assert ("The 20 most frequent confusions" in page.text) == (count == 35)
    assert ("Confusion matrix" in page.text) == (count == 2)
    assert "seeds 0..1" in page.text


def test_on_fi_there_are_differences_to_published_counts(
    sample_store: FeatureStore, tmp_path: Path
) -> None:
    results = Results(store=about(sample_store, is_fi=True), runs=[result()])
    page = check(build(sample_store, results, tmp_path))
    assert "Test accuracy minus a published one" in page.text
    assert "not comparable" not in page.text


@pytest.mark.parametrize(
    ("corrected", "words", "short"),
    [(0.04, "B is better", ", clearly less."), (0.09, "not clear", ", not clearly less.")],
)
def test_a_pair_is_told_apart_for_as_many_pairs_as_there_are(
    sample_store: FeatureStore, corrected: float, words: str, short: str
) -> None:
    runs = [result(), result("pca-svm", test=scores(10))]
    a, b = summarise(runs)
    pair = Pair(a, b, Difference(-0.375, -0.6, -0.1, 0.03, 0, 6), corrected, 0.5, 0.4)
    assert pair.difference.clear
    table = differences([pair])
    assert table.rows[0][3] == words
    assert table.strong == ({(0, 3)} if pair.clear else set())
    found = in_short(Results(store=about(sample_store), runs=runs), [pair])
    assert found.endswith(f"Next: 3-layer MLP, 25.0 %{short}")


def test_groups_of_labels(sample_store: FeatureStore, tmp_path: Path) -> None:
    data = Dataset(sample_store, {"good": ("awe", "contentment"), "bad": ("fear", "anger")})
    path = tmp_path / "groups"
    with ResultsFolder(path, data.describe()) as found:
        run_models(data, [MODELS["linear-probe"]], RunOptions(), found, lambda line: None)
        results = found.results
    page = check(build_report(path, results, compare_all(path, results), data))
    assert "good awe, contentment" in page.text
    assert "not comparable: eight labels of FI" in page.text


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, as this machine has it."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for found in map(shutil.which, names) if found), None)
    if path is None:
        pytest.skip("no Chromium on this machine; install the chromium package to run this test")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield started
        started.close()
    asyncio.set_event_loop(None)  # of the driver, which has closed it


@pytest.fixture(scope="module")
def report_file(built: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_text(built, encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.slow
def test_a_browser_shows_it(
    browser: Any, report_file: Path, width: int, height: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    # The page forbids scripts, and axe is one.
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True
    )
    said: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report_file.as_uri())
    assert page.evaluate("document.compatMode") == "CSS1Compat"
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = page.evaluate(widths)
    assert needed <= there
    page.keyboard.press("Tab")
    first = "[document.activeElement.className, document.activeElement.hash]"
    assert page.evaluate(first) == ["skip", "#main"]
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    found = Axe().run(page)
    grave = [v for v in found.response["violations"] if v["impact"] in ("serious", "critical")]
    assert grave == []
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report_file.as_uri()]
    context.close()


def test_a_browser_finds_nothing_to_complain_of_under_its_own_policy(
    browser: Any, report_file: Path
) -> None:
    context = browser.new_context()
    said: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.goto(report_file.as_uri())
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert page.evaluate("getComputedStyle(document.querySelector('.skip')).position") == "absolute"
    assert said == []
    context.close()


def test_large_names_do_not_widen_the_page(
    browser: Any, sample_store: FeatureStore, tmp_path: Path
) -> None:
    long = "a_name_that_does_not_end_" * 6
    names = [long, *Dataset(sample_store).label_names[1:]]
    runs = [result(long, variant=long), result("mlp", status="failed", reason=long, test=None)]
    store = about(sample_store, title=long, label_names=names, groups={long: [long]})
    path = tmp_path / "report.html"
    path.write_text(build(sample_store, Results(store=store, runs=runs), tmp_path), "utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(path.as_uri())
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = page.evaluate(widths)
    assert needed <= there
    page.close()
