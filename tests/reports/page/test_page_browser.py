"""The page in a browser: Debian's headless Chromium, from file://, without a network."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no {CHROMIUM}; install Debian's package chromium"
)
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 375, "height": 720}


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page):
    """`opened(**options)`: the page in a new window; any message or request fails the test."""
    windows, complaints = [], []

    def opened(*, expected=(), **options):
        window = browser.new_page(**{"viewport": DESK, **options})
        windows.append(window)
        window.on("console", lambda message: complaints.append(message.text))
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("request", lambda request: complaints.append(request.url))
        window.goto(page.as_uri())
        return window

    yield opened
    for window in windows:
        window.close()
    urls = {page.as_uri()}
    assert [c for c in complaints if c not in urls and not c.startswith("data:")] == []


def points(window):
    return window.locator(".canvas > svg:not([hidden]) .mark")


def point(window, kind):
    return window.locator(f".canvas > svg:not([hidden]) .mark.{kind}").first


def rows(window, table):
    return window.locator(f"table.{table} tbody tr:not(.section):visible")


def test_it_opens_with_the_verdict_before_all_else(opened):
    window = opened()
    assert "report" in window.title()
    assert window.locator("h1").inner_text() == "made"
    top = [window.locator(one).first.bounding_box()["y"] for one in (".verdict", ".plot", "figure")]
    assert top == sorted(top)
    assert window.locator(".failed").inner_text().startswith("1 of 10 cells have no result")


def test_hovering_over_a_point_shows_cell_seed_settings_and_interval(opened):
    window = opened()
    tip = window.locator(".tip")
    assert tip.is_hidden()
    point(window, "policy").hover(force=True)
    text = tip.inner_text()
    assert "policy: training.seed 0, policy.seed 0" in text
    assert "6 mean tokens; distortion (MSE) 0.012" in text
    assert "95 % Student t over 3 training seeds" in text
    assert "policy.candidates 2-4-8-16" in text
    window.mouse.move(5, 5)
    assert tip.is_hidden()


def test_a_click_selects_a_cell_with_its_images_and_provenance(opened):
    window = opened()
    point(window, "policy").click(force=True)
    shown = window.locator(".selection")
    images = shown.locator("img")
    assert images.count() == 2
    assert "Fewest tokens: 2, 2." in images.first.get_attribute("alt")
    assert images.first.evaluate("image => image.naturalWidth") == 2 * 32 + 2
    text = shown.inner_text()
    for known in ("records/made/", "c0ffee", ", clean", "0" * 16, "stage tokenizer", "policy 0"):
        assert known in text
    assert window.locator(".canvas > svg:not([hidden]) .mark.chosen").count() == 1


def test_all_lengths_of_a_cell_are_selected_together(opened):
    window = opened()
    point(window, "fixed-budget").click(force=True)
    assert window.locator(".canvas > svg:not([hidden]) .mark.chosen").count() == 4
    assert "no images are stored" in window.locator(".selection").inner_text()


def test_the_keyboard_reaches_every_point_from_one_stop(opened):
    window = opened()
    assert window.locator(".canvas > svg:not([hidden]) .mark[tabindex='0']").count() == 1
    points(window).first.focus()
    assert window.locator(".tip").is_visible()
    first = window.evaluate("document.activeElement.getAttribute('aria-label')")
    window.keyboard.press("ArrowRight")
    assert window.evaluate("document.activeElement.getAttribute('aria-label')") != first
    window.keyboard.press("End")
    window.keyboard.press("Enter")
    last = window.evaluate("document.activeElement.getAttribute('aria-label')")
    assert last.startswith(window.locator(".selection h4").inner_text())
    window.keyboard.press("Escape")
    assert window.locator(".tip").is_hidden()


def test_the_metric_can_be_chosen_and_tokenizers_hidden(opened):
    window = opened()
    window.get_by_label("Metric").select_option(label="PSNR (dB), higher is better")
    label = window.locator(".canvas > svg:not([hidden])").get_attribute("aria-label")
    assert label.startswith("PSNR (dB)")
    before = points(window).locator("visible=true").count()
    button = window.locator(".series button", has_text="heads")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert before - points(window).locator("visible=true").count() == 12


def test_a_table_filters_by_words(opened):
    window = opened()
    box = window.locator(".table:has(table.comparison) .filter")
    everything = rows(window, "comparison").count()
    box.fill("heads 8")
    assert rows(window, "comparison").count() == 1
    count = window.locator(".table:has(table.comparison) .count").inner_text()
    assert count == f"1 of {everything} rows"
    box.fill("nothing like it")
    assert rows(window, "comparison").count() == 0
    box.fill("")
    assert rows(window, "comparison").count() == everything


def test_a_table_sorts_by_number_up_and_down(opened):
    window = opened()
    head = window.locator("table.cells thead th", has_text="PSNR")

    def values():
        place = head.get_attribute("data-column")
        script = f"rows => rows.map(row => row.children[{place}].dataset.value)"
        return [v for v in rows(window, "cells").evaluate_all(script) if v != "-"]

    head.get_by_role("button").click()
    up = [float(value) for value in values()]
    assert head.get_attribute("aria-sort") == "ascending"
    assert up == sorted(up)
    assert len(set(up)) > 1
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(value) for value in values()] == up[::-1]
    assert window.locator("table.cells [aria-sort]").count() == 1


def test_every_row_leads_to_the_records_it_comes_from(opened):
    window = opened()
    rows(window, "comparison").first.get_by_role("link").click()
    dialog = window.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("details").count() == 3
    dialog.locator("summary").first.click()
    assert "records/made/" in dialog.locator("dl").last.inner_text()
    window.keyboard.press("Escape")
    assert dialog.is_hidden()


def test_dark_and_light(opened):
    def background(window):
        return window.evaluate("getComputedStyle(document.body).backgroundColor")

    light, dark = opened(), opened(color_scheme="dark")
    assert background(light) != background(dark)
    light.get_by_role("button", name="Change between").click()
    assert background(light) == background(dark)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_has_no_serious_finding(opened, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    window = opened(color_scheme=scheme)
    point(window, "policy").click(force=True)
    window.locator("details").first.evaluate("details => details.open = true")
    rows(window, "comparison").first.get_by_role("link").click()
    for closed in (False, True):
        if closed:
            window.keyboard.press("Escape")
        found = axe.run(window).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []


def test_a_phone_scrolls_in_one_direction_only(opened):
    window = opened(viewport=PHONE)
    point(window, "policy").click(force=True)
    assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_print_shows_tables_whole_and_no_controls(opened):
    window = opened()
    window.emulate_media(media="print")
    assert window.locator(".controls").first.is_hidden()
    assert window.locator(".scroll").first.evaluate("e => getComputedStyle(e).maxHeight") == "none"
    assert window.locator("table.cells").is_visible()


def test_the_first_stop_of_the_keyboard_skips_to_the_results(opened):
    window = opened()
    window.keyboard.press("Tab")
    link = window.locator(".skip")
    assert link.evaluate("link => link === document.activeElement")
    assert link.bounding_box()["x"] >= 0
    window.keyboard.press("Enter")
    assert window.evaluate("document.activeElement.id") == "main"


def test_the_page_may_load_nothing(browser, page):
    window = browser.new_page()
    window.goto(page.as_uri())
    refused = window.evaluate("""() => new Promise(resolve => {
        const told = event => resolve(event.effectiveDirective);
        document.addEventListener("securitypolicyviolation", told);
        document.body.append(Object.assign(new Image(), { src: "https://example.invalid/x.png" }));
    })""")
    assert refused == "img-src"
    window.close()


def test_without_script_everything_but_the_plots_answers_is_there(browser, page):
    window = browser.new_page(java_script_enabled=False)
    window.goto(page.as_uri())
    assert window.locator("table.comparison").is_visible()
    assert window.locator(".canvas > svg").first.is_visible()
    assert window.locator("#theme").is_hidden()
    window.close()
