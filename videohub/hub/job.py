"""A download under way: what is fetched for whom, and how the body of an answer gets into its part."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videohub.errors import CacheError, DownloadError
from videohub.hub import answers, cache
from videohub.hub.parts import Part
from videohub.log import log

if TYPE_CHECKING:
    import requests
    from tqdm import tqdm

LARGEST = 64 << 30  # a file of unknown size ends somewhere
_BLOCK = 1 << 20


class Again(Exception):
    """Something went wrong that a second request may mend."""

    def __init__(self, reason: str, *, wait: float | None = None, slow: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.slow = slow  # what came so slowly is no progress


@dataclass(frozen=True)
class Request:
    """What to fetch, for whom, and what is known of it."""

    file: str  # the record's URL
    url: str  # where to get it
    headers: Mapping[str, str]
    name: str  # of the record, for messages and the progress bar
    size: int | None
    digest_known: bool  # it will be compared: then a part may be resumed that the server cannot vouch for


class Job:
    """A file on its way, and what was learnt of its server."""

    def __init__(self, request: Request, begun: Part | None, sign: Callable[[], None]) -> None:
        self.file, self.url, self.name, self.size = request.file, request.url, request.name, request.size
        self.headers, self.digest_known = request.headers, request.digest_known
        self.part = begun
        self.sign = sign
        self.told_of_start_over = False

    def error(self, what: str, advice: str = "") -> DownloadError:
        """Return the error for what went wrong, with what to do."""
        advice = advice or "Bring the file here by hand and pass it with --checkpoint."
        return DownloadError(f"{self.name}: {self.url} {what}\n  {advice}")

    def left_https(self, where: str) -> DownloadError:
        """Return the error for a way on which the file could have been changed."""
        return self.error(
            f"leads from https to {where}, where anybody could have changed the file",
            "State its sha256 in the record, and the way no longer matters.",
        )

    def check_step(self, answer: requests.Response, **_: Any) -> None:
        """Refuse a redirect before it is followed. Raises: DownloadError."""
        if not self.digest_known and (where := answers.leaves_https(answer)):
            raise self.left_https(where)

    def start_over(self, why: str) -> None:
        """Drop what there is, and say so once."""
        if self.part and self.part.size and not self.told_of_start_over:
            self.told_of_start_over = True
            log.warning("%s: %s %s; starting over", self.name, self.url, why)
        self.drop()

    def drop(self) -> None:
        """Remove what there is."""
        if self.part:
            self.part.drop()
        self.part = None


def take(job: Job, part: Part, answer: requests.Response, bar: tqdm[Any]) -> None:
    """Write the body to the part, and check that it was all there."""
    wanted = job.size if job.size is not None else part.note.total
    cache.check_room((wanted or 0) - part.size)
    bar.total = wanted
    bar.n = part.size
    bar.refresh()
    for block in _blocks(answer, first=part.size == 0):
        if part.size == 0 and answers.is_page(block):
            job.drop()
            via = f"was redirected to {answer.url}, " if answer.history else "gave "
            login = "; perhaps it asks for a log-in" if answer.history else ""
            raise job.error(f"{via}a web page and no checkpoint{login}", "Nothing was kept. Open the address in a "
                            "browser, bring the file here and pass it with --checkpoint.")  # fmt: skip
        if part.pieced and wanted is not None and part.size + len(block) > wanted:
            job.start_over("sent more than the rest it was asked for")
            raise Again("the server sent more than the rest it was asked for")
        if part.size + len(block) > (LARGEST if wanted is None else wanted):
            job.drop()
            raise job.error(f"gave more than the {wanted or LARGEST} bytes that were expected", "Nothing was kept.")
        _write(job, part, block, wanted)
        bar.update(len(block))
        job.sign()
    length = announced(job, answer)
    arrived = answer.raw.tell()  # on the wire, before any decoding
    if length is not None and arrived != length:
        raise Again(f"gave {arrived} bytes, expected {length}")
    if part.size == 0:
        job.drop()
        raise job.error(f"gave 0 bytes, expected {wanted or 'more'}", "Nothing was kept; try again.")
    if wanted is not None and part.size < wanted and part.note.encoded:
        job.drop()
        raise job.error(f"gave {part.size} bytes after unpacking, expected {wanted}", "Nothing was kept.")
    if wanted is not None and part.size < wanted:
        raise Again(f"gave {part.size} bytes, expected {wanted}")


def announced(job: Job, answer: requests.Response) -> int | None:
    """Return the length that the server announces, None if it does not."""
    text = answer.headers.get("content-length")
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text.strip()) is None:  # the library beneath may have read it as another number
        raise job.error(f"announces a body of {text[:40]!r} bytes", "Nothing was kept; its server is out of order.")
    return int(text)


def _write(job: Job, part: Part, block: bytes, wanted: int | None) -> None:
    """Append a block; a body of unknown length may not take the disk's last, and what came of it goes if it does."""
    try:
        with cache.at_work(f"{job.name}: the file cannot be kept", needed=wanted and wanted - part.size):
            if wanted is None:
                cache.check_reserve(job.name, part.size, len(block))
            part.write(block)
    except CacheError:
        if wanted is None:
            job.drop()
        raise


def _blocks(answer: requests.Response, *, first: bool) -> Iterator[bytes]:
    """Yield the body as it arrives; larger reads would lose what came before a cut."""
    import urllib3

    from videohub.hub.pace import slowness

    wire = iter(lambda: answer.raw.read1(_BLOCK, decode_content=False), b"")
    try:
        plain = answers.unzipped(wire, _BLOCK) if answers.is_encoded(answer) else wire
        yield from answers.gathered(plain) if first else plain
    except (urllib3.exceptions.HTTPError, zlib.error, EOFError) as error:
        slow = slowness(error)
        raise Again(str(slow or error), slow=slow is not None) from error
