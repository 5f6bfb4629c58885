"""One file over HTTP into a part: resumed by range, retried with growing pauses, refused if it is a web page."""

from __future__ import annotations

import random
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from tqdm import tqdm

from videohub.errors import CacheError, DownloadError
from videohub.hub import cache, http_response
from videohub.hub.partial_download import Note, Part, boot
from videohub.log import log

if TYPE_CHECKING:
    from videohub.hub.download import Requested
    from videohub.hub.sources import Source

CONNECT_S, READ_S = 10.0, 60.0
ATTEMPTS = 5  # in a row, without a byte of progress
PAUSE_S = 1.0  # before the first retry; then 2, 4, 8 times as long, give or take half
LONGEST_PAUSE_S = 120.0  # a server that asks for more patience is left for another day
RETRIED = {408, 429, 500, 502, 503, 504}
LARGEST = 64 << 30  # a file of unknown size ends somewhere
_BLOCK = 1 << 20


class Again(Exception):
    """Something went wrong that a second request may mend."""

    def __init__(self, reason: str, *, wait: float | None = None, slow: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.slow = slow  # what came so slowly is no progress


class Job:
    """A file on its way, and what was learnt of its server."""

    def __init__(self, requested: Requested, source: Source, begun: Part | None, heartbeat: Callable[[], None]) -> None:
        self.file, self.name, self.size = requested.url, requested.name, requested.size
        self.purpose = requested.purpose
        self.url, self.headers = source.address, source.headers
        self.digest_known = requested.digest is not None  # then a part may be resumed that the server cannot vouch for
        self.part = begun
        self.heartbeat = heartbeat
        self.told_of_start_over = False

    def error(self, what: str, advice: str = "") -> DownloadError:
        """Return the error for what went wrong, with what to do."""
        advice = advice or f"Bring the file here by hand and {self.purpose.by_hand}."
        return DownloadError(f"{self.name}: {self.url} {what}\n  {advice}")

    def refusal(self, what: str, advice: str = "Nothing was kept.") -> DownloadError:
        """Remove what there is, and return the error for it."""
        self.drop()
        return self.error(what, advice)

    def left_https(self, where: str) -> DownloadError:
        """Return the error for a way on which the file could have been changed."""
        return self.error(
            f"leads from https to {where}, where anybody could have changed the file",
            self.purpose.trusted,
        )

    def check_step(self, response: requests.Response, **_: Any) -> None:
        """Refuse a redirect before it is followed. Raises: DownloadError."""
        if not self.digest_known and (where := http_response.leaves_https(response)):
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


def take(job: Job, part: Part, response: requests.Response, bar: tqdm[Any]) -> None:
    """Write the body to the part, and check that it was all there."""
    expected = job.size if job.size is not None else part.note.total
    largest = LARGEST if job.purpose.largest is None else job.purpose.largest
    if expected is not None and job.purpose.largest is not None and expected > largest:
        raise job.refusal(f"has {expected} bytes, expected a {job.purpose.what} of at most {largest}")
    cache.check_room((expected or 0) - part.size)
    bar.total = expected
    bar.n = part.size
    bar.refresh()
    for block in blocks(response, first=part.size == 0):
        if part.size == 0 and http_response.is_page(block):
            via = f"was redirected to {response.url}, " if response.history else "gave "
            login = "; perhaps it asks for a log-in" if response.history else ""
            raise job.refusal(
                f"{via}a web page and no {job.purpose.what}{login}",
                "Nothing was kept. Open the address in a browser, bring the file here and " + job.purpose.by_hand + ".",
            )
        if part.pieced and expected is not None and part.size + len(block) > expected:
            job.start_over("sent more than the rest it was asked for")
            raise Again("the server sent more than the rest it was asked for")
        if part.size + len(block) > (largest if expected is None else expected):
            raise job.refusal(f"gave more than the {expected or largest} bytes that were expected")
        _write(job, part, block, expected)
        bar.update(len(block))
        job.heartbeat()
    length = announced(job, response)
    arrived = response.raw.tell()  # on the wire, before any decoding
    if length is not None and arrived != length:
        raise Again(f"gave {arrived} bytes, expected {length}")
    if part.size == 0:
        raise job.refusal(f"gave 0 bytes, expected {expected or 'more'}", "Nothing was kept; try again.")
    if expected is not None and part.size < expected and part.note.encoded:
        raise job.refusal(f"gave {part.size} bytes after unpacking, expected {expected}")
    if expected is not None and part.size < expected:
        raise Again(f"gave {part.size} bytes, expected {expected}")


def announced(job: Job, response: requests.Response) -> int | None:
    """Return the length that the server announces, None if it does not."""
    text = response.headers.get("content-length")
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text.strip()) is None:  # the library beneath may have read it as another number
        raise job.error(f"announces a body of {text[:40]!r} bytes", "Nothing was kept; its server is out of order.")
    return int(text)


def _write(job: Job, part: Part, block: bytes, expected: int | None) -> None:
    """Append a block; a body of unknown length may not take the disk's last, and what came of it goes if it does."""
    try:
        with cache.at_work(f"{job.name}: the file cannot be kept", needed=expected and expected - part.size):
            if expected is None:
                cache.check_reserve(job.name, part.size, len(block))
            part.write(block)
    except CacheError:
        if expected is None:
            job.drop()
        raise


def blocks(response: requests.Response, *, first: bool) -> Iterator[bytes]:
    """Yield the body as it arrives; larger reads would lose what came before a cut."""
    wire = iter(lambda: response.raw.read1(_BLOCK, decode_content=False), b"")
    try:
        plain = http_response.unzipped(wire, _BLOCK) if http_response.is_encoded(response) else wire
        yield from http_response.gathered(plain) if first else plain
    except (urllib3.exceptions.HTTPError, zlib.error, EOFError) as error:
        slow = http_response.slowness(error)
        raise Again(str(slow or error), slow=slow is not None) from error


