"""One file over HTTP into a part: resumed by range, retried with growing pauses, refused if it is a web page."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from videohub.hub import answers
from videohub.hub.job import Again, Job, Request, announced, take
from videohub.hub.parts import Note, Part, boot

if TYPE_CHECKING:
    import requests
    from tqdm import tqdm

CONNECT_S, READ_S = 10.0, 60.0
ATTEMPTS = 5  # in a row, without a byte of progress
PAUSE_S = 1.0  # before the first retry; then 2, 4, 8 times as long, give or take half
LONGEST_PAUSE_S = 120.0  # a server that asks for more patience is left for another day
_RETRIED = {408, 429, 500, 502, 503, 504}


def receive(request: Request, *, begun: Part | None, sign: Callable[[], None]) -> Part:
    """Return the whole file behind an http(s) URL as a part, with its digest.

    Args:
        request: What to fetch.
        begun: What an earlier call received, to go on from.
        sign: Called with every block, for whom it may concern that there is progress.
    Raises: DownloadError; what was received stays for the next call, unless it was the wrong thing.
    """
    from tqdm import tqdm

    from videohub.hub import pace

    pace.min_rate()  # refuses what makes no sense before anything is asked
    job = Job(request, begun, sign)
    with (
        pace.session() as session,
        tqdm(total=request.size, desc=request.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None) as bar,
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
                    f"{kept}. Try again later, or bring the file here and pass it with --checkpoint.",
                ) from trouble
            time.sleep(min(pause, LONGEST_PAUSE_S))


def _let_go(job: Job) -> int:
    """Keep what the next call can go on with, remove what it cannot, and return how many bytes are kept."""
    if job.part and (job.part.size == 0 or _doubt(job, job.part)):
        job.drop()
    if job.part is None:
        return 0
    job.part.close()
    return job.part.size


def _ask(job: Job, session: requests.Session, bar: tqdm[Any]) -> Part:
    """Send one request and take what comes; the part is returned when it is whole."""
    headers = {**job.headers, "Accept-Encoding": "identity", **_range(job)}
    with _get(job, session, headers) as answer:
        _check_status(job, answer)
        part = _begin(job, answer, asked="Range" in headers)
        take(job, part, answer, bar)
        return part


def _get(job: Job, session: requests.Session, headers: Mapping[str, str]) -> requests.Response:
    """Return the answer, its body still to come."""
    import requests
    import urllib3

    from videohub.hub.pace import slowness

    try:
        return session.get(
            job.url,
            stream=True,
            timeout=(CONNECT_S, READ_S),
            headers=headers,
            hooks={"response": [answers.unread, job.check_step]},
            auth=(lambda request: request) if "Authorization" in headers else None,  # a netrc would replace it
        )
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
        raise job.error(
            f"could not be downloaded: {error}", "Look at HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE."
        ) from error
    except requests.Timeout as error:
        slow = slowness(error)
        raise Again(f"no answer in time ({slow or error})", slow=slow is not None) from error
    except requests.ConnectionError as error:
        if answers.is_unreachable(error):
            raise job.error(
                f"could not be downloaded: {error}",
                "Check the connection, or bring the file here and pass it with --checkpoint.",
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


def _check_status(job: Job, answer: requests.Response) -> None:
    code = answer.status_code
    if code == 416:
        job.start_over("has no such range")
        raise Again("the server has no such range (416)")
    if code in _RETRIED:
        raise Again(f"{code} {answer.reason}", wait=answers.retry_after(answer))
    if code not in (200, 206):
        advice = "It is gone or was never there." if code in (404, 410) else ""
        advice = "The publisher demands a log-in or refuses this machine." if code in (401, 403) else advice
        raise job.error(
            f"could not be downloaded: {code} {answer.reason}",
            f"{advice} Bring the file here by hand and pass it with --checkpoint.".strip(),
        )
    if not job.digest_known and (step := answers.left_https(answer)):
        raise job.left_https(step)


def _begin(job: Job, answer: requests.Response, *, asked: bool) -> Part:
    """Return the part that this answer's body belongs to: the one there is, or a new one."""
    part = job.part
    if answer.status_code == 206:
        if asked and part and answers.is_the_rest(part, answer, digest_known=job.digest_known):
            part.pieced = True
            return part
        what = "sent another range than it was asked for, or one without the strong ETag that its beginning had"
        job.start_over(what)
        raise Again(f"the server {what}")
    if part:
        job.start_over("has changed meanwhile" if answers.has_changed(part, answer) else "cannot resume downloads")
    encoded = answers.is_encoded(answer)
    if encoded and not answers.is_gzip(answer):
        raise job.error(f"sends {answer.headers['content-encoding']!r} although plain bytes were asked for")
    total = None if encoded else announced(job, answer)
    if job.size is not None and total is not None and total != job.size:
        raise job.error(f"has {total} bytes, expected {job.size}", "Nothing was kept. The registry knows another file.")
    job.part = Part(Note(job.file, job.url, answers.validator(answer), total, encoded, boot()))
    return job.part
