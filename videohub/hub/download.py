"""From a URL or a local path to a file whose digest is known and right."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from videohub.errors import CacheError, ChecksumError, DownloadError, FormatError, OfflineError, UsageError
from videohub.files import Version, existing_checkpoint, version_of
from videohub.hub import cache, partial_download, pins
from videohub.hub.file_lock import Lock, file_lock, is_taken
from videohub.hub.sources import (
    CHECKPOINT,
    Purpose,
    Requested,
    Source,
    check,
    located,
    offline,
    path_of,
    sources,
    split,
)
from videohub.log import log
from videohub.resources import cache_home


@dataclass(frozen=True)
class Fetched:
    """A file on this machine, and its digest; `beside` are those that hold the rest of its network."""

    path: Path
    sha256: str
    parts: tuple[Fetched, ...] = ()  # what holds the tensors, where this one only tells which lie where
    beside: tuple[Fetched, ...] = ()
    version: Version | None = field(default=None, compare=False)  # as the digest was taken, of what others may write to

    def check_unchanged(self, *, name: str) -> None:
        """Refuse what was read of a file that is another one than its digest was taken of. Raises: ChecksumError."""
        for file in (self, *self.parts, *self.beside):
            version = file.version and version_of(file.path)
            # some file systems give one file several inodes, so the digest decides
            if version != file.version and (version is None or cache.sha256_of(file.path) != file.sha256):
                raise ChecksumError(
                    f"{name}: {file.path} was written to while it was read; before, it had sha256 {file.sha256}.\n"
                    "  Nothing was kept. Wait until it is whole, or take a copy of it."
                )


def fetch(
    url: str,
    *,
    name: str,
    sha256: str | None = None,
    size: int | None = None,
    alternates: Sequence[str] = (),
    purpose: Purpose = CHECKPOINT,
) -> Fetched:
    """Return the file behind a URL, from the cache if it is there, else from the first source that has it.

    Args:
        url: Where the publisher keeps it: http(s), file, or hf://org/repo/file@revision.
        name: The record's name, for messages and the progress bar.
        sha256: The digest that the registry states; None: the first one seen here is remembered and binds.
        size: Its size in bytes, if the registry states it.
    Raises: DownloadError if no source has it; ChecksumError if one has another file and no other has the right one;
        OfflineError; CacheError if this machine cannot keep it.
    """
    offline()  # refuses what makes no sense, also where all is here
    if split(url).scheme == "file":
        return _published_here(path_of(url), name=name, sha256=sha256, size=size)
    if not alternates and "VIDEOHUB_MIRRORS" not in os.environ:
        check(Source(url, "publisher"), name=name, purpose=purpose)
    requested = Requested(name, url, sha256, size, purpose)
    with cache.at_work(f"{name}: the file cannot be kept"):
        if fetched := _in_cache(requested.now()):
            # a process was killed just before it could tidy
            if partial_download.left(url) or is_taken(cache.key_of(url)):
                with suppress(OSError), file_lock(cache.key_of(url), what=name) as lock:
                    _tidy(url, lock)
            return fetched
        with file_lock(cache.key_of(url), what=name) as lock:
            requested = requested.now()
            fetched = _in_cache(requested)  # it may have come in the meantime
            fetched = fetched or _from_first(sources(url, alternates), requested, lock)
            _tidy(url, lock)
            return fetched


def check_prefix(fetched: Fetched, url: str, prefix: str | None, *, name: str) -> None:
    """Refuse a file whose digest does not begin as its publisher says (None: nothing), and let it not bind its URL.

    Raises: ChecksumError.
    """
    if prefix is not None and not fetched.sha256.startswith(prefix):
        pins.forget(url)
        raise ChecksumError(
            f"{name}: {url} has sha256 {fetched.sha256}, and its publisher says that it begins with "
            f"{prefix}.\n  The file at this address is another one, and was not used."
        )


def has(url: str, *, name: str, purpose: Purpose) -> bool:
    """Tell whether a file is to be had: it was seen here, or a mirror, huggingface_hub's cache or a server has it.

    Where connections are forbidden, what was never seen here is not to be had.
    Raises: DownloadError if it is kept from us, or if there is no answer.
    """
    from videohub.hub import http_download

    if pins.pin_of(url) is not None:
        return True
    forbidden, refused = offline(), list[str]()
    for candidate in sources(url):
        source = located(candidate, name=name, purpose=purpose)
        if source.scheme == "file":
            if source.path.is_file():
                return True
        elif not forbidden:
            reply = http_download.ask(candidate.address, name=name, purpose=purpose)
            if reply.is_there:
                return True
            if not reply.is_gone:
                refused.append(f"{reply.address} answers {reply.status} {reply.reason}")
    if refused:
        raise DownloadError(
            f"{name}: {'; '.join(refused)}\n"
            "  It is private, gated or not there. Log in with `hf auth login`, or set HF_TOKEN."
        )
    return False


@contextmanager
def temporary(url: str, what: str) -> Iterator[Path]:
    """Bring the file behind a URL here for as long as the block lasts; nothing of it is kept, nor is its digest.

    Args:
        url: http(s), file, or hf://org/repo/file@revision, which may already lie in huggingface_hub's cache.
        what: What it should be, for messages and the progress bar, such as "video".
    Raises: DownloadError; OfflineError; CacheError if this machine cannot keep it meanwhile.
    """
    purpose = Purpose(what, "give its path", f"Bring the {what} here by hand and give its path.", resumed=False)
    source = located(Source(url, "publisher"), name=what, purpose=purpose)
    if source.scheme == "file":
        yield source.path
        return
    if forbidden := offline():
        raise OfflineError(
            f"{what}: {url} is to be fetched, and {forbidden} forbids connections.\n"
            f"  Bring the file here by hand and {purpose.by_hand}."
        )
    from videohub.hub.http_download import receive

    with cache.at_work(f"{what}: the file cannot be kept"):
        part = receive(Requested(what, url, purpose=purpose), source, begun=None, heartbeat=lambda: None)
    try:
        yield part.path
    finally:
        part.drop()


def local_together(path: Path, urls: Sequence[str], *, name: str) -> Fetched:
    """Return a file that was given, or, where several belong together, those of a folder that end as these URLs do."""
    if len(urls) < 2 or not path.is_dir():
        return local(path, name=name)
    first, *beside = (local(path / url.rpartition("/")[2], name=name) for url in urls)
    return replace(first, beside=tuple(beside))


def local(path: Path, *, name: str, sha256: str | None = None) -> Fetched:
    """Return a file that is already here, with its digest; it stays where it is.

    Raises: UsageError if there is no such file; ChecksumError if `sha256` is given and differs.
    """
    if re.match(r"[A-Za-z]{2,}:/+[^/]", str(path)) and not path.exists():
        raise UsageError(f"{name}: {path}: found an address, expected a file that is here: download it, and give its "
                         "path; a model of the hub is named hf://user/model, in place of a record")  # fmt: skip
    try:
        existing_checkpoint(path)
    except (UsageError, FormatError) as error:
        raise type(error)(f"{name}: {error}") from None
    version = version_of(path)
    digest = cache.sha256_of(path)
    if sha256 and digest != sha256:
        raise ChecksumError(f"{name}: {path} has sha256 {digest}, the registry says {sha256}; it was left alone")
    return Fetched(path, digest, version=version)


def _published_here(path: Path, *, name: str, sha256: str | None, size: int | None) -> Fetched:
    """Return a file that a registry names by its place on this machine."""
    if not path.is_file():
        raise DownloadError(f"{name}: {path} does not exist; the registry names it as {path.as_uri()}")
    if size is not None and path.stat().st_size != size:
        raise ChecksumError(f"{name}: {path} has {path.stat().st_size} bytes, the registry says {size}")
    return local(path, name=name, sha256=sha256)


def _tidy(url: str, lock: Lock) -> None:
    """Remove what killed processes left of this file, if nobody else can be at work on it."""
    if lock.acquired:
        pins.tidy(url)
        partial_download.remove_left_parts(url)


def _in_cache(requested: Requested) -> Fetched | None:
    """Return the cached file if it still is what its name says; disks forget, and people edit."""
    path = cache.find("raw", requested.digest) if requested.digest else None
    if path is None or requested.digest is None:
        return None
    if (digest := cache.sha256_of(path)) == requested.digest:
        return Fetched(path, requested.digest)
    if not cache.is_ours(path):
        raise CacheError(f"{path}: damaged, its sha256 is {digest}.\n  {cache.whose(path)}")
    log.warning("%s: %s was damaged (its sha256 is %s); fetching it again", requested.name, path, digest)
    cache.remove(path)
    return None


def _from_first(candidates: Iterable[Source], requested: Requested, lock: Lock) -> Fetched:
    """Return the file from the first source that has the right one; the same digest is demanded of all."""
    failures: list[DownloadError] = []
    forbidden = offline()
    for candidate in candidates:
        try:
            source = located(candidate, name=requested.name, purpose=requested.purpose)
            if forbidden and source.scheme != "file":
                continue
            fetched = _from(source, requested, lock)
        except DownloadError as error:
            failures.append(error)
            continue
        for failure in failures:
            if isinstance(failure, ChecksumError):  # a missing file is what mirrors are like; another file is not
                log.warning("%s\n  The right file came from %s.", failure, source.shown)
        return fetched
    if forbidden:
        raise _is_offline(requested, forbidden, failures)
    if len(failures) == 1:
        raise failures[0]
    kind = ChecksumError if any(isinstance(error, ChecksumError) for error in failures) else DownloadError
    reasons = "\n".join(map(str, failures))
    raise kind(f"{requested.name}: none of {len(failures)} sources has the right file:\n{reasons}")


def _from(source: Source, requested: Requested, lock: Lock) -> Fetched:
    """Return the file from one source, in its place; a download that was pieced together has a second chance."""
    for afresh in (False, True):
        with _brought(source, requested, lock, afresh=afresh) as part:
            if requested.digest in (None, part.sha256):
                return _keep(part, source, requested)
        if not part.pieced:
            break
        log.warning("%s: the resumed download has sha256 %s; starting over", requested.name, part.sha256)
    raise _another_file(source, requested, part.sha256)


@contextmanager
def _brought(source: Source, requested: Requested, lock: Lock, *, afresh: bool) -> Iterator[partial_download.Part]:
    """Yield a file of ours with the source's whole content; it is gone afterwards unless it was published."""
    from videohub.hub.http_download import receive

    if source.scheme == "file":
        part = _copied(source, requested)
    else:
        begun = None if afresh else partial_download.adopt(requested.url, source.address, exclusive=lock.acquired)
        part = receive(requested, source, begun=begun, heartbeat=lock.heartbeat)
    try:
        yield part
    finally:
        part.drop()


