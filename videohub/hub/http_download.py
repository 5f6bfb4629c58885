"""A file over HTTP: all of it into a part, resumed by range and retried, or only what its server says of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import requests
from tqdm import tqdm

from videohub.errors import CacheError, DownloadError, OfflineError
from videohub.hub import cache, http_request
from videohub.hub.http_request import Again, Request
from videohub.hub.partial_download import ETAG, Note, Part, boot
from videohub.hub.sources import CHECKPOINT, Purpose, Requested, Source, check, hf_endpoint, offline, without_user
from videohub.log import log

LARGEST = 64 << 30  # a file of unknown size ends somewhere


@dataclass
class Job(Request):
    """A file on its way: the part that came of it, and who is told that there is progress."""

    part: Part | None
    heartbeat: Callable[[], None]
    told_of_start_over: bool = False

    def received(self) -> int:
        """Return how many bytes of the file have come."""
        return self.part.size if self.part else 0

    def refusal(self, what: str, advice: str = "Nothing was kept.") -> DownloadError:
        """Remove what there is, and return the error for it."""
        self.drop()
        return self.error(what, advice)

    def start_over(self, why: str) -> None:
        """Drop what there is, and say so once."""
        if self.part and self.part.size and not self.told_of_start_over:
            self.told_of_start_over = True
            address = self.source.shown.partition("?")[0]  # of a video's, the query may be a credential
            log.warning("%s: %s %s; starting over", self.requested.name, address, why)
        self.drop()

    def drop(self) -> None:
        """Remove what there is."""
        if self.part:
            self.part.drop()
        self.part = None


def receive(requested: Requested, source: Source, *, begun: Part | None, heartbeat: Callable[[], None]) -> Part:
    """Return the whole file of an http(s) source as a part, with its digest.

    Args:
        begun: What an earlier call received, to go on from.
        heartbeat: Called with every block, for whom it may concern that there is progress.
    Raises: DownloadError; what was received stays for the next call, unless it was the wrong thing.
    """
    http_request.min_rate()  # refuses what makes no sense before anything is asked
    job = Job(requested, source, begun, heartbeat)
    with (
        http_request.session() as session,
        tqdm(
            total=requested.size, desc=requested.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None
        ) as bar,
    ):
        try:
            if begun and begun.whole and not _doubt(job, begun):  # its process ended before it could be published
                return begun
            return http_request.patiently(source.address, lambda: _ask(job, session, bar), received=job.received)
        except Again as trouble:
            size = _let_go(job)
            kept = f"{size} bytes are kept, and the next call goes on from there" if size else "Nothing was kept"
            raise job.error(
                f"could not be downloaded: {trouble}",
                f"{kept}. Try again later, or bring the file here and {requested.purpose.by_hand}.",
            ) from trouble
        except BaseException:
            _let_go(job)
            raise


def _let_go(job: Job) -> int:
    """Keep what the next call can go on with, remove what it cannot, and return how many bytes are kept."""
    if job.part and (job.part.size == 0 or not job.requested.purpose.resumed or _doubt(job, job.part)):
        job.drop()
    if job.part:
        job.part.close()
    return job.received()


def _ask(job: Job, session: requests.Session, bar: tqdm[Any]) -> Part:
    """Send one request and take what comes; the part is returned when it is whole."""
    headers = _range(job)
    with job.send(session, headers) as response:
        _check_status(job, response)
        part = _begin(job, response, asked="Range" in headers)
        _take(job, part, response, bar)
        return part


def _take(job: Job, part: Part, response: requests.Response, bar: tqdm[Any]) -> None:
    """Write the body to the part, and check that it was all there."""
    purpose, size = job.requested.purpose, job.requested.size
    expected = size if size is not None else part.note.total
    largest = LARGEST if purpose.largest is None else purpose.largest
    if expected is not None and purpose.largest is not None and expected > largest:
        raise job.refusal(f"has {expected} bytes, expected a {purpose.what} of at most {largest}")
    cache.check_room((expected or 0) - part.size)
    bar.total = expected
    bar.n = part.size
    bar.refresh()
    for block in http_request.blocks(response, first=part.size == 0):
        if part.size == 0 and http_request.is_page(block):
            via = f"was redirected to {without_user(response.url)}, " if response.history else "gave "
            login = "; perhaps it asks for a log-in" if response.history else ""
            raise job.refusal(
                f"{via}a web page and no {purpose.what}{login}",
                f"Nothing was kept. Open the address in a browser, bring the file here and {purpose.by_hand}.",
            )
        if part.pieced and expected is not None and part.size + len(block) > expected:
            job.start_over("sent more than the rest it was asked for")
            raise Again("the server sent more than the rest it was asked for")
        if part.size + len(block) > (largest if expected is None else expected):
            raise job.refusal(f"gave more than the {expected or largest} bytes that were expected")
        _write(job, part, block, expected)
        bar.update(len(block))
        job.heartbeat()
    length = job.announced(response)
    arrived = response.raw.tell()  # on the wire, before any decoding
    if length is not None and arrived != length:
        raise Again(f"gave {arrived} bytes, expected {length}")
    if part.size == 0:
        raise job.refusal(f"gave 0 bytes, expected {expected or 'more'}", "Nothing was kept; try again.")
    if expected is not None and part.size < expected and part.note.encoded:
        raise job.refusal(f"gave {part.size} bytes after unpacking, expected {expected}")
    if expected is not None and part.size < expected:
        raise Again(f"gave {part.size} bytes, expected {expected}")


def _write(job: Job, part: Part, block: bytes, expected: int | None) -> None:
    """Append a block; a body of unknown length may not take the disk's last, and what came of it goes if it does."""
    try:
        with cache.at_work(f"{job.requested.name}: the file cannot be kept", needed=expected and expected - part.size):
            if expected is None:
                cache.check_reserve(job.requested.name, part.size, len(block))
            part.write(block)
    except CacheError:
        if expected is None:
            job.drop()
        raise


