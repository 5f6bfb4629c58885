"""The HTML page: it stands alone, says what the report says, and takes no orders from the names of videos."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from tests.reporting.conftest import HOSTILE
from videohub.reporting import pages


def tree(report):
    return ElementTree.fromstring(pages.html(report))


def words(element):
    return " ".join(" ".join(element.itertext()).split())


def cells(table):
    return [[words(cell) for cell in row] for row in table.iter("tr")]


@pytest.fixture(params=["kinetics", "charades", "ava"])
def each(request):
    return request.getfixturevalue(request.param)


def test_a_page_needs_nothing_from_elsewhere(each):
    parsed = tree(each)
    assert not {"script", "link", "img", "iframe", "object", "a", "use", "image", "foreignObject"} & {
        element.tag for element in parsed.iter()
    }
    attributes = {name for element in parsed.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on")} | {"src", "href", "action"} & attributes
    (style,) = parsed.iter("style")
    assert not re.search(r"@import|url\(|@font-face|expression", style.text)


def test_a_page_knows_the_night_paper_and_small_screens(each):
    (style,) = tree(each).iter("style")
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
        assert rule in style.text


def test_every_picture_says_what_it_shows(each):
    pictures = [svg for svg in tree(each).iter("svg") if svg.get("role") == "img"]
    assert pictures
    assert all(words(svg.find("title")) and words(svg.find("desc")) for svg in pictures)
    others = [svg for svg in tree(each).iter("svg") if svg.get("role") is None and svg.get("aria-hidden") is None]
    assert all(any(svg in list(picture.iter()) for picture in pictures) or svg.get("x") for svg in others)


def test_a_page_puts_published_and_recomputed_side_by_side(kinetics):
    (numbers,) = [table for table in tree(kinetics).iter("table") if table.get("class") == "numbers"]
    assert cells(numbers) == [
        ["", "top-1", "top-5"],
        ["published", "77.00", "92.60"],
        ["recomputed", "76.00", "92.50"],
        ["difference", "−1.00", "−0.10"],
        ["95 % interval", "75.50 – 76.50", "92.10 – 92.90"],
        ["bounds", "75.00 – 77.00", "91.80 – 93.20"],
        ["tolerance", "± 0.3", "± 0.3"],
        ["answer", "consistent", "consistent"],
    ]


def test_the_verdict_comes_first_with_its_reasons(kinetics):
    header = words(tree(kinetics).find("body/header"))
    assert header.startswith("Verification report SLOWFAST_8x8_R50 Its published top-1 and top-5 on kinetics400, val")
    assert "19,701 of 19,761 videos scored; 60 failed." in header
    assert "Consistent Top-1 is 1.00 points below the published 77.00." in header


def test_a_metric_keeps_its_own_spelling(charades):
    assert "Inconsistent mAP is 1.00 points below" in words(tree(charades).find("body/header"))


def test_the_interval_is_drawn_to_scale(kinetics):
    # from 75.0 to 77.3 with 8 % of air: 74.816 to 77.484, 2.668 points wide
    picture = next(svg for svg in tree(kinetics).iter("svg") if svg.get("class") == "picture interval")
    drawn = {rect.get("class"): (rect.get("x"), rect.get("width")) for rect in picture.iter("rect")}
    assert drawn == {
        "tolerance": ("70.61%", "22.49%"),  # (76.7 - 74.816) / 2.668, 0.6 / 2.668
        "bounds": ("6.90%", "74.96%"),
        "chance": ("25.64%", "37.48%"),
    }
    marks = {
        svg.get("class"): svg.get("x") for svg in picture.iter("svg") if svg.get("class") in ("published", "measured")
    }
    assert marks == {"published": "81.86%", "measured": "44.38%"}
    ticks = [text.text for text in picture.iter("text") if text.get("class") == "tick"]
    assert ticks == ["75.0", "75.5", "76.0", "76.5", "77.0"]


def test_the_curve_has_a_point_for_each_number_of_clips(kinetics):
    picture = next(svg for svg in tree(kinetics).iter("svg") if svg.get("class") == "picture views")
    dots = [(float(dot.get("cx").rstrip("%")), float(dot.get("cy"))) for dot in picture.iter("circle")]
    assert len(dots) == 10
    assert [x for x, _ in dots] == pytest.approx([9 + 88 * step / 9 for step in range(10)], abs=0.01)
    steps = {round(a - b, 1) for (_, a), (_, b) in itertools.pairwise(dots)}
    assert max(steps) - min(steps) < 0.15  # a straight line, upwards
    assert min(steps) > 0
    assert "1: 71.00, 2: 72.00" in words(picture.find("desc"))


def test_one_clip_makes_no_curve(charades):
    assert not [svg for svg in tree(charades).iter("svg") if svg.get("class") == "picture views"]


def test_the_weakest_and_the_strongest_classes_are_shown_and_all_can_be(kinetics):
    parsed = tree(kinetics)
    weak, strong = (cells(table) for table in parsed.find(".//div[@class='pair']").iter("table"))
    assert len(weak) == len(strong) == 1 + 20
    assert weak[1] == ["class 0", "0.0", ""]  # eight classes have 0 of 50: 0, 51, 102 …
    assert weak[9] == ["class 1", "2.0", ""]
    assert strong[1] == ["class 356", "100.0", ""]  # 50 of 50: 50, 101 … 356
    (every,) = parsed.find(".//details").iter("table")
    assert cells(every)[1:][7] == ["class 7", "50", "7", "14.0", ""]
    assert len(cells(every)) == 1 + 400


def test_few_classes_are_shown_in_one_table(charades):
    parsed = tree(charades)
    assert parsed.find(".//details") is None
    (table,) = [table for table in parsed.iter("table") if cells(table)[0][0] == "class"]
    assert cells(table) == [["class", "videos with it", "AP", ""], ["Running", "3", "20.0", ""],
                            ["Holding a dish", "12", "80.0", ""]]  # fmt: skip
    assert "2 classes in per cent, in order. 1 class had nothing to be measured on." in words(parsed)


def test_confusions_tell_how_many_and_of_how_many(kinetics):
    (table,) = [table for table in tree(kinetics).iter("table") if cells(table)[0][0] == "is"]
    assert cells(table)[2] == ["class 8", "class 9", "5", "10", ""]


def test_failures_are_counted_by_reason_and_listed_up_to_fifty(kinetics):
    parsed = tree(kinetics)
    (by_reason,) = [table for table in parsed.iter("table") if "By reason." in words(table)]
    assert cells(by_reason)[:2] == [["39", "no such file"], ["20", "holds no pictures"]]
    (listed,) = [table for table in parsed.iter("table") if cells(table)[0] == ["video", "reason"]]
    assert len(cells(listed)) == 1 + 50
    assert "And 10 more, in report.json." in words(parsed)


def test_a_strangers_words_are_shown_and_never_obeyed(kinetics):
    shown = [words(cell) for cell in tree(kinetics).iter("td") if "alert(1)" in words(cell)]
    assert len(shown) == 4  # taken for, by reason, and one by one with its reason
    escaped = "<script>alert(1)</script>|*b*[l](http://e.example)`c`@me\\n# h\\x1b[31m\\u202egpj.exe & \"q\" 's'"
    assert shown[0] == escaped
    assert HOSTILE not in pages.html(kinetics)


def test_a_page_tells_what_was_run(kinetics):
    facts = {
        row[0]: row[1]
        for table in tree(kinetics).iter("table")
        if table.get("class") == "facts"
        for row in cells(table)
    }
    assert facts["sha256 of the tensors"] == "ab" * 32
    assert facts["sha256 of the list"] == "cd" * 32
    assert facts["protocol"] == "kinetics_30view: 10 × 3 views (clips × crops)"
    assert facts["clip"] == "frames 32, sampling rate 2"
    assert facts["precision"] == "bf16"
    assert facts["software"] == "torch 2.6.0, videohub 1.2.3"
    assert facts["processes"] == "2; the first one started 2026-01-02T03:04:05+00:00"
    assert facts["time of all processes"] == "1 h 30 min; 3.66 videos a second and process"
    assert (
        facts["source of the number"] == "MODEL_ZOO.md of facebookresearch/SlowFast at commit d1d213f: Kinetics, row 7"
    )


def test_a_page_ends_with_the_command_and_a_citation(kinetics):
    last = words(tree(kinetics).findall("body/section")[-1])
    assert "videohub verify slowfast_r50_8x8 --data LIST --precision bf16" in last
    assert (
        "top-1 of 76.00 % for SLOWFAST_8x8_R50 (arXiv:1812.03982) on kinetics400 val, recomputed on 19,701 videos"
        in last
    )
    assert kinetics.digest() in last


def test_a_run_that_stops_when_it_likes_has_an_interval_of_its_own_level(ava):
    parsed = tree(ava)
    assert "1 of 57,371 key frames scored; 57,370 not looked at." in words(parsed)
    assert "settled at 99 %; it looked at 1 key frame." in words(parsed)
    (numbers,) = [table for table in parsed.iter("table") if table.get("class") == "numbers"]
    assert cells(numbers)[4][0] == "99 % interval"
