"""What an HTTP answer says about a file, and what it gives away about its server."""

from __future__ import annotations

import email.utils
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from videohub.hub.parts import ETAG, Part

if TYPE_CHECKING:
    import requests

HEAD = 1024  # bytes that show whether a body is a page


def unread(answer: requests.Response, **_: Any) -> None:
    """Close a redirect before requests reads its body, which may have any size."""
    if answer.is_redirect:
        answer.close()


def is_the_rest(part: Part, answer: requests.Response, *, digest_known: bool) -> bool:
    """Tell whether an answer of 206 is what was asked for: the same file, from where the part ends to its end.

    Unless a digest will be compared, the answer has to vouch that it is the same: with the part's own strong ETag.
    """
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", answer.headers.get("content-range", "").strip())
    if found is None or is_encoded(answer) or int(found[1]) != part.size:
        return False
    total = part.note.total if found[3] == "*" else int(found[3])
    if total is None or int(found[2]) != total - 1 or part.note.total not in (None, total):
        return False  # without a total, nobody could tell that the rest is all of the rest
    if answer.headers.get("content-length", str(total - part.size)) != str(total - part.size):
        return False
    vouched = part.note.validator is not None and validator(answer) == part.note.validator
    return vouched or (digest_known and not has_changed(part, answer))


def has_changed(part: Part, answer: requests.Response) -> bool:
    """Tell whether an answer is of another file than the part, as far as the server marks its files."""
    mark = validator(answer)
    return part.note.validator is not None and mark is not None and mark != part.note.validator


def validator(answer: requests.Response) -> str | None:
    """Return a strong ETag, by which alone two answers are known to be of the same bytes, or None.

    A weak one, or a date in seconds, stays as it is while a file changes (RFC 9110, sections 8.8.1 and 13.1.5).
    """
    etag = answer.headers.get("etag", "").strip()
    return etag if re.fullmatch(ETAG, etag) else None


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


def leaves_https(answer: requests.Response) -> str | None:
    """Return where a redirect leads if anybody on the way there can change the file, and nobody on the way here."""
    if not answer.is_redirect or urlsplit(answer.url).scheme != "https":
        return None
    target = urljoin(answer.url, answer.headers["location"])
    return None if urlsplit(target).scheme == "https" else target


def left_https(answer: requests.Response) -> str | None:
    """Return the first step after https, of those that led to an answer, that was none; whatever came after it."""
    steps = [step.url for step in (*answer.history, answer)]
    secure = [urlsplit(step).scheme == "https" for step in steps]
    first = secure.index(True) if True in secure else len(steps)
    return next((step for step, is_secure in zip(steps[first:], secure[first:], strict=True) if not is_secure), None)


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