def _range(job: Job) -> dict[str, str]:
    """Return the headers that ask for the rest of a part, if anything can vouch that it is the same file's."""
    part = job.part
    if part is None or part.size == 0:
        return {}
    if doubt := _doubt(job, part):
        job.start_over(doubt)
        return {}
    condition = {"If-Range": part.note.validator} if part.note.validator else {}
    return {"Range": f"bytes={part.size}-", **condition}


def _doubt(job: Job, part: Part) -> str | None:
    """Return why a part cannot be gone on with; a digest that will be compared takes most doubts away."""
    if part.note.encoded:
        return "was compressed on its way and broke off"
    if job.digest_known:
        return None
    if part.note.validator is None:
        return "gives no strong ETag to go on by, and its digest is not known"
    if part.note.boot != boot():
        return "was begun on another machine or before this one was started, and its digest is not known"
    return None


def _check_status(job: Job, response: requests.Response) -> None:
    code = response.status_code
    if code == 416:
        job.start_over("has no such range")
        raise Again("the server has no such range (416)")
    if code in http_request.RETRIED:
        raise Again(f"{code} {response.reason}", wait=http_request.retry_after(response))
    if code not in (200, 206):
        advice = "It is gone or was never there." if code in (404, 410) else ""
        advice = "The publisher demands a log-in or refuses this machine." if code in (401, 403) else advice
        raise job.error(
            f"could not be downloaded: {code} {response.reason}",
            f"{advice} Bring the file here by hand and {job.requested.purpose.by_hand}.".strip(),
        )
    job.check_way(response)


def _begin(job: Job, response: requests.Response, *, asked: bool) -> Part:
    """Return the part that this answer's body belongs to: the one there is, or a new one."""
    part = job.part
    if response.status_code == 206:
        if asked and part and _is_the_rest(part, response, digest_known=job.digest_known):
            part.pieced = True
            return part
        what = "sent another range than it was asked for, or one without the strong ETag that its beginning had"
        job.start_over(what)
        raise Again(f"the server {what}")
    if part:
        changed = _has_changed(part, response)
        job.start_over("has changed meanwhile" if changed else "cannot resume downloads")
    encoded = http_request.is_encoded(response)
    if encoded and response.headers["content-encoding"].strip().lower() not in ("gzip", "x-gzip"):
        raise job.error(f"sends {response.headers['content-encoding']!r} although plain bytes were asked for")
    total = None if encoded else job.announced(response)
    if (size := job.requested.size) is not None and total is not None and total != size:
        raise job.error(f"has {total} bytes, expected {size}", "Nothing was kept. The registry knows another file.")
    validator = _validator(response)
    job.part = Part(Note(job.requested.url, job.source.address, validator, total, encoded, boot()))
    return job.part


def _is_the_rest(part: Part, response: requests.Response, *, digest_known: bool) -> bool:
    """Tell whether a response of 206 is what was asked for: the same file, from where the part ends to its end.

    Unless a digest will be compared, the response has to vouch that it is the same: with the part's own strong ETag.
    """
    match = re.fullmatch(
        r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", response.headers.get("content-range", "").strip()
    )
    if match is None or http_request.is_encoded(response) or int(match[1]) != part.size:
        return False
    total = part.note.total if match[3] == "*" else int(match[3])
    if total is None or int(match[2]) != total - 1 or part.note.total not in (None, total):
        return False  # without a total, nobody could tell that the rest is all of the rest
    if response.headers.get("content-length", str(total - part.size)) != str(total - part.size):
        return False
    vouched = part.note.validator is not None and _validator(response) == part.note.validator
    return vouched or (digest_known and not _has_changed(part, response))


