"""The errata: whom they are about, and that the page shows each."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from tools.site import errata
from videohub import registry

KNOWN = registry.load(registry.files()[0])
ALL = errata.read()


def test_publishers_are_the_registry_s_in_its_words():
    names = [publisher.name for publisher in ALL]
    assert len(set(names)) == len(names)
    assert set(names) <= set(KNOWN.publishers)


@pytest.mark.parametrize("publisher", ALL, ids=lambda publisher: publisher.name)
def test_errata_name_records_of_their_publisher(publisher):
    for each in publisher.errata:
        for pattern in each.records:
            assert any(fnmatchcase(name, pattern) for name in KNOWN.records), f"{each.where}: {pattern}"
        assert {KNOWN.records[name].publisher for name in each.about(KNOWN)} <= {publisher.name}


def test_the_page_shows_each_in_a_line_of_its_publisher():
    text = errata.page(KNOWN)
    for publisher in ALL:
        section = text.split(f"## {KNOWN.publishers[publisher.name].title}\n")[1].partition("\n## ")[0]
        assert publisher.read in section
        assert section.count("\n| ") == len(publisher.errata) + 2
        for each in publisher.errata:
            assert f" | {each.prints} | {each.right} | {each.known_by or 'not noted'} |" in section


def test_the_committed_page_is_made_from_the_data():
    """`python -m tools.site.errata` writes it anew."""
    assert errata.FILE.with_suffix(".md").read_text(encoding="utf-8") == errata.page(KNOWN)


def test_an_erratum_is_about_the_records_that_its_patterns_fit():
    (imagenet,) = (each for each in ALL[0].errata if each.prints.startswith("error rates"))
    assert imagenet.about(KNOWN) == ["resnet_r50_in1k"]
    assert imagenet.right == "76.4 / 93.2"


def test_no_text_breaks_its_table():
    assert not [each for publisher in ALL for each in publisher.errata if "|" in f"{each}" or "\n" in each.prints]
