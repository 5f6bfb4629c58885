"""Tell what this FFmpeg cannot read from what is damaged."""

from __future__ import annotations

from pathlib import Path

import av

_LACKS = (
    av.error.PatchWelcomeError,
    av.error.NotImplementedError,
    av.error.DecoderNotFoundError,
    av.error.DemuxerNotFoundError,
    av.error.ExperimentalError,
)


def unsupported(path: Path, error: av.FFmpegError, decoded: int) -> str | None:
    """Return in words that a file holds what this FFmpeg lacks, or None if that is not why it failed.

    Args:
        path: The file.
        error: How opening or decoding it ended.
        decoded: Frames that came out before.
    """
    if not decoded:
        with path.open("rb") as file:
            if name := lacking_format(file.read(64)):
                return f"this FFmpeg cannot read {name}; convert it"
    if isinstance(error, _LACKS):
        return f"this FFmpeg cannot read its pictures ({error.strerror}); convert it"
    return None


def lacking_format(head: bytes) -> str | None:
    """Return the name of a format that not every FFmpeg reads, and reports as damage, by a file's first 32 bytes."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20] & 0b10:
        return "animated WebP"
    if head[:2] == b"\xff\x0a" or head[:12] == b"\0\0\0\x0cJXL \r\n\x87\n":
        return "JPEG XL"
    if head[4:8] == b"ftyp" and any(brand in head[8:32] for brand in (b"avif", b"avis")):
        return "AVIF"
    if head[4:8] == b"ftyp" and any(brand in head[8:32] for brand in (b"heic", b"heix", b"hevc", b"msf1", b"mif1")):
        return "HEIF"
    if head[:3] in (b"FWS", b"CWS", b"ZWS"):
        return "Flash (SWF)"
    return None
