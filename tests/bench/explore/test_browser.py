"""The page in a real browser."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from featurestore import ExtractSettings, FeatureStore, extract, read_source

pytestmark = pytest.mark.slow
Explorer = Any
Explore = Callable[..., AbstractContextManager[Explorer]]
Open = Callable[..., Page]
VIEWS = ("/", "/?answer=wrong&sort=surest", "/?image=0", "/?view=failed", "/?view=try")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium on this machine; install the chromium package to run this test")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=options)
        yield found
        found.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Open a page; at the end nothing may have been complained of or fetched from elsewhere."""
    contexts, wrong = [], []

    def open_page(explorer: Explorer, path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()

        def look(request: Any) -> None:
            if not request.url.startswith((explorer.address, "blob:", "data:")):
                wrong.append(request.url)

        def note(message: Any) -> None:
            # Chromium writes every refusal down, and the page tells it as it should.
            if "/api/predict" not in message.location.get("url", ""):
                wrong.append(message.text)

        page.on("request", look)
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(explorer.address + path)
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def failing(photo_folder: Path, tmp_path: Path) -> FeatureStore:
    """A store of which two records failed; one label is markup."""
    (photo_folder / "joy").rename(photo_folder / "<script>alert(1)<")
    (photo_folder / "calm" / "<img src=x onerror=alert(2)>.jpg").touch()
    good = (photo_folder / "calm" / "1.jpg").read_bytes()
    (photo_folder / "calm" / "cut.jpg").write_bytes(good[: len(good) // 2])
    settings = ExtractSettings(embed_size=32)
    return extract(read_source(str(photo_folder)), tmp_path / "failing.zarr", settings)


def cards(page: Page) -> list[str]:
    return page.locator(".grid .card b").all_inner_texts()


def test_filtering_is_in_the_address_and_back_undoes_it(explorer: Explorer, visit: Open) -> None:
    page = visit(explorer)
    expect(page.locator(".count")).to_have_text("36 of 36 images")
    assert len(cards(page)) == 36
    page.get_by_label("True label").select_option("joy")
    expect(page.locator(".count")).to_have_text("12 of 36 images")
    expect(page.get_by_role("status")).to_have_text("12 of 36 images")
    assert set(cards(page)) == {"joy"}
    assert page.url == f"{explorer.address}/?label=joy"
    expect(page.get_by_label("True label")).to_be_focused()
    page.get_by_label("Split").select_option("train")
    page.wait_for_url("**/?label=joy&split=train")
    page.go_back()
    expect(page.locator(".count")).to_have_text("12 of 36 images")
    expect(page.get_by_label("Split")).to_have_value("")
    page.go_back()
    expect(page.locator(".count")).to_have_text("36 of 36 images")
    page.get_by_label("Prediction").select_option("wrong")
    page.get_by_label("Order").select_option("surest")
    page.wait_for_url("**/?answer=wrong&sort=surest")
    expect(page.locator(".card .right")).to_have_count(0)
    total = explorer.ask("/api/images?answer=wrong").json["total"]
    expect(page.locator(".card .wrong")).to_have_count(total)
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator(".count")).to_have_text("36 of 36 images")


def test_an_address_that_makes_no_sense_says_so(explorer: Explorer, visit: Open) -> None:
    page = visit(explorer, "/?page=7")
    expect(page.locator(".none")).to_contain_text("There is no such page")
    page.get_by_role("link", name="Show all images").click()
    expect(page.locator(".count")).to_have_text("36 of 36 images")


def test_an_image_is_opened_and_left_by_keyboard(explorer: Explorer, visit: Open) -> None:
    rows = explorer.ask("/api/images?split=test").json["items"]
    page = visit(explorer, "/?split=test")
    page.locator(".card").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".card").nth(1)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    expect(panel).to_be_visible()
    expect(panel.get_by_role("heading", level=2)).to_contain_text(rows[0]["label"])
    expect(panel.locator(".strip").first.locator("li")).to_have_count(12)
    expect(panel.locator(".say")).to_have_count(3)
    expect(panel.locator(".say .odds li")).to_have_count(9)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/?split=test&image={rows[1]['row']}")
    expect(panel.get_by_role("heading", level=2)).to_contain_text(f"{rows[1]['row']}: ")
    panel.locator(".strip a").first.click()
    expect(panel.locator(".strip").first.locator("li")).to_have_count(12)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.url == f"{explorer.address}/?split=test"
    expect(page.locator(".card").first).to_be_focused()
    page.go_forward()
    expect(panel).to_be_visible()
    page.go_back()
    expect(panel).to_be_hidden()


def test_an_image_that_is_opened_by_its_address_is_closed_to_the_page(
    explorer: Explorer, visit: Open
) -> None:
    page = visit(explorer, "/?label=calm&image=3")
    panel = page.get_by_role("dialog")
    expect(panel).to_be_visible()
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()
    page.wait_for_url("**/?label=calm")


def test_models_are_asked_about_an_image(
    explorer: Explorer, visit: Open, album: Path, tmp_path: Path
) -> None:
    page = visit(explorer)
    page.get_by_role("link", name="Try an image").click()
    page.get_by_label("Choose an image").set_input_files(album / "joy" / "00.jpg")
    expect(page.get_by_text("Done: 00.jpg")).to_be_visible()
    expect(page.locator(".say")).to_have_count(3)
    for title in ("3-layer MLP", "PCA + SVM", "linear probe"):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator(".strip li")).to_have_count(12)
    expect(page.get_by_text("This very file is in the store")).to_be_visible()
    page.locator(".strip a").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".say")).to_have_count(3)

    page.get_by_label("Ask the networks too").check()
    expect(page.locator(".say")).to_have_count(3)  # there are none here

    bad = tmp_path / "page.jpg"
    bad.write_text("<html><script>alert(1)</script>")
    with page.expect_response("**/api/predict*") as answered:
        page.get_by_label("Choose an image").set_input_files(bad)
    assert answered.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("page.jpg can't be used: not_image")
    large = tmp_path / "large.jpg"
    large.write_bytes(bytes(20_000_001))
    page.get_by_label("Choose an image").set_input_files(large)
    expect(page.get_by_role("alert")).to_contain_text("large.jpg is larger than 20 MB")


