"""A real browser opens the page: it fetches nothing, and nothing is wider than the screen. Skipped without one."""

from __future__ import annotations

import re
import shutil
import subprocess

import msgspec
import pytest

from videohub.data.labels import class_names
from videohub.metrics.metric import Confusion
from videohub.reporting import pages

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
  document.querySelectorAll("details").forEach(one => one.open = true);
  const torn = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest("svg, script, .mono, code")) continue;
    for (const word of text.data.matchAll(/(?<![A-Za-z0-9])[A-Za-z]{2,20}(?![A-Za-z0-9])/g)) {
      const range = document.createRange();
      range.setStart(text, word.index); range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) torn.push(word[0]);
    }
  }
  parent.postMessage([innerWidth, wide, cut, fetched, drawn.length, ...torn].join(" "), "*");
}</script></body>"""
FRAME = """<!DOCTYPE html><script>onmessage = told => document.body.setAttribute("data-told", told.data)</script>
<body><iframe src="page.html" width="{width}" height="900" style="border: 0"></iframe></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize(("width", "kind"), [(1000, "kinetics"), (420, "kinetics"), (420, "charades")])
def test_a_browser_shows_the_page_whole_and_fetches_nothing(tmp_path, request, width, kind):
    measured = shown(tmp_path, request.getfixturevalue(kind), width)
    inner, wide, cut, fetched, drawn = map(int, measured[:5])
    assert (inner, wide, cut, fetched) == (width, 0, 0, 0)
    assert (
        drawn == {"kinetics": 4, "charades": 2}[kind]
    )  # two intervals, the curve and the classes; one and the classes


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize("labels", ["kinetics400", "charades", "imagenet1k"])
def test_no_word_is_torn_on_a_telephone(tmp_path, kinetics, labels):
    """The classes with the longest words, in every table that names classes."""
    names = sorted(class_names(labels), key=lambda name: -max(map(len, name.split())))
    classes = [msgspec.structs.replace(one, name=name) for one, name in zip(kinetics.classes, names)]  # noqa: B905
    confusions = [Confusion(a, b, 9, 50) for a, b in zip(names[:20:2], names[1:20:2], strict=True)]
    report = msgspec.structs.replace(kinetics, classes=classes, confusions=confusions, failures=[])
    assert shown(tmp_path, report, 420)[5:] == []


def shown(tmp_path, report, width):
    """What a browser tells of a page in a frame of this width, as `TELLING` puts it."""
    (tmp_path / "page.html").write_text(pages.html(report).replace("</body>", TELLING), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,1000", "--dump-dom",
               frame.as_uri()]  # fmt: skip
    dom = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", timeout=60).stdout
    match = re.search(r'data-told="([^"]*)"', dom)
    assert match is not None
    return match[1].split()
