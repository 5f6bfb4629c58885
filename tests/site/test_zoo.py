"""The zoo's page in a real browser: it shows, filters and sorts what the registry holds, and is quick and small."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec
import pytest

from tests.reporting.conftest import HOSTILE
from tools import zoo_plot
from tools.site import zoo
from videohub import registry
from videohub.registry.schema import Published

SHOWN = "#zoo tbody tr:not([hidden])"
MARKS = "#zoo figure:not([hidden]) a:not([style*='none'])"


@pytest.fixture(scope="module")
def known():
    return registry.load(registry.files()[0])


@pytest.fixture
def opened(site, browser):
    """Open the page at an address's end, in a window of this width; close it after the test."""
    contexts = []

    def open_(after: str = "", *, width: int = 1280, scheme: str = "light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.loaded = []
        page.on("request", lambda request: page.loaded.append(request.url))
        page.goto((site / "zoo.html").as_uri() + after)
        page.wait_for_selector("#zoo[data-ready]")
        return page

    yield open_
    for context in contexts:
        context.close()


def names(page):
    return page.eval_on_selector_all(f"{SHOWN} th", "cells => cells.map(cell => cell.dataset.v)")


def points(page):
    return page.eval_on_selector_all(MARKS, "all => all.map(a => a.getAttribute('href'))")


@pytest.mark.slow
def test_all_records_are_in_the_table_and_each_with_a_number_in_the_plots(opened, known):
    page = opened()
    assert names(page) == list(known.records)
    numbered = [
        (record.protocol.dataset, metric)
        for record in known.records.values()
        if record.number is not None
        for metric in record.number.numbers()
    ]
    assert len(points(page)) == numbered.count(("kinetics400", "top-1")) > 150
    for (dataset, metric), count in Counter(numbered).items():
        page.select_option("select[name=plot]", f"{dataset} {metric}")
        assert len(points(page)) == count, (dataset, metric)
    assert page.eval_on_selector_all("#zoo figure a", "all => all.length") == len(numbered)


@pytest.mark.slow
def test_a_filter_leaves_its_records_in_the_table_and_in_the_plot(opened, known):
    page = opened()
    page.select_option("select[name=family]", "slowfast")
    page.select_option("select[name=data]", "AVA v2.2")
    expected = [r for r in known.records.values() if r.family == "slowfast" and r.protocol.dataset == "ava_v2.2"]
    assert names(page) == [record.name for record in expected]
    shown = [zoo.href(record) for record in expected if record.number is not None]
    assert sorted(points(page)) == sorted(shown)  # the plot follows to the data set
    assert (
        page.text_content("#zoo-count") == f"{len(expected)} of {len(known.records)} records, {len(shown)} in the plot"
    )
    assert page.get_attribute("#zoo-count", "aria-live") == "polite"
    assert page.locator("select[name=plot] option:enabled").all_inner_texts() == ["AVA v2.2, mAP: " + str(len(shown))]
    page.click("text=Clear")
    assert names(page) == list(known.records)
    page.fill("input[name=q]", "X3D pytorchvideo")  # each word, anywhere in a row
    expected = [
        r.name
        for r in known.records.values()
        if r.family == "x3d" and r.publisher in ("pytorchvideo", "pyslowfast_ptv")
    ]
    assert names(page) == expected != []


@pytest.mark.slow
@pytest.mark.parametrize("proof", ["original", "other", "unproven"])
def test_what_is_proved_can_be_filtered(opened, known, proof):
    """As docs/zoo.md counts it: a golden case or its library's own network, another implementation, or nothing."""
    page = opened()
    page.select_option("select[name=proof]", zoo.PROOFS[proof])

    def is_proved(record):
        if record.proof is None:
            return "unproven"
        ours = str(record.proof.reference).startswith(f"{record.publisher}.")
        return "original" if record.proof.golden or ours else "other"

    assert names(page) == [record.name for record in known.records.values() if is_proved(record) == proof]


@pytest.mark.slow
def test_a_column_is_sorted_by_its_numbers_and_the_unknown_stand_last(opened, known):
    page = opened()
    page.click("th[data-key=number] button")
    records = list(known.records.values())
    first = {r.name: next(iter(r.number.numbers().values())) for r in records if r.number is not None}
    without = [r.name for r in records if r.name not in first]
    assert names(page) == sorted(first, key=lambda name: -first[name]) + without
    assert page.get_attribute("th[data-key=number]", "aria-sort") == "descending"
    page.focus("th[data-key=number] button")
    page.keyboard.press("Enter")
    assert names(page) == sorted(first, key=lambda name: first[name]) + without
    assert page.get_attribute("th[data-key=number]", "aria-sort") == "ascending"
    page.click("th[data-key=params] button")
    assert names(page) == sorted(known.records, key=lambda name: -known.costs[name].params)
    assert page.locator("[aria-sort]").count() == 1


@pytest.mark.slow
def test_an_address_opens_the_view_that_it_was_copied_from(opened):
    page = opened()
    page.fill("input[name=q]", 'kinetics "')
    page.fill("input[name=q]", "16x")
    page.select_option("select[name=licence]", "CC-BY-NC-4.0")
    page.select_option("select[name=plot]", "ssv2 top-1")
    page.click("th[data-key=cost] button")
    again = opened("#" + urlsplit(page.url).fragment)
    assert names(again) == names(page) != []
    assert points(again) == points(page) != []
    assert again.input_value("select[name=plot]") == "ssv2 top-1"
    strange = opened('#family=<img src=x onerror=alert(1)>&sort=-nothing&plot=none&q="')
    assert names(strange) == []
    assert strange.locator("#zoo img").count() == 0


@pytest.mark.slow
def test_the_plot_is_used_by_keyboard(opened, known):
    page = opened("#family=x3d")
    page.focus("select[name=plot]")
    page.keyboard.press("Tab")
    visited = []
    for _ in points(page):
        visited.append(page.evaluate("document.activeElement.getAttribute('href')"))
        assert page.is_visible("#zoo-tip")
        assert Path(visited[-1]).stem in page.text_content("#zoo-tip")
        assert Path(visited[-1]).stem in page.evaluate("document.activeElement.getAttribute('aria-label')")
        page.keyboard.press("ArrowRight")
    assert sorted(visited) == sorted(points(page))
    costs = [known.costs[Path(href).stem].multiply_adds for href in visited]
    assert costs == sorted(costs)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{visited[0]}")


@pytest.mark.slow
def test_hovering_names_a_record(opened):
    """Its number as Hiera's README has it, and its costs as the record's own page."""
    page = opened("#family=hiera")
    page.hover(f"{MARKS}[href='records/hiera_h_16x4.html']")
    assert page.inner_text("#zoo-tip").splitlines() == [
        "hiera_h_16x4: top-1 87.8",
        "1.16T multiply-adds, 672M parameters",
        "hiera",
    ]


@pytest.mark.slow
def test_dark_pages_have_light_letters_and_other_marks(opened):
    def looks(page):
        light = "element => getComputedStyle(element).color.match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
        mark = page.eval_on_selector(f"{MARKS} circle", "circle => getComputedStyle(circle).fill")
        return page.eval_on_selector("#zoo tbody td", light), mark

    (light, light_mark), (dark, dark_mark) = looks(opened()), looks(opened(scheme="dark"))
    assert light < 3 * 100 < 3 * 150 < dark
    assert light_mark != dark_mark


@pytest.mark.slow
def test_nothing_is_wider_than_a_telephone(opened):
    page = opened(width=400)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.evaluate("[...document.querySelectorAll('#zoo input, #zoo select, #zoo figure *')].filter(one => {"
                         "  const box = one.getBoundingClientRect(); return box.left < 0 || box.right > 400;"
                         "}).length") == 0  # fmt: skip


@pytest.mark.slow
def test_the_table_fits_a_small_screen_and_its_head_stays_in_sight(opened):
    def top(one):
        return round(one.bounding_box()["y"])

    page = opened(width=1200)
    narrowest = (
        "table => { table.style.width = 0; const wide = table.offsetWidth; table.style.width = ''; return wide; }"
    )
    assert page.eval_on_selector("#zoo table", narrowest) <= 1200 - 2 * 16 - 15, "the margins, and a scroll bar"
    page.locator("#zoo tbody tr").nth(80).evaluate("row => row.scrollIntoView()")
    assert top(page.locator("#zoo thead th").first) == page.locator(".md-header").bounding_box()["height"]
    page = opened(width=1000)  # there the table is a window of its own
    page.eval_on_selector("#zoo-table", "table => { table.scrollIntoView(); table.scrollTop = 2000; }")
    assert top(page.locator("#zoo thead th").first) == top(page.locator("#zoo-table"))
    assert page.locator("#zoo-table").bounding_box()["height"] <= 900


@pytest.mark.slow
def test_it_is_small_and_soon_ready(opened, known):
    page = opened()
    page.wait_for_load_state("networkidle")
    sizes = {url: Path(unquote(urlsplit(url).path)).stat().st_size for url in page.loaded if url.startswith("file:")}
    assert sum(sizes.values()) <= 1_500_000, sizes
    assert int(page.get_attribute("#zoo", "data-ready")) < 5000  # milliseconds; under a tenth where nothing else runs


def test_what_a_record_says_is_shown_and_never_obeyed(known):
    record = known.records["slowfast_r50_8x8"]
    replace = msgspec.structs.replace
    evil = replace(
        record,
        name=HOSTILE,
        upstream_name=HOSTILE,
        paper=HOSTILE,
        training=HOSTILE,
        aliases=(HOSTILE,),
        publisher=None,
        checkpoint=replace(record.checkpoint, license=HOSTILE),
        dataset=replace(record.dataset, title=HOSTILE),
        published=(Published(source="", others={HOSTILE: 50.0}),),
    )
    records = replace(known, records={HOSTILE: evil}, costs={HOSTILE: known.costs[record.name]})
    for text in (zoo.page(records), zoo_plot.image(records)):
        assert "<script>alert" not in text
        assert "\x1b" not in text
        assert '"q" \'s' not in text


def test_every_family_has_a_mark_of_its_own(known):
    marked = zoo_plot.marks(known)
    assert set(marked) == {record.family for record in known.records.values()}
    assert len(set(marked.values())) == len(marked)


def test_licences_are_named_as_publishers_state_them(known):
    stated = {zoo.licence(record.checkpoint.license) for record in known.records.values()}
    assert {"Apache-2.0", "Apache-2.0 (repository)", "CC-BY-NC-4.0", "MIT"} <= stated
    assert all(len(each) < 40 for each in stated)
