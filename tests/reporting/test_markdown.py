"""The Markdown page says what the HTML page says, and a stranger's words stay words."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from videohub.metrics.metric import Number
from videohub.reporting.pages import bar, markdown
from videohub.reporting.report import Contradicted, Counts, Evaluated


def rendered(text):
    """What a reader of Markdown makes of a page, by a library that rich brings along."""
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("commonmark", {"xhtmlOut": True}).enable("table")
    return ElementTree.fromstring(f"<page>{reader.render(text)}</page>")


def cells(table):
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


def test_published_and_recomputed_stand_side_by_side(kinetics):
    first = next(rendered(markdown(kinetics)).iter("table"))
    assert cells(first)[:4] == [
        ["per cent", "top-1", "top-5"],
        ["published", "77.00", "92.60"],
        ["recomputed", "76.00", "92.50"],
        ["difference", "−1.00", "−0.10"],
    ]


def test_a_notebook_shows_the_page_of_a_report(kinetics):
    assert kinetics._repr_markdown_() == markdown(kinetics)


def test_a_notebook_shows_what_was_evaluated(kinetics):
    """Each number beside its interval; what failed and what was not looked at is counted."""
    result = Evaluated(
        record="mine_*", dataset="own", split="val", counts=Counts(1200, 1000, 990, 7, 3), weights=kinetics.weights,
        numbers=[Number("top-1", 81.234, (78.5, 83.25)), Number("top-5", 100.0, (99.0, 100.0))], failures=[],
        contradicted=[Contradicted("a", {"rotation": "90"})], without_contradicted=[], protocol=kinetics.protocol,
        precision="fp32", decoder="fast", made_by=[], seconds=1.0, videos_per_second=None,
    )  # fmt: skip
    parsed = rendered(result._repr_markdown_())
    (words,) = parsed.iter("p")
    assert "".join(words.itertext()) == (
        "mine_* on own, val: 990 of 1,200 videos scored, 7 failed, 3 not looked at, "
        "1 with a header that contradicts the content"
    )
    (table,) = parsed.iter("table")
    assert cells(table) == [
        ["per cent", "top-1", "top-5"],
        ["measured", "81.23", "100.00"],
        ["95 % interval", "78.50 – 83.25", "99.00 – 100.00"],
    ]


def test_a_strangers_words_stay_words(kinetics):
    parsed = rendered(markdown(kinetics))
    hostile = [cell for cell in parsed.iter("td") if "alert(1)" in "".join(cell.itertext())]
    assert len(hostile) == 4
    assert all(not list(cell) for cell in hostile)  # no emphasis, link, code or markup within
    assert hostile[0].text == (
        "<script>alert(1)</script>|*b*[l](http://e.example)`c`@me\\n# h\\x1b[31m\\u202egpj.exe & \"q\" 's'"
    )
    assert not {"script", "a", "img"} & {element.tag for element in parsed.iter()}


def test_a_bar_is_exact_to_an_eighth_of_a_letter():
    assert (bar(0), bar(50), bar(100), len(bar(100))) == ("", "█" * 10, "█" * 20, 20)
    assert bar(5 + 5 / 8) == "█▏"  # a letter is 5 of 100


def test_everything_has_its_section(kinetics, charades):
    headings = [element.text for element in rendered(markdown(kinetics)).iter("h2")]
    assert headings == ["Published against recomputed", "With fewer clips", "Classes", "What is taken for what",
                        "Without a score", "What was run", "To repeat and to cite"]  # fmt: skip
    assert [element.text for element in rendered(markdown(charades)).iter("h2")] == [
        "Published against recomputed", "Classes", "What was run", "To repeat and to cite"
    ]  # fmt: skip


def test_the_command_can_be_copied_as_it_stands(kinetics):
    assert [element.text.strip() for element in rendered(markdown(kinetics)).iter("code")] == [kinetics.command]
