"""The site's pages: each opens from the disk without an error, fetches nothing, and leads nowhere that is not there."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

pytestmark = pytest.mark.slow  # the site is built


class Links(HTMLParser):
    """What a page leads to, what it loads, and the places in it that can be led to."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.places |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif given.get("href") and tag != "base":
            self.loaded.append(given["href"])
        self.loaded += [given[name] for name in ("src", "srcset", "poster", "data") if given.get(name)]


@pytest.fixture(scope="module")
def pages(site):
    """Every page by its path; `404.html` is for servers, which show it at any depth."""
    return {path: Links(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_no_link_is_dead(pages, site):
    dead = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            scheme = urlsplit(link).scheme
            if scheme == "data" or (scheme in ("http", "https", "mailto") and link in page.links):
                continue
            target, place = urldefrag(link)
            result = (path.parent / unquote(target)).resolve() if target else path
            if not result.is_file() or (
                place and result.suffix == ".html" and unquote(place) not in pages[result].places
            ):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []


def test_every_fence_of_a_page_is_one_to_mkdocs(site):
    """One that is not, such as of an unknown word behind its language, takes the headings that follow into a block."""
    assert [path for path in site.rglob("*.html") if "```" in path.read_text(encoding="utf-8")] == []


def test_nothing_is_loaded_from_elsewhere(pages, site):
    assert [(path, source) for path, page in pages.items() for source in page.loaded if urlsplit(source).netloc] == []
    for path in site.rglob("*.css"):
        sources = re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", path.read_text(encoding="utf-8"))
        assert [source for source in sources if urlsplit(source).netloc] == [], path
    # The theme's scripts name hosts, for diagrams and old browsers; test_pages_open sees that none is asked.
    for path in site.glob("assets/*.js"):
        assert re.findall(r"https?://([\w.-]+)", path.read_text(encoding="utf-8")) == [], path


def test_pages_open(pages, site, browser):
    """Without a message on the console, without a request to anywhere, and no wider than a telephone.

    Of the records' pages, which one template makes, every tenth.
    """
    of_records = sorted(path for path in pages if path.parent == site / "records")
    assert len(of_records) > 300
    page = browser.new_page(viewport={"width": 400, "height": 800})
    messages = []
    page.on("console", lambda message: messages.append((page.url, message.type, message.text)))
    page.on("pageerror", lambda error: messages.append((page.url, str(error))))
    page.on("request", lambda one: one.url.startswith(("file:", "data:")) or messages.append((page.url, one.url)))
    page.on("requestfailed", lambda one: "ABORTED" in one.failure or messages.append((page.url, one.url, one.failure)))
    for path in (pages.keys() - set(of_records)) | set(of_records[::10]):
        page.goto(path.as_uri(), wait_until="load")
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 400:
            messages.append((page.url, f"{wide} pixels wide"))
    page.close()
    assert messages == []


def test_the_search_finds_pages_from_the_disk(site, browser):
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    page.get_by_placeholder("Search").fill("errata")
    result = page.locator(".md-search-result__link").first
    result.wait_for()
    assert "errata.html" in result.get_attribute("href")
    page.close()


@pytest.mark.parametrize(("scheme", "picture"), [("light", "report.png"), ("dark", "report_dark.png")])
def test_the_picture_of_a_report_is_as_light_or_dark_as_the_page(site, browser, scheme, picture):
    page = browser.new_page(color_scheme=scheme)
    page.goto((site / "index.html").as_uri())
    shown = page.locator("img[src*='report']:visible")
    assert [one.get_attribute("src").partition("#")[0] for one in shown.all()] == [f"assets/{picture}"]
    page.close()
