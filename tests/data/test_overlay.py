"""Boxes and words over pictures of any size: where they lie, what is cut, and what is only shown."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from videohub.data.overlay import COLOURS, box, caption, drawn_on, label

GREY = 128


def named(canvas, corners, words):
    """Draw a box and words at it."""
    box(canvas, corners)
    label(canvas, corners, words)


def drawn(draw, width=320, height=240) -> np.ndarray:
    picture = Image.new("RGB", (width, height), (GREY, GREY, GREY))
    draw(drawn_on(picture))
    return np.asarray(picture).astype(int)


def changed(pixels: np.ndarray) -> np.ndarray:
    """Return which pixels are no longer grey, (H, W)."""
    return (pixels != GREY).any(axis=2)


def test_a_box_is_an_outline_and_what_is_within_stays():
    pixels = drawn(lambda canvas: box(canvas, (40, 60, 200.4, 179.6), colour=(10, 20, 30)))
    assert pixels[60, 40].tolist() == pixels[180, 200].tolist() == [10, 20, 30]
    rows, columns = np.nonzero(changed(pixels))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 180, 40, 200)
    assert not changed(pixels)[70:170, 50:190].any()


def test_the_names_stand_above_the_box_where_there_is_room_and_inside_where_there_is_none():
    low = changed(drawn(lambda canvas: named(canvas, (40, 100, 200, 200), ["stand 0.91"])))
    assert low[70:100].any()
    assert not low[110:190, 50:190].any()
    high = changed(drawn(lambda canvas: named(canvas, (40, 0, 200, 200), ["stand 0.91"])))
    assert high[5:20, 50:80].any()
    assert not high[40:190, 50:190].any()


def test_a_box_beyond_the_edges_is_cut_at_them_and_its_names_stay_within():
    pixels = changed(drawn(lambda canvas: named(canvas, (250, 100, 500, 900), ["talk to (e.g., self, a person)"])))
    assert pixels[110:, 250].all()
    assert pixels[-1, 250:].all()
    assert pixels[90, :250].any()  # moved to the left, so that the end can be read


@pytest.mark.parametrize("size", [(64, 48), (320, 240), (480, 854), (1920, 1080)])
def test_letters_grow_with_the_short_side_of_the_picture(size):
    width, height = size
    rows = np.nonzero(changed(drawn(lambda canvas: caption(canvas, ["walk"]), width, height)).any(axis=1))[0]
    bar = rows.max() - rows.min() + 1
    assert rows.max() == height - 1
    assert bar >= max(14, min(width, height) // 26)
    assert bar <= max(20, min(width, height) // 12)


def test_the_bar_of_a_caption_lets_half_of_the_picture_through():
    pixels = drawn(lambda canvas: caption(canvas, ["M"]))
    # 128 under black of density 150 of 255: 128 x 105 / 255 = 52.7
    assert pixels[-2, -2].tolist() in ([52] * 3, [53] * 3)
    assert pixels[-20:].max() > 240


def test_a_line_that_is_too_long_ends_in_dots_and_none_leaves_the_picture():
    long, cut = (
        drawn(lambda canvas, words=words: caption(canvas, [words])) for words in ("word " * 100, "word " * 200)
    )
    assert np.array_equal(long, cut)


def test_a_name_of_a_million_letters_is_cut_as_a_shorter_one_is():
    long, longer = (drawn(lambda canvas, count=count: caption(canvas, ["walk " * count])) for count in (100, 200_000))
    assert (long == longer).all()


def test_what_would_steer_a_screen_is_shown_and_never_obeyed():
    hostile, escaped = (
        drawn(lambda canvas, words=words: caption(canvas, [words])) for words in ("a\nb\x1b[2J", "a\\nb\\x1b[2J")
    )
    assert np.array_equal(hostile, escaped)


def test_letters_that_the_font_lacks_are_no_error():
    assert changed(drawn(lambda canvas: named(canvas, (40, 100, 200, 200), ["走る 🏃", ""]))).any()


def test_without_words_there_is_no_bar():
    assert not changed(drawn(lambda canvas: caption(canvas, []))).any()
    assert not changed(drawn(lambda canvas: label(canvas, (40, 100, 200, 200), []))).any()


def test_colours_can_be_told_apart():
    assert len(set(COLOURS)) == len(COLOURS) >= 5
