"""A real browser opens the page: it fetches nothing, and nothing is wider than the screen. Skipped without one."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from videohub.reporting.pages import page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-quic", "--hide-scrollbars")  # fmt: skip
# What the page itself never has: a script that tells what the browser made of it. It stands in a frame, since a window
# cannot be as narrow as a telephone.
TELLING = """<script>window.onload = () => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const cut = [...document.querySelectorAll("svg text")].filter(text => {
    const box = text.getBoundingClientRect(); return box.left < 0 || box.right > innerWidth; }).length;
  const fetched = performance.getEntriesByType("resource").length;
  const drawn = [...document.querySelectorAll("svg[role=img]")].filter(svg => svg.getBoundingClientRect().width > 200);
  parent.postMessage([innerWidth, wide, cut, fetched, drawn.length].join(" "), "*");
}</script></body>"""
FRAME = """<!DOCTYPE html><script>onmessage = told => document.body.setAttribute("data-told", told.data)</script>
<body><iframe src="page.html" width="{width}" height="900" style="border: 0"></iframe></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize(("width", "kind"), [(1000, "kinetics"), (420, "kinetics"), (420, "charades")])
def test_a_browser_shows_the_page_whole_and_fetches_nothing(tmp_path, request, width, kind):
    report = request.getfixturevalue(kind)
    (tmp_path / "page.html").write_text(page(report).replace("</body>", TELLING), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,1000", "--dump-dom",
               frame.as_uri()]  # fmt: skip
    shown = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", timeout=60).stdout
    told = re.search(r'data-told="([^"]*)"', shown)
    assert told is not None
    inner, wide, cut, fetched, drawn = map(int, told[1].split())
    assert (inner, wide, cut, fetched) == (width, 0, 0, 0)
    assert (
        drawn == {"kinetics": 4, "charades": 2}[kind]
    )  # two intervals, the curve and the classes; one and the classes
