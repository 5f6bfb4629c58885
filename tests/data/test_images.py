"""Images: which are read, what their pixels come to, how all else is refused; views made from lists of them."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin

from tests.data.golden_views import cases, golden_case, how, value_differences
from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol
from tests.data.taken_apart import name as frame_name
from tests.data.taken_apart import take_apart, write_frames
from videohub.data.decoded import decode
from videohub.data.images import image_size, read_image
from videohub.data.samples import FrameList
from videohub.data.views import views_of
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Clip

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=-1)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG by hand, from its specification."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    between = b"".join(chunk(*each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + header + between + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, *, bits: int, sample_format: int = 1, photometric: int = 1, order: str = "<") -> bytes:
    """Write a grey TIFF by hand, from its specification."""
    height, width = values.shape
    entries = [(256, "I", width), (257, "I", height), (258, "H", bits), (259, "H", 1), (262, "H", photometric),
               (273, "I", 200), (277, "H", 1), (278, "I", height), (279, "I", values.nbytes),
               (339, "H", sample_format)]  # fmt: skip
    written = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, value in entries:
        written += struct.pack(f"{order}HHI", tag, 3 if kind == "H" else 4, 1)
        written += struct.pack(order + kind, value).ljust(4, b"\0")
    return written.ljust(200, b"\0") + values.astype(values.dtype.newbyteorder(order)).tobytes()


# --- what pixels come to ---------------------------------------------------------------------------------------------


def test_grey_of_16_bits_keeps_its_upper_8(tmp_path):
    """A ramp from 0 to 65520 in steps of 16: each of 256 levels stands 16 times, so their mean is 127.5."""
    ramp = (np.arange(4096).reshape(64, 64) * 16).astype(np.uint16)
    for name in ("ramp.png", "ramp.tif"):
        pixels = read_image(saved(Image.fromarray(ramp), tmp_path / name))
        assert pixels.shape == (64, 64, 3)
        assert (pixels.mean(), len(set(pixels.ravel()))) == (127.5, 256)
        assert np.array_equal(pixels[..., 0], ramp // 256)
        assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_every_png_of_16_bits_keeps_its_upper_8(tmp_path, colour, channels):
    """Grey, RGB, grey with transparency, RGB with transparency."""
    values = (255 * np.arange(8 * 8 * channels)).reshape(8, 8 * channels).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    (tmp_path / "deep.png").write_bytes(png(8, 8, 16, colour, rows))
    upper = (values.astype(int) // 256).reshape(8, 8, channels)
    seen = upper[..., :3] if channels >= 3 else upper[..., :1].repeat(3, axis=2)
    assert np.array_equal(read_image(tmp_path / "deep.png"), seen)


@pytest.mark.parametrize("order", "<>")
def test_grey_tiff_of_16_bits_in_either_order_of_bytes(tmp_path, order):
    (tmp_path / "ramp.tif").write_bytes(
        tiff(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257, bits=16, order=order)
    )
    assert np.array_equal(read_image(tmp_path / "ramp.tif")[..., 1], RAMP)


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "tif", "webp"])
def test_colours_of_every_lossless_format_are_what_was_written(tmp_path, suffix):
    image = Image.fromarray(COLOUR)
    if suffix == "gif":
        image = image.quantize(256, dither=0)
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = read_image(saved(image, tmp_path / f"colour.{suffix}", **options))
    assert np.array_equal(pixels, np.array(image.convert("RGB")))


def test_an_image_of_one_bit_is_black_and_white(tmp_path):
    image = Image.fromarray((RAMP % 2 * 255).astype(np.uint8)).convert("1")
    for name in ("bits.png", "bits.bmp", "bits.tif"):
        assert np.array_equal(read_image(saved(image, tmp_path / name))[..., 0], RAMP % 2 * 255)


def test_what_transparency_hides_is_seen_and_nothing_is_warned_of(tmp_path):
    hidden = np.zeros((16, 16), np.uint8)
    palette = Image.fromarray(RAMP, "P")
    palette.putpalette([channel for level in range(256) for channel in (level, 255 - level, 7)])
    expected = np.stack([RAMP, 255 - RAMP, np.full_like(RAMP, 7)], axis=-1)
    images = {
        "la.png": (Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(hidden)]), RAMP[..., None].repeat(3, 2)),
        "rgba.png": (Image.fromarray(np.dstack([COLOUR, hidden])), COLOUR),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # which Pillow gives
        for name, (image, pixels) in images.items():
            assert np.array_equal(read_image(saved(image, tmp_path / name)), pixels), name
        for transparency in (bytes(range(256)), 3):
            path = saved(palette, tmp_path / "palette.png", transparency=transparency)
            assert np.array_equal(read_image(path), expected)


def test_cmyk_becomes_the_colours_of_its_inks(tmp_path):
    """White paper, then cyan, magenta, yellow and black ink: light times what the ink lets through."""
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]]], np.uint8)
    path = saved(Image.fromarray(inks, "CMYK"), tmp_path / "inks.tif")
    colours = [[255, 255, 255], [0, 255, 255], [255, 0, 255], [255, 255, 0], [0, 0, 0]]
    assert read_image(path).tolist() == [colours]


# --- what is refused -------------------------------------------------------------------------------------------------

WITHOUT_WHITE = {
    "floats": tiff(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16), bits=32, sample_format=3),
    "whole numbers of 32 bits": tiff(np.arange(256, dtype=np.uint32).reshape(16, 16), bits=32),
    "signed numbers of 16 bits": tiff(np.arange(256, dtype=np.int16).reshape(16, 16), bits=16, sample_format=2),
    "16 bits where 0 is white": tiff(np.arange(256, dtype=np.uint16).reshape(16, 16), bits=16, photometric=0),
}


@pytest.mark.parametrize("kind", WITHOUT_WHITE)
def test_pixels_whose_white_nobody_states_are_refused(tmp_path, kind):
    path = tmp_path / "depth.tif"
    path.write_bytes(WITHOUT_WHITE[kind])
    for look in (read_image, lambda path: image_size(path, whole=False)):
        with pytest.raises(
            VideoError, match=r"depth\.tif: (its pixels .* do not say which value is white|.*none of JPEG)"
        ):
            look(path)


@pytest.mark.parametrize("name", ["picture.jpg", "picture.png", "picture.eps"])
def test_a_drawing_that_ghostscript_would_run_is_no_image(tmp_path, name, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    witness = tmp_path / "gs"
    witness.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    witness.chmod(0o755)
    (tmp_path / name).write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(VideoError, match="it is none of JPEG, PNG, BMP, WEBP, GIF, TIFF"):
        read_image(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", ["ppm", "tga", "pcx", "ico", "jp2", "sgi", "pdf"])
def test_what_pillow_reads_besides_is_refused_whatever_its_name(tmp_path, suffix):
    path = saved(Image.fromarray(COLOUR), tmp_path / f"picture.{suffix}").rename(tmp_path / "picture.jpg")
    with pytest.raises(VideoError, match=r"picture\.jpg: not an image that can be read"):
        read_image(path)


def text_bomb() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "0" * (64 << 20), zip=True)
    out = io.BytesIO()
    Image.fromarray(COLOUR).save(out, "PNG", pnginfo=info)
    return out.getvalue()


BOMBS = {
    "compressed text of 64 MB": text_bomb(),
    "a colour profile of 64 MB": png(1, 1, 8, 0, b"\0\0", (b"iCCP", b"x\0\0" + zlib.compress(bytes(64 << 20)))),
    "a picture of 40,000 x 40,000": png(40_000, 40_000, 8, 2, b"\0"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_unfolds_is_refused(tmp_path, kind):
    (tmp_path / "bomb.png").write_bytes(BOMBS[kind])
    with pytest.raises(VideoError, match=r"bomb\.png: not an image that can be read, or a damaged one: "):
        read_image(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of tags
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "gif", "tif", "webp"])
def test_an_image_that_is_cut_or_changed_anywhere_is_read_or_refused_in_our_words(tmp_path, suffix):
    whole = saved(Image.fromarray(COLOUR), tmp_path / f"good.{suffix}").read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / f"bad.{suffix}"
    for number in range(150):
        content = bytearray(whole[: random.integers(1, len(whole))] if number % 3 == 0 else whole)
        for place in random.integers(0, min(len(content), 200), 3 if number % 3 else 0):
            content[place] = random.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(VideoError):  # and nothing else
            assert read_image(path).shape[2] == 3


@pytest.mark.parametrize("wrong", [TypeError("'float' object cannot be interpreted"), ValueError("tile outside image")])
def test_what_pillow_stumbles_over_past_the_header_is_the_files_fault(tmp_path, monkeypatch, wrong):
    def stumble(self):
        raise wrong

    monkeypatch.setattr(ImageFile.ImageFile, "load", stumble)
    with pytest.raises(VideoError, match=r"good\.bmp: not an image that can be read, or a damaged one: "):
        read_image(saved(Image.fromarray(COLOUR), tmp_path / "good.bmp"))


def test_a_wrong_call_of_pillow_is_not_told_as_the_files_fault(tmp_path, monkeypatch):
    path = saved(Image.fromarray(COLOUR), tmp_path / "good.png")
    monkeypatch.setattr(Image, "open", lambda file: None)  # a Pillow whose arguments have changed
    with pytest.raises(TypeError, match="formats"):
        read_image(path)


def test_an_image_that_may_not_be_read_is_told_as_that(tmp_path, monkeypatch):
    path = saved(Image.fromarray(COLOUR), tmp_path / "secret.png")

    def forbidden(*args, **settings):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", forbidden)  # a real one would not stop root
    with pytest.raises(UsageError, match=r"secret\.png: this image file cannot be opened: Permission denied"):
        read_image(path)


def test_an_image_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UsageError, match=r"pipe\.jpg: this is a pipe or a device"):
        read_image(tmp_path / "pipe.jpg")


SEGMENTS = protocol(clips=1, sampling="segments")
SPREAD = protocol(clips=3, sampling="spread")


@pytest.fixture
def thirty_images(tmp_path: Path) -> FrameList:
    """A list of thirty frames, each grey at the level of its number."""
    return write_frames(tmp_path, 30)


@pytest.mark.parametrize("case", [case for case in cases("ssv2", "charades") if not case.endswith("_1x1")])
def test_views_of_a_frame_list_are_the_originals_and_no_other_file_is_needed(case, media, tmp_path):
    facts, expected = golden_case(case)
    frames = take_apart(media / facts["video"], tmp_path, expected["frames"].flatten().tolist())
    rule, clip = how(facts)
    views = views_of(decode(frames, rule, clip), rule)
    assert np.array_equal(np.repeat(views.pts.numpy(), facts["num_crops"], axis=0), expected["frames"])
    assert value_differences(views, facts, expected).max() <= 1e-5


def test_segments_take_their_middle_frames(thirty_images):
    # four segments of 29 / 4 frames: borders 0, 7.25, 14.5, 21.75, 29, rounded 0, 7, 14, 22, 29
    decoded = decode(thirty_images, SEGMENTS, FOUR_FRAMES)
    assert decoded.frames[:, 0, 0, 0].tolist() == [3, 10, 18, 25]
    assert decoded.positions.tolist() == [[0, 1, 2, 3]]
    assert decoded.pts.tolist() == decoded.decode_positions.tolist() == [[3, 10, 18, 25]]


def test_a_frame_that_several_clips_use_is_read_once(thirty_images):
    # clips cover 29 frames and start at 0, 0.5 (even: 0) and 1
    decoded = decode(thirty_images, SPREAD, Clip(frames=8, sampling_rate=4))
    first, last = [0, 4, 8, 12, 16, 20, 24, 28], [1, 5, 9, 13, 17, 21, 25, 29]
    assert decoded.pts.tolist() == [first, first, last]
    assert decoded.frames[:, 0, 0, 0].tolist() == first + last


def test_a_short_list_repeats_its_last_frame(tmp_path):
    decoded = decode(write_frames(tmp_path, 3), SPREAD, FOUR_FRAMES)
    assert decoded.pts.tolist() == [[0, 2, 2, 2]] * 3
    assert len(decoded.frames) == 2


def test_a_missing_image_is_named_with_its_place_in_the_list(thirty_images):
    (thirty_images.folder / frame_name(10)).unlink()
    with pytest.raises(VideoError, match=r"000011\.png: no such image file; it is frame 11 of the 30 in its list"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_a_damaged_image_is_named(thirty_images):
    file = thirty_images.folder / frame_name(10)
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(VideoError, match=r"000011\.png: not an image that can be read, or a damaged one"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_an_empty_image_is_named(thirty_images):
    (thirty_images.folder / frame_name(10)).write_bytes(b"")
    with pytest.raises(VideoError, match=r"000011\.png: the file is empty"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_an_image_of_another_size_is_named(thirty_images):
    Image.fromarray(numbered(10, width=48, height=64)).save(thirty_images.folder / frame_name(10))
    with pytest.raises(VideoError, match=r"000011\.png: this frame is 48x64 pixels large, but 000004\.png .* 64x48"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_damage_to_an_image_that_no_clip_uses_goes_unseen(thirty_images):
    (thirty_images.folder / frame_name(11)).unlink()
    assert decode(thirty_images, SEGMENTS, FOUR_FRAMES).pts.tolist() == [[3, 10, 18, 25]]


def test_windows_of_time_cannot_be_taken_from_a_list(thirty_images):
    with pytest.raises(UsageError, match="proportional sampling needs a video file; a list of frames is none"):
        decode(thirty_images, protocol(), FOUR_FRAMES)


def test_spread_clips_are_at_least_two(thirty_images):
    with pytest.raises(
        UsageError, match=r"test: views\.clips is 1, and clips spread from the first frame to the last are at least 2"
    ):
        decode(thirty_images, protocol(clips=1, sampling="spread"), FOUR_FRAMES)
