"""Read still images: what a network that looks at images is given, or frames of a video taken apart into files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from videohub.data.containers import open_file
from videohub.data.samples import FrameList, StoredFile
from videohub.errors import UsageError, VideoError

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")  # by content; of Pillow's others some start programs
# Pillow's modes that it brings to RGB.
_EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_GREY_16 = {"I;16", "I;16L", "I;16B", "I;16N"}
_BITS_PER_SAMPLE, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1  # of TIFF
# What Pillow raises at a file that is damaged, or built to take much memory (text of a PNG, a giant picture).
_REFUSED = (OSError, EOFError, SyntaxError, ValueError, ArithmeticError, LookupError, Image.DecompressionBombError)
_BROKEN = (*_REFUSED, TypeError, RuntimeError, struct.error, zlib.error)  # past its header; that call has no arguments


def read_image(path: StoredFile) -> npt.NDArray[np.uint8]:
    """Return an image file as RGB (H, W, 3).

    Grey, palette and CMYK images become RGB; transparency is dropped, and what it hid is seen. Of 16 bits the upper 8
    are kept, as libpng and OpenCV do. Of several pictures in a file the first is taken; a tag that turns it is not
    obeyed.

    Pillow decodes it, as in the original's image tests; it is there because torchvision needs it (torchvision's own
    decoders are to be removed).

    Raises: UsageError if it is no file: absent, a folder, a pipe, or may not be read; VideoError if it is empty, no
        JPEG, PNG, BMP, WebP, GIF or TIFF, damaged, or has pixels that do not say how bright they are.
    """
    with _opened(path) as image:
        image.info.pop("transparency", None)  # else Pillow would look for a colour that stands for it
        return rgb_of(image, path)


def rgb_of(image: Image.Image, name: str | StoredFile) -> npt.NDArray[np.uint8]:
    """Return an image of Pillow's as RGB (H, W, 3), by the rules of `read_image`; `name` is for messages.

    Raises: VideoError if it is damaged, or has pixels that do not say how bright they are.
    """
    _check_levels(image, name)
    _load(image, name)
    if image.mode in _EIGHT_BITS:
        return np.array(image.convert("RGB"))
    grey = (np.asarray(image) >> 8).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def image_size(path: StoredFile, *, whole: bool) -> tuple[int, int]:
    """Return an image's width and height, in pixels, from its header, or (`whole`) once all of it is decoded.

    Raises: as `read_image`.
    """
    with _opened(path) as image:
        if whole:
            _load(image, path)
        return image.size


def read_listed(source: FrameList, indices: Iterable[int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the picture of each index into the list, RGB (H, W, 3). No other file is opened.

    Pillow decodes them. The original used OpenCV, which gives the same pixels for the JPEG files that FFmpeg extracts:
    both leave it to libjpeg-turbo with its default settings. They part where a file is cut short (an error here, grey
    below the cut there) or carries a tag that turns the picture (left alone here, as FFmpeg never writes one).

    Raises: VideoError if an image is missing, damaged, or not as large as the one before it.
    """
    names = source.names.split("\n")  # as texts: a film of AVA has 27,000
    first: Path | None = None
    shape: tuple[int, ...] = ()
    for index in indices:
        file = source.folder / names[index]
        try:
            picture = read_image(file)
        except UsageError as error:
            raise VideoError(f"{error}; it is frame {index + 1} of the {len(names)} in its list") from error
        if first is None:
            first, shape = file, picture.shape
        if picture.shape != shape:
            raise VideoError(
                f"{file}: this frame is {picture.shape[1]}x{picture.shape[0]} pixels large, but {first.name} of the "
                f"same video {shape[1]}x{shape[0]}; take the frames out of the video again"
            )
        yield picture


@contextmanager
def _opened(path: StoredFile) -> Iterator[Image.Image]:
    """Open an image whose pixels have a meaning here."""
    with open_file(path, "image") as file:
        try:
            image = Image.open(file, formats=FORMATS)
        except _REFUSED as error:
            raise VideoError(_refusal(path, error)) from error
        with image:
            _check_levels(image, path)
            yield image


def _check_levels(image: Image.Image, name: str | StoredFile) -> None:
    """Refuse pixels without a meaning here. Raises: VideoError."""
    if image.mode not in _EIGHT_BITS and not _is_grey_16(image):
        raise VideoError(
            f"{name}: its pixels ({image.format or 'in memory'}, mode {image.mode}) do not say which value is white; "
            "expected 8 bits a channel, or a file's grey of 16; convert it"
        )


def _load(image: Image.Image, path: str | StoredFile) -> None:
    """Decode an image."""
    try:
        image.load()
    except _BROKEN as error:
        raise VideoError(_refusal(path, error)) from error


def _is_grey_16(image: Image.Image) -> bool:
    """Tell whether an image is grey from 0, black, to 65535, white."""
    if image.format == "PNG":
        return image.mode in {*_GREY_16, "I"}  # "I" before Pillow 10
    tags = getattr(image, "tag_v2", {})
    encoding = tags.get(_BITS_PER_SAMPLE), tags.get(_PHOTOMETRIC)
    return image.mode in _GREY_16 and encoding == ((16,), _BLACK_IS_ZERO)


def _refusal(path: str | StoredFile, error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        reason = f"it is none of {', '.join(FORMATS)}, or in a form of them that Pillow does not know; convert it"
    elif isinstance(error, OSError) and error.errno is not None:  # the disk's, not Pillow's
        return f"{path}: cannot be read: {error.strerror}"
    else:
        reason = str(error) or type(error).__name__
    return f"{path}: not an image that can be read, or a damaged one: {reason}"
