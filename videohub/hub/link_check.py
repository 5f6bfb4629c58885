"""What a server says of the file at an address, without sending it."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import requests

from videohub.errors import DownloadError, OfflineError
from videohub.hub import http_download, http_response, pins
from videohub.hub.download import Purpose, Requested
from videohub.hub.http_download import Again, Job
from videohub.hub.sources import Source, check, hf_endpoint, offline, resolve_hf, sources

_FIRST = {"Range": f"bytes=0-{http_response.HEAD - 1}"}


@dataclass(frozen=True)
class Answer:
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


def has(url: str, *, name: str, purpose: Purpose) -> bool:
    """Tell whether a file is to be had: it was seen here, or a mirror, huggingface_hub's cache or a server has it.

    Where connections are forbidden, what is not here is not to be had.
    Raises: DownloadError if it is kept from us, or if there is no answer.
    """
    if pins.pin_of(url) is not None:
        return True
    forbidden, refused = offline(), list[str]()
    for candidate in sources(url):
        check(candidate, name=name)
        source = resolve_hf(candidate) if candidate.scheme == "hf" else candidate
        if source.scheme == "file":
            if source.path.is_file():
                return True
        elif not forbidden:
            answer = ask(candidate.address, name=name, purpose=purpose)
            if answer.is_there:
                return True
            if not answer.is_gone:
                refused.append(f"{answer.address} answers {answer.status} {answer.reason}")
    if refused:
        raise DownloadError(
            f"{name}: {'; '.join(refused)}\n"
            "  It is private, gated or not there. Log in with `hf auth login`, or set HF_TOKEN."
        )
    return False


def ask(url: str, *, name: str, sha256: str | None = None, purpose: Purpose | None = None) -> Answer:
    """Return what the server at an http(s) or hf address says, after as many attempts as a download has.

    It is asked with HEAD, and for the first bytes where that gives no size, no file or no answer: some hosts answer 404
    to HEAD, and some hang. Of an hf address the server is asked also where huggingface_hub's cache has the file.

    Args:
        url: The address.
        name: The record's name, for messages.
        sha256: The digest of the file, if it is known: then a way that leaves https does not matter.
        purpose: What the file is for, in the words of messages; None: a checkpoint.
    Raises: DownloadError if there is no answer; OfflineError if connections are forbidden.
    """
    if variable := offline():
        raise OfflineError(f"{name}: {url} cannot be asked, for {variable} forbids connections")
    source = Source(url, "publisher")
    check(source, name=name)
    if source.scheme == "hf":
        source = hf_endpoint(source)
    job = Job(Requested(name, url, sha256, None, None, purpose or Purpose()), source, None, lambda: None)
    with http_response.session() as session:
        with suppress(Again):
            answer = _once(job, session, "HEAD")
            if answer.is_there and answer.size:  # 0 is what some state for whatever they make while they send it
                return answer
        return _patiently(job, session)


def _patiently(job: Job, session: requests.Session) -> Answer:
    """Ask for the first bytes, again while there is hope. Raises: DownloadError."""
    for failed in range(1, http_download.ATTEMPTS + 1):
        try:
            return _once(job, session, "GET")
        except Again as trouble:
            wait = max(trouble.wait or 0, http_download.PAUSE_S * 2 ** (failed - 1))
            if failed == http_download.ATTEMPTS or wait > http_download.LONGEST_PAUSE_S:
                raise job.error(f"gave no answer: {trouble}", "Try again later.") from trouble
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _once(job: Job, session: requests.Session, method: Literal["HEAD", "GET"]) -> Answer:
    """Send one request and read no more of its body than shows whether it is a page."""
    headers = {**job.headers, "Accept-Encoding": "identity", **(_FIRST if method == "GET" else {})}
    with http_download.send(job, session, headers, method=method) as response:
        if response.status_code in http_download.RETRIED and method == "GET":
            raise Again(f"{response.status_code} {response.reason}", wait=http_response.retry_after(response))
        if not job.digest_known and (step := http_response.left_https(response)):
            raise job.left_https(step)
        if method == "GET" and response.status_code in (200, 206):
            is_page = http_response.is_page(_beginning(response))
        else:
            is_page = response.headers.get("content-type", "").strip().lower().startswith("text/html")
        return Answer(
            method=method,
            status=response.status_code,
            reason=response.reason,
            size=_size(job, response),
            etag=response.headers.get("etag"),
            address=response.url,
            is_page=is_page,
        )


def _beginning(response: requests.Response) -> bytes:
    """Return the first bytes of a body, enough to show whether it is a page. Raises: Again if it breaks off before."""
    head = b""
    try:
        for block in http_download.blocks(response, first=False):
            head += block
            if len(head) >= http_response.HEAD:
                break
    except Again:  # the first bytes of what was compressed end too early, as they must
        if not (response.status_code == 206 and http_response.is_encoded(response)):
            raise
    return head


def _size(job: Job, response: requests.Response) -> int | None:
    """Return the size of the whole file, None if the server does not state it, or that of something else."""
    ranges = response.headers.get("content-range", "").strip()
    if response.status_code == 416 and ranges == "bytes */0":  # of no bytes, there are no first ones
        return 0
    if response.status_code not in (200, 206) or http_response.is_encoded(response):
        return None
    if response.status_code == 206:
        total = re.fullmatch(r"bytes 0-\d{1,18}/(\d{1,18})", ranges)
        return int(total[1]) if total else None
    return http_download.announced(job, response)
