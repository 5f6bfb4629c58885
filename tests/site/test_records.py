"""The records' pages, against the registry and against what was measured."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.models.golden_networks import CASES, LOGITS_CLOSE
from tools import proofs
from tools.site import errata, records
from videohub import registry

KNOWN = registry.load(registry.files()[0])
PAGES = dict(records.pages(KNOWN))
PROOFS = proofs.read()
OF_ERRATA = {name for one in errata.read() for each in one.errata for name in each.about(KNOWN)}
SECTIONS = ["What it is", "Load it", "The test", "Published", "Proved here", "Measured again", "The file"]


def page(name: str) -> str:
    return PAGES[f"records/{name}.md"]


def test_every_record_has_a_page():
    assert list(PAGES) == [f"records/{name}.md" for name in KNOWN.records]


@pytest.mark.parametrize("name", KNOWN.records)
def test_a_page_says_what_its_record_does(name):
    record, text = KNOWN.records[name], page(name)
    rest = (
        ["Notes"] * bool(record.notes)
        + ["Errata"] * (name in OF_ERRATA)
        + ["Namesakes"] * bool(KNOWN.namesakes(record))
    )
    assert re.findall(r"^## (.+?) \{", text, re.MULTILINE) == SECTIONS + rest
    assert all(f"**{published}**" in text for published in record.published)
    assert all(f"[`{other}`]({other}.md)" in text for other in KNOWN.namesakes(record))
    assert text.count("\n- ", text.find("## Notes")) >= len(record.notes)
    for checkpoint in (record.checkpoint, *record.other_checkpoints):
        url = checkpoint.url or ""
        assert (url.rpartition("/")[2] if url.startswith("file:") else url) in text


def test_no_page_tells_where_this_machine_has_the_project():
    root = str(proofs.ROOT)
    assert [path for path, text in PAGES.items() if root in text] == []


def test_a_page_loads_in_three_ways_only_what_can_be_had():
    assert page("slowfast_r50_8x8").count('\n=== "') == 3
    assert 'checkpoint="the-copy"' in page("mvit_b_16x4")  # a page on Google Drive
    assert '\n=== "' not in page("slowfast_r101_8x8")  # never released
    assert "There is no file" in page("slowfast_r101_8x8")


def test_a_page_shows_what_others_measured_and_its_source():
    assert "**top-1 76.38 / top-5 92.22**" in page("slowfast_r50_8x8")
    assert "https://github.com/facebookresearch/SlowFast/issues/28" in page("slowfast_r50_8x8")


def test_a_note_is_shown_as_it_is_with_links_to_records():
    shown = records.linked("As slow_r50_8x8, [x] * 2 < 3; `--a*b*` of `i3d_r50_8x8`, a `", KNOWN)
    assert shown == (
        "As [`slow_r50_8x8`](slow_r50_8x8.md), &#91;x&#93; &#42; 2 &lt; 3; "
        "`--a*b*` of [`i3d_r50_8x8`](i3d_r50_8x8.md), a &#96;"
    )


def test_every_golden_case_was_measured_and_is_close():
    """`python tools/proofs.py` measures what is missing."""
    assert PROOFS.cases.keys() == CASES.keys()
    assert all(0 <= result.logits <= LOGITS_CLOSE for result in PROOFS.cases.values())


def test_only_records_that_were_compared_with_another_implementation_have_its_difference():
    compared = {name for name, record in KNOWN.records.items() if record.proof and record.proof.reference}
    assert PROOFS.references.keys() <= compared
    assert all(0 <= result.logits <= LOGITS_CLOSE for result in PROOFS.references.values())


def test_protocols_have_the_golden_views_that_their_steps_say():
    """`python tools/proofs.py --views` writes them anew."""
    assert msgspec.to_builtins(PROOFS.views) == msgspec.to_builtins(dict(sorted(proofs.views().items())))


def test_a_page_tells_the_largest_difference_of_its_case():
    result = PROOFS.cases["models/SLOWFAST_8x8_R50"]
    assert f"Largest difference: **{result.logits:.1e}** of the largest logit" in page("slowfast_r50_8x8")