def _copied(source: Source, requested: Requested) -> partial_download.Part:
    """Return a copy of a file in a mirror's folder: unlike the mirror, it will not change under our hands."""
    from videohub.hub.http_request import HEAD, is_page

    try:
        with source.path.open("rb") as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(HEAD)
            if size == 0 or size != (requested.size or size) or is_page(head):
                kind = "a web page" if is_page(head) else f"{size} bytes"
                expected = f"{requested.size} bytes" if requested.size else "a checkpoint"
                raise DownloadError(f"{requested.name}: {source.path} holds {kind}, expected {expected}")
            if size > (requested.purpose.largest or size):
                raise DownloadError(
                    f"{requested.name}: {source.path} has {size} bytes, expected a {requested.purpose.what} of at most "
                    f"{requested.purpose.largest}"
                )
            cache.check_room(size)
            file.seek(0)
            return partial_download.copy(file, partial_download.Note(requested.url, source.address, None, None))
    except OSError as error:
        if error.filename != str(source.path):  # it is our own disk that refuses
            raise
        raise DownloadError(f"{requested.name}: {source.path} cannot be read: {error.strerror}") from error


def _keep(part: partial_download.Part, source: Source, requested: Requested) -> Fetched:
    """Give the file its place in the cache, and bind its URL to it if nothing else does."""
    digest = part.sha256
    if requested.sha256 is None:
        binding = pins.pin(requested.url, digest, part.size, source="" if source.role == "publisher" else source.shown)
        if binding.sha256 != digest:  # another process, without a lock, was faster and got another file
            raise _another_file(source, replace(requested, pin=binding), digest)
    place = cache.place("raw", digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    part.give(place)  # not flushed to disk, which takes a quarter as long as all the rest: `_in_cache` checks it
    return Fetched(place, digest)


def _another_file(source: Source, requested: Requested, digest: str) -> ChecksumError:
    base = source.address.rpartition("/")[2]
    if requested.pin is None:
        return ChecksumError(
            f"{requested.name}: {base} has sha256 {digest}, the registry says {requested.sha256} ({source.shown}).\n"
            "  The publisher replaced the file, or the source is not to be trusted. The file was removed.\n"
            f"  Run `videohub fetch {requested.name}` again; if it repeats, report the new hash."
        )
    today = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return ChecksumError(
        f"{requested.name}: {base} has sha256 {digest} today, {today};\n"
        f"  when first seen here, {requested.pin.first_seen}, it had {requested.pin.sha256} ({source.shown}).\n"
        "  Its publisher replaced it, or somebody else did. The new file was removed.\n"
        f"  If its publisher announces the change, `videohub cache pins --forget {requested.name}` and then\n"
        f"  `videohub fetch {requested.name}` take the new one."
    )


def _is_offline(requested: Requested, variable: str, failures: Sequence[DownloadError]) -> OfflineError:
    name, reasons = requested.name, "".join(f"\n  {failure}" for failure in failures)
    return OfflineError(
        f"{name}: {requested.url} is not in the cache ({cache_home()}), and {variable} forbids connections.{reasons}\n"
        f"  On a machine with a connection run `videohub bundle {name} -o {name}.tar`, bring that file here\n"
        f"  and run `videohub unbundle {name}.tar`. Or bring a copy of the published file, and\n"
        f"  {requested.purpose.by_hand}."
    )