def test_an_image_is_dropped_on_any_view(explorer: Explorer, visit: Open, album: Path) -> None:
    page = visit(explorer, "/?label=joy")
    data = list((album / "calm" / "03.jpg").read_bytes())
    transfer = page.evaluate_handle(
        """data => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(data)], "mine.jpg"));
            return transfer;
        }""",
        data,
    )
    page.dispatch_event("main", "dragenter", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop the image to see")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop the image to see")).to_be_hidden()
    page.wait_for_url("**/?view=try")
    expect(page.get_by_text("Done: mine.jpg")).to_be_visible()
    expect(page.locator(".say")).to_have_count(3)


def test_failed_records_and_data_that_looks_like_markup(
    explore: Explore, visit: Open, failing: FeatureStore
) -> None:
    with explore(failing) as explorer:
        page = visit(explorer)
        expect(page.locator(".card b", has_text="<script>alert(1)<").first).to_be_visible()
        expect(page.get_by_text("There are no predictions on this store.")).to_be_visible()
        page.get_by_role("link", name="Failed records (2)").click()
        expect(page.locator(".count")).to_have_text("2 of 32 records")
        expect(page.get_by_text("<img src=x onerror=alert(2)>.jpg")).to_be_visible()
        page.get_by_label("Kind").select_option("undecodable")
        page.wait_for_url("**/?view=failed&kind=undecodable")
        expect(page.get_by_role("row")).to_have_count(2)
        expect(
            page.get_by_role("cell", name=re.compile("retry-failed undecodable"))
        ).to_be_visible()
        page.go_back()
        expect(page.get_by_role("row")).to_have_count(3)
        page.go_back()
        expect(page.locator(".card")).to_have_count(30)
        page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_keeps_anyone_out_and_nothing_overflows(
    explorer: Explorer, visit: Open, album: Path, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 844}
    page = visit(explorer, color_scheme=scheme, viewport=size, bypass_csp=True)
    for view in (*VIEWS, "heard"):
        if view == "heard":
            page.get_by_label("Choose an image").set_input_files(album / "joy" / "00.jpg")
            expect(page.locator(".strip li")).to_have_count(12)
        else:
            page.goto(explorer.address + view)
            page.wait_for_load_state("networkidle")
        found = Axe().run(page)
        grave = [
            (v["id"], [node["html"] for node in v["nodes"]])
            for v in found.response["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert grave == [], view
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, view
        inner = page.evaluate(
            "(p => p.open ? p.scrollWidth - p.clientWidth : 0)(document.querySelector('dialog'))"
        )
        assert inner <= 0, view
