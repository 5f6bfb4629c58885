"""What strangers write is shown and never obeyed, and ordinary text stays as it is."""

from __future__ import annotations

import html
import json
import logging

import pytest

from videohub import escaping
from videohub.log import log


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x00\x07\x08\x7f", r"\x00\x07\x08\x7f"),
        ("\x9b31m", r"\x9b31m"),  # the one-letter CSI of C1
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x85\u2028\u2029", r"\x85\u2028\u2029"),
        ("\u202egpj.exe\u2066\u2069\u200f\u061c", r"\u202egpj.exe\u2066\u2069\u200f\u061c"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("\ufffe\uffff\ufdd0", r"\ufffe\uffff\ufdd0"),  # no letters at all, and none that XML takes
    ],
)
def test_what_steers_becomes_an_escape(text, shown):
    assert escaping.visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Übungen für Kätzchen – «¿qué?» 10 × 3 ± 0.3 %",
        "日本語のビデオ　全角",  # with an ideographic space
        "סרטון של ילדים",
        "فيديو الأطفال می\u200cخواهم",  # Persian joins with U+200C
        "वीडियो क्\u200dष",
        "👩\u200d👩\u200d👧 ❤\ufe0f 🇩🇪",
        "1\u00a0000 images\u202f?",
        r"C:\videos\x1b",
        "[/usr/share] [red]:smile:",
    ],
)
def test_ordinary_text_of_any_language_stays(text):
    assert escaping.visible(text) == text
    assert escaping.visible_json(text) == text
    assert html.unescape(escaping.in_html(text)) == text


def test_json_says_the_same_and_holds_nothing_that_steers():
    value = {"\x9b\x7f": ["\u202e\u2028\U000e0041\x85é日", 'quoted " \\ \x1b\n']}
    text = escaping.visible_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert escaping.visible(text.replace("\n", "")) == text.replace("\n", "")
    assert "é日" in text
    for encoding in ("ascii", "cp1252"):
        text = escaping.visible_json(json.dumps(value, ensure_ascii=False), encoding=encoding)
        assert (text.isascii(), json.loads(text)) == (True, value)
    text = escaping.visible_json('["é"]', encoding="cp1252")
    assert text == '["é"]'


def test_no_line_of_a_stranger_can_be_taken_for_another_message():
    shown = escaping.message("a\nUsageError: all is lost: not found.\n  Give another.")
    assert shown == "a\n  UsageError: all is lost: not found.\n  Give another."


def test_a_message_is_cut_to_what_can_be_read_and_says_what_was_left_out():
    shown = escaping.message("x.npz: the key " + "k" * 64_000_000 + " is not known.\n  Remove it.")
    assert len(shown) < 21_000
    assert "(63,999,029 more letters)" in shown  # the line has 64,000,029 letters, of which 1,000 are shown
    assert shown.endswith("  Remove it.")
    many = escaping.message("\n".join(f"  key {n}" for n in range(1_000_000)))
    assert len(many) < 25_000
    assert "more letters" in many


def test_what_is_logged_is_escaped_before_any_handler_has_it(caplog):
    with caplog.at_level(logging.WARNING, logger="videohub"):
        log.warning("%s: %s\n  Look at it.", "a\x1b[31m", "b\u202e\nc")
    assert caplog.messages == ["a\\x1b[31m: b\\u202e\n  c\n  Look at it."]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a_b*c", r"a\_b\*c"),
        ("x|y", r"x\|y"),
        ("www.example", r"www\.example"),
        ("v1.mp4", "v1.mp4"),
        ("two\nlines", r"two\\nlines"),
        ("-7.mp4", "-7.mp4"),
    ],
)
def test_marks_of_markdown_are_taken_for_themselves(given, expected):
    assert escaping.in_markdown(given) == expected


def test_a_name_of_words_joined_by_marks_may_be_broken_between_them_only():
    shown = escaping.in_narrow_html('Watching/Reading_a <b> </script> 1/2 "x"/y')
    assert shown == "Watching/<wbr/>Reading_<wbr/>a &lt;b&gt; &lt;/script&gt; 1/<wbr/>2 &quot;x&quot;/y"


def test_a_value_is_shown_by_its_kind_where_it_could_be_endless():
    endless = [[]]
    for _ in range(100):
        endless = [endless, endless]
    assert escaping.quote(endless) == "list"
    assert escaping.quote(10**5000) == "a huge number"
    assert escaping.quote(True) == "True"
    assert escaping.quote(-3) == "-3"
    assert escaping.quote("a\nb") == r"'a\nb'"
    assert len(escaping.quote("a" * 10**6)) == 82
    assert escaping.visible("é\t\x1b\ud800") == r"é\t\x1b\ud800"