def _has_changed(part: Part, response: requests.Response) -> bool:
    """Tell whether a response is of another file than the part, as far as the server marks its files."""
    mark = _validator(response)
    return part.note.validator is not None and mark is not None and mark != part.note.validator


def _validator(response: requests.Response) -> str | None:
    """Return a strong ETag, by which alone two responses are known to be of the same bytes, or None.

    A weak one, or a date in seconds, stays as it is while a file changes (RFC 9110, sections 8.8.1 and 13.1.5).
    """
    etag = response.headers.get("etag", "").strip()
    return etag if re.fullmatch(ETAG, etag) else None


# --- what a server says, without sending the file ---------------------------------------------------------------------

_FIRST = {"Range": f"bytes=0-{http_request.HEAD - 1}"}


@dataclass(frozen=True)
class Reply:
    """What came back: how it was asked for, HTTP's status, and size and ETag of the file as the server has them."""

    method: Literal["HEAD", "GET"]
    status: int
    reason: str  # the status in the server's words
    size: int | None
    etag: str | None
    address: str  # where redirects led
    is_page: bool = False  # for people, and no file

    @property
    def is_there(self) -> bool:
        """Whether there is a file."""
        return self.status in (200, 206) and not self.is_page

    @property
    def is_gone(self) -> bool:
        """Whether the server says that there is none, rather than that it does not hand it out now."""
        return self.status in (404, 410)


def ask(url: str, *, name: str, sha256: str | None = None, purpose: Purpose = CHECKPOINT) -> Reply:
    """Return what the server at an http(s) or hf address says, after as many attempts as a download has.

    It is asked with HEAD, and for the first bytes where that gives no size, no file or no answer: some hosts answer 404
    to HEAD, and some hang. Of an hf address the server is asked also where huggingface_hub's cache has the file.

    Args:
        sha256: The digest of the file, if it is known: then a way that leaves https does not matter.
    Raises: DownloadError if there is no answer; OfflineError if connections are forbidden.
    """
    if variable := offline():
        raise OfflineError(f"{name}: {url} cannot be asked, for {variable} forbids connections")
    source = Source(url, "publisher")
    check(source, name=name, purpose=purpose)
    if source.scheme == "hf":
        source = hf_endpoint(source)
    request = Request(Requested(name, url, sha256, purpose=purpose), source)
    with http_request.session() as session:
        with suppress(Again):
            reply = _once(request, session, "HEAD")
            if reply.is_there and reply.size:  # 0 is what some state for whatever they make while they send it
                return reply
        try:
            return http_request.patiently(source.address, lambda: _once(request, session, "GET"))
        except Again as trouble:
            raise request.error(f"gave no answer: {trouble}", "Try again later.") from trouble


def _once(request: Request, session: requests.Session, method: Literal["HEAD", "GET"]) -> Reply:
    """Send one request and read no more of its body than shows whether it is a page."""
    with request.send(session, _FIRST if method == "GET" else {}, method=method) as response:
        if response.status_code in http_request.RETRIED and method == "GET":
            raise Again(f"{response.status_code} {response.reason}", wait=http_request.retry_after(response))
        request.check_way(response)
        if method == "GET" and response.status_code in (200, 206):
            is_page = http_request.is_page(_beginning(response))
        else:
            is_page = response.headers.get("content-type", "").strip().lower().startswith("text/html")
        return Reply(
            method=method,
            status=response.status_code,
            reason=response.reason,
            size=_size(request, response),
            etag=response.headers.get("etag"),
            address=without_user(response.url),
            is_page=is_page,
        )


def _beginning(response: requests.Response) -> bytes:
    """Return the first bytes of a body, enough to show whether it is a page. Raises: Again if it breaks off before."""
    head = b""
    try:
        for block in http_request.blocks(response, first=False):
            head += block
            if len(head) >= http_request.HEAD:
                break
    except Again:  # the first bytes of what was compressed end too early, as they must
        if not (response.status_code == 206 and http_request.is_encoded(response)):
            raise
    return head


def _size(request: Request, response: requests.Response) -> int | None:
    """Return the size of the whole file, None if the server does not state it, or that of something else."""
    ranges = response.headers.get("content-range", "").strip()
    if response.status_code == 416 and ranges == "bytes */0":  # of no bytes, there are no first ones
        return 0
    if response.status_code not in (200, 206) or http_request.is_encoded(response):
        return None
    if response.status_code == 206:
        total = re.fullmatch(r"bytes 0-\d{1,18}/(\d{1,18})", ranges)
        return int(total[1]) if total else None
    return request.announced(response)
