"""What an HTTP answer says about a file, and what it gives away about its server."""

from __future__ import annotations

import email.utils
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from videohub.hub.parts import Part

if TYPE_CHECKING:
    import requests

HEAD = 1024  # bytes that show whether a body is a page


def unread(answer: requests.Response, **_: Any) -> None:
    """Close a redirect before requests reads its body, which may have any size."""
    if answer.is_redirect:
        answer.close()


def is_the_rest(part: Part, answer: requests.Response) -> bool:
    """Tell whether an answer of 206 is what was asked for: the same file, from where the part ends to its end."""
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("content-range", "").strip())
    if found is None or is_encoded(answer) or int(found[1]) != part.size:
        return False
    total = part.note.total if found[3] == "*" else int(found[3])
    if total is None or int(found[2]) != total - 1 or part.note.total not in (None, total):
        return False  # without a total, nobody could tell that the rest is all of the rest
    if answer.headers.get("content-length", str(total - part.size)) != str(total - part.size):
        return False
    return not has_changed(part, answer)


def has_changed(part: Part, answer: requests.Response) -> bool:
    """Tell whether an answer is of another file than the part, as far as the server marks its files."""
    mark = validator(answer)
    return part.note.validator is not None and mark is not None and mark != part.note.validator


def validator(answer: requests.Response) -> str | None:
    """Return what `If-Range` may go by: a strong ETag, else a date."""
    etag = answer.headers.get("etag", "")
    return etag if etag.startswith('"') else answer.headers.get("last-modified")


def is_encoded(answer: requests.Response) -> bool:
    return answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def is_gzip(answer: requests.Response) -> bool:
    return answer.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip")


def unzipped(blocks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield what gzip has packed, at most `most` bytes at a time.

    Raises: EOFError if the end is missing, zlib.error if it is damaged.
    """
    decoder = zlib.decompressobj(wbits=31)
    for block in blocks:
        while block:
            if decoder.eof:  # gzip files may follow each other
                decoder = zlib.decompressobj(wbits=31)
            if plain := decoder.decompress(block, most):
                yield plain
            block = decoder.unconsumed_tail or decoder.unused_data
    if not decoder.eof:
        raise EOFError("the compressed body ends too early")


def retry_after(answer: requests.Response) -> float | None:
    """Return the seconds that a busy server asks for, as a number or as a date."""
    text = answer.headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,18}", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def is_unreachable(error: requests.ConnectionError) -> bool:
    """Tell a host that is not there, or does not listen, from a connection that broke."""
    from urllib3.exceptions import NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def left_https(answer: requests.Response) -> bool:
    """Tell whether redirects led from https to where anybody on the way can change the file."""
    schemes = [urlsplit(step.url).scheme for step in (*answer.history, answer)]
    return "https" in schemes and schemes[-1] != "https"


def gathered(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the blocks, the first of them large enough to show what it is of."""
    head, blocks = b"", iter(blocks)
    while len(head) < HEAD and (block := next(blocks, b"")):
        head += block
    if head:
        yield head
    yield from blocks


def is_page(block: bytes) -> bool:
    """Tell whether a body begins as HTML or XML; no container of checkpoints does.

    The length at the head of a safetensors file may begin with the byte of "<", but then zeros follow.
    """
    head = block[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<")):
        return True
    return re.match(rb"<[A-Za-z!?]", head) is not None and b"\0" not in head[:16]