def receive(requested: Requested, source: Source, *, begun: Part | None, heartbeat: Callable[[], None]) -> Part:
    """Return the whole file of an http(s) source as a part, with its digest.

    Args:
        begun: What an earlier call received, to go on from.
        heartbeat: Called with every block, for whom it may concern that there is progress.
    Raises: DownloadError; what was received stays for the next call, unless it was the wrong thing.
    """
    http_response.min_rate()  # refuses what makes no sense before anything is asked
    job = Job(requested, source, begun, heartbeat)
    with (
        http_response.session() as session,
        tqdm(total=job.size, desc=job.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None) as bar,
    ):
        try:
            return _until_whole(job, session, bar)
        except BaseException:
            _let_go(job)
            raise


def _until_whole(job: Job, session: requests.Session, bar: tqdm[Any]) -> Part:
    """Ask again and again, as long as there is hope, and return the whole file."""
    if job.part and job.part.whole and not _doubt(job, job.part):  # its process ended before it could be published
        return job.part
    failed, furthest = 0, job.part.size if job.part else 0
    while True:
        try:
            return _ask(job, session, bar)
        except Again as trouble:
            now = job.part.size if job.part else 0
            failed = 1 if now > furthest and not trouble.slow else failed + 1  # starting over is no progress
            furthest = max(furthest, now)
            pause = max(PAUSE_S * 2 ** (failed - 1) * random.uniform(0.5, 1.5), trouble.wait or 0)
            patience = f"; it asks to wait {trouble.wait:.0f} s" if trouble.wait else ""
            if failed >= ATTEMPTS or (trouble.wait or 0) > LONGEST_PAUSE_S:
                size = _let_go(job)
                kept = f"{size} bytes are kept, and the next call goes on from there" if size else "Nothing was kept"
                raise job.error(
                    f"could not be downloaded: {trouble}{patience}",
                    f"{kept}. Try again later, or bring the file here and {job.purpose.by_hand}.",
                ) from trouble
            time.sleep(min(pause, LONGEST_PAUSE_S))


def _let_go(job: Job) -> int:
    """Keep what the next call can go on with, remove what it cannot, and return how many bytes are kept."""
    if job.part and (job.part.size == 0 or not job.purpose.resumed or _doubt(job, job.part)):
        job.drop()
    if job.part is None:
        return 0
    job.part.close()
    return job.part.size


def _ask(job: Job, session: requests.Session, bar: tqdm[Any]) -> Part:
    """Send one request and take what comes; the part is returned when it is whole."""
    headers = {**job.headers, "Accept-Encoding": "identity", **_range(job)}
    with send(job, session, headers) as response:
        _check_status(job, response)
        part = _begin(job, response, asked="Range" in headers)
        take(job, part, response, bar)
        return part


def send(job: Job, session: requests.Session, headers: Mapping[str, str], *, method: str = "GET") -> requests.Response:
    """Return the response, its body still to come."""
    try:
        return session.request(
            method,
            job.url,
            stream=True,
            timeout=(CONNECT_S, READ_S),
            headers=headers,
            hooks={"response": [http_response.unread, job.check_step]},
            auth=(lambda request: request) if "Authorization" in headers else None,  # a netrc would replace it
        )
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
        raise job.error(
            f"could not be downloaded: {error}", "Look at HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE."
        ) from error
    except requests.Timeout as error:
        slow = http_response.slowness(error)
        raise Again(f"no answer in time ({slow or error})", slow=slow is not None) from error
    except requests.ConnectionError as error:
        if why := http_response.unreachable(error):
            raise job.error(
                f"could not be downloaded: {why}",
                f"Check the connection, or bring the file here and {job.purpose.by_hand}.",
            ) from error
        raise Again(str(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        # a redirect to an address that makes no sense leaves requests as a plain ValueError, a bundle of authorities
        # that is not there as a plain OSError
        raise job.error(f"could not be downloaded: {error}") from error


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
    if code in RETRIED:
        raise Again(f"{code} {response.reason}", wait=http_response.retry_after(response))
    if code not in (200, 206):
        advice = "It is gone or was never there." if code in (404, 410) else ""
        advice = "The publisher demands a log-in or refuses this machine." if code in (401, 403) else advice
        raise job.error(
            f"could not be downloaded: {code} {response.reason}",
            f"{advice} Bring the file here by hand and {job.purpose.by_hand}.".strip(),
        )
    if not job.digest_known and (step := http_response.left_https(response)):
        raise job.left_https(step)


def _begin(job: Job, response: requests.Response, *, asked: bool) -> Part:
    """Return the part that this answer's body belongs to: the one there is, or a new one."""
    part = job.part
    if response.status_code == 206:
        if asked and part and http_response.is_the_rest(part, response, digest_known=job.digest_known):
            part.pieced = True
            return part
        what = "sent another range than it was asked for, or one without the strong ETag that its beginning had"
        job.start_over(what)
        raise Again(f"the server {what}")
    if part:
        changed = http_response.has_changed(part, response)
        job.start_over("has changed meanwhile" if changed else "cannot resume downloads")
    encoded = http_response.is_encoded(response)
    if encoded and not http_response.is_gzip(response):
        raise job.error(f"sends {response.headers['content-encoding']!r} although plain bytes were asked for")
    total = None if encoded else announced(job, response)
    if job.size is not None and total is not None and total != job.size:
        raise job.error(f"has {total} bytes, expected {job.size}", "Nothing was kept. The registry knows another file.")
    job.part = Part(Note(job.file, job.url, http_response.validator(response), total, encoded, boot()))
    return job.part
