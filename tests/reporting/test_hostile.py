"""Whatever stands in a run's folder or a registry, pages and cards show it: no tag, link, picture or control of it."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import jinja2
import msgspec
import pytest

from tests.reporting.kept import kept, process, record, ten
from videohub.errors import DataError
from videohub.reporting import cards, pages
from videohub.reporting.report import Report
from videohub.verification.results import build

MARKS = (
    "</td></code></pre><img src=x onerror=alert(1)>|*b*[l](http://e.example)`c`@me\n\n# h ```\n- [x](javascript:1)"
    "\x1b[31m\u202e www.e.example http://e.example ![i](http://e.example/i.png) $$x$$ <!-- \"q\" 's'"
)
OURS = {"answer", "verdict", "identity", "vouched_by"}  # words that the schema allows alone
OURS |= {"rule", "past_end", "step", "long_side", "arithmetic", "crops", "order", "activation", "join"}  # of a protocol
OUR_TAGS = {"p", "h1", "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "strong", "pre", "code", "details",
            "summary"}  # fmt: skip


@pytest.fixture
def hostile(kinetics):
    """A report in which every word that comes from elsewhere is preceded by marks that somebody could obey."""
    fields = msgspec.to_builtins(kinetics)
    for key in ("metric", "comparisons", "by_clips"):  # of a run's own arithmetic
        fields[f"our {key}"] = fields.pop(key)
    fields = {key: value if key.startswith("our ") else spoiled(value, key) for key, value in fields.items()}
    fields = {key.removeprefix("our "): value for key, value in fields.items()}
    for where in (
        fields["made_by"][0]["software"],
        fields["published"].setdefault("as_printed", {}),
    ):
        where[MARKS] = 1.0 if where is fields["published"]["as_printed"] else MARKS
    fields["clip"][MARKS] = 1
    fields["disagreements"] = [MARKS]
    fields["made_by"][0]["weights"].update(claimed_source=MARKS, claimed_sha256=MARKS, vouched_by=None)
    return msgspec.convert(fields, Report)


def spoiled(value, key=""):
    if isinstance(value, str):
        return value if key in OURS else MARKS + value
    if isinstance(value, dict):
        return {inner: spoiled(of, inner) for inner, of in value.items()}
    return [spoiled(of, key) for of in value] if isinstance(value, list) else value


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def test_a_page_has_no_tag_of_a_stranger(kinetics, hostile):
    ours, theirs = Tags(pages.html(kinetics)), Tags(pages.html(hostile))
    assert theirs.tags <= ours.tags | {"wbr"}
    assert theirs.attributes <= ours.attributes
    assert not {"\x1b", "\u202e"} & set(pages.html(hostile))


@pytest.mark.parametrize("made", [pages.markdown, lambda report: cards.model_card(report).split("\n---\n", 1)[1]])
@pytest.mark.parametrize("flavour", ["commonmark", "gfm-like"])
def test_markdown_has_no_tag_link_or_picture_of_a_stranger(hostile, made, flavour):
    reader = pytest.importorskip("markdown_it").MarkdownIt(flavour, {"html": True, "linkify": False}).enable("table")
    page = Tags(reader.render(made(hostile)))
    assert page.tags <= OUR_TAGS
    assert not page.attributes & {"href", "src", "onerror"}
    assert not {"\x1b", "\u202e"} & set(made(hostile))


def test_a_command_to_be_copied_runs_nothing_that_a_folder_says(tmp_path):
    report = build(kept(tmp_path, record(), ten(5), decoder="exact; rm -rf ~", precision="$(rm -rf ~)\n"), record())
    assert shlex.split(report.command)[-4:] == ["--decoder", "exact; rm -rf ~", "--precision", "$(rm -rf ~)\n"]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_process_that_claims_no_time_at_all_is_refused(tmp_path, seconds):
    """Its note cannot be what a clock gave: the page would divide by it, or never come to an end of it."""
    with pytest.raises(DataError, match="cannot be understood"):
        kept(tmp_path, record(), ten(5), made_by=process(seconds=seconds))


def test_a_template_lets_no_word_of_a_report_through_as_it_is():
    """All that a template inserts is escaped without its doing; `safe` would undo that."""
    templates = list((Path(pages.__file__).parent / "templates").iterdir())
    assert len(templates) > 4
    undone = {use for file in templates for use in re.findall(r"\{\{([^}]*\|\s*safe[^}]*)\}\}", file.read_text())}
    assert undone == {" measure.class_measure|safe "}  # of our own words
    assert not [file for file in templates if "autoescape" in file.read_text()]


def test_a_value_that_a_template_lacks_is_an_error(kinetics):
    with pytest.raises(jinja2.UndefinedError, match="'checked' is undefined"):
        pages.render("card.md", report=kinetics)
