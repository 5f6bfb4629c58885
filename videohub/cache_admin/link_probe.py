"""First contact: what lies behind records' links, whether it fits what the registry states, and what to write there.

Nobody who wrote the records may have reached the files. Whoever can asks every link, or fetches every file, and has one
patch for the registry and one list of what did not fit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from videohub import known_answers, published_files, registry, weights
from videohub.convert import kept_weights
from videohub.convert.checkpoint import opened
from videohub.convert.recognition import OURS
from videohub.errors import ConversionError, DownloadError, FormatError, OfflineError
from videohub.hub import http_download, sources
from videohub.hub.http_download import Reply
from videohub.registry.known_answers import KnownAnswer
from videohub.registry.patch import Learnt, Measured, Patch, registry_patch
from videohub.registry.schema import Checkpoint, FileBeside, Record

Role: TypeAlias = Literal["file", "another form", "alternate", "beside another"]  # the same bytes elsewhere


@dataclass(frozen=True)
class Link:
    """An address of a record's file."""

    record: str
    url: str
    role: Role
    not_asked: str | None = None  # why nothing can be asked there


@dataclass
class Probed:
    """What was seen behind a link, and what of it does not fit the record; without `fetched` nothing was downloaded."""

    record: str
    url: str
    role: Role
    asked_with: str | None = None
    status: int | None = None
    size: int | None = None
    etag: str | None = None
    sha256: str | None = None
    container: str | None = None
    fetched: bool = False
    proved: bool = False  # read, and every tensor fits the record's network
    fingerprint: KnownAnswer | None = None  # of a record's own file, which had none
    misfits: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FirstContact:
    """All that was seen, and the patch that writes it into the registry."""

    links: Sequence[Probed]
    patch: Patch

    @property
    def misfits(self) -> list[str]:
        """What did not fit, a line or more each."""
        of_links = [f"{link.record}: {link.url}: {misfit}" for link in self.links for misfit in link.misfits]
        return of_links + [f"{name}: {why}" for name, why in self.patch.left.items()]


def links(records: Sequence[Record]) -> list[Link]:
    """Return the addresses of records, in their order, also those where no program can ask."""
    return [link for record in records for link in _links(record)]


def probe(records: Sequence[Record], *, fetch: bool, progress: known_answers.Progress) -> FirstContact:
    """Ask all links of records, and download and prove their files, too.

    Args:
        fetch: Whether to download each file, hash and read it, prove it against the network, and compute again what is
            known of its outputs; it stays in the cache. Of a record's own file that has no fingerprint one is made.
        progress: Told before each link.
    Raises: OfflineError if connections are forbidden; RegistryError if a registry file cannot be read; CacheError.
    """
    if variable := sources.offline():
        raise OfflineError(f"{variable} forbids connections, and links are asked over one; unset it")
    asked = [link for link in links(records) if link.not_asked is None]
    by_name = {record.name: record for record in records}
    probed: list[Probed] = []
    learnt: dict[str, Learnt] = {}
    for done, link in enumerate(asked):
        progress(link.record, done, len(asked))
        probed.append(_probe(link, by_name[link.record], fetch=fetch))
    for record in records:
        if known := _learnt(record, [link for link in probed if link.record == record.name]):
            learnt[record.name] = known
    progress("", len(asked), len(asked))
    return FirstContact(probed, registry_patch(learnt, registry.record_files()))


def _links(record: Record) -> Iterator[Link]:
    for file in (record.checkpoint, *record.other_checkpoints):
        role: Role = "file" if file is record.checkpoint else "another form"
        if file.url is None:
            continue
        why = "a page, to download from by hand" if file.manual or record.status == "manual" else None
        if file.url.startswith("file:"):
            why = "a file of this machine"
        yield Link(record.name, file.url, role, why)
        for url in file.alternates:
            yield Link(record.name, url, "alternate")
        for each in file.beside:
            yield Link(record.name, each.url, "beside another")


def _probe(link: Link, record: Record, *, fetch: bool) -> Probed:
    """Ask one link, and fetch what lies there if it is a file of the record's own that fits so far."""
    seen = Probed(link.record, link.url, link.role)
    files = (record.checkpoint, *record.other_checkpoints)
    beside = next((each for file in files for each in file.beside if each.url == link.url), None)
    file = next((file for file in files if link.url in (file.url, *file.alternates)), files[0])
    try:
        reply = http_download.ask(link.url, name=record.name, sha256=(beside or file).sha256)
    except DownloadError as error:
        seen.misfits.append(str(error))
        return seen
    seen.asked_with, seen.status, seen.size, seen.etag = reply.method, reply.status, reply.size, reply.etag
    seen.misfits += _misfits(reply, beside or file)
    if fetch and not seen.misfits and link.role not in ("alternate", "beside another") and record.status == "available":
        alone = msgspec.structs.replace(record, checkpoint=file, other_checkpoints=())
        _fetch(seen, alone)
    return seen


def _misfits(reply: Reply, file: Checkpoint | FileBeside) -> Iterator[str]:
    """Yield what a server's answer has against a record."""
    if reply.is_page:
        yield f"gives a web page and no file ({reply.address})"
    elif reply.size == 0:
        yield "is empty"
    elif not reply.is_there:
        yield f"answers {reply.status} {reply.reason}"
    elif file.size is not None and reply.size not in (None, file.size):
        yield f"has {reply.size} bytes, and the registry states {file.size}"


def _fetch(seen: Probed, record: Record) -> None:
    """Download a record's file, and prove it: what is wrong with it is a misfit."""
    file = record.checkpoint
    try:
        fetched = published_files.published_file(record)
        seen.fetched, seen.sha256 = True, fetched.sha256
        size = fetched.path.stat().st_size
        if seen.size not in (None, size):
            seen.misfits.append(f"came with {size} bytes, and its server announced {seen.size}")
        seen.size = size
        with opened(fetched.path) as checkpoint:
            seen.container = checkpoint.container
        made = weights.fetch(record)
        seen.proved = True
        layout = kept_weights.origin(made).get("layout", OURS)  # which a file from `save` does not say
        checked = known_answers.check_weights(record, made)
        if layout != file.layout:  # what is known of its outputs is of the layout that is stated
            seen.misfits.append(f"spells its keys as {layout} does, and the registry states {file.layout}")
        elif checked.cause is not None:
            why = f"{checked.cause.kind}: {checked.cause.why}"
            seen.misfits.append(f"does not give what is known of its outputs; the likelier cause is {why}")
        elif seen.role == "file" and known_answers.lacks_fingerprint(record):
            seen.fingerprint = known_answers.fingerprint(record, made)
    except (DownloadError, FormatError, ConversionError) as error:
        seen.misfits.append(str(error))
        return
    if file.reported_sha256 not in (None, seen.sha256):
        seen.misfits.append(f"has sha256 {seen.sha256}, and somebody reported {file.reported_sha256}")
    if file.container not in (None, seen.container):
        seen.misfits.append(f"is a file of {seen.container}, and the registry states {file.container}")


def _learnt(record: Record, probed: Sequence[Probed]) -> Learnt | None:
    """Return what to write into a record: what was measured, or announced, where it states nothing."""
    files = []
    by_url = {link.url: link for link in probed}
    for file in (record.checkpoint, *record.other_checkpoints):
        seen = by_url.get(file.url or "")
        if seen is None or not (seen.proved or (seen.asked_with and not seen.misfits)):
            continue
        measured: dict[str, str | int] = {}
        if file.sha256 is None and seen.proved and seen.sha256:
            measured["sha256"] = seen.sha256
        if file.size is None and seen.size is not None:
            measured["size"] = seen.size
        if seen.container not in (None, file.container):
            measured["container"] = str(seen.container)
        if measured:
            files.append(Measured(seen.url, measured))
    gone = [link for link in probed if link.status in (404, 410)]
    is_dead = bool(gone) and len(gone) == len(probed) and record.status == "available"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    dead = f"Its link answered {gone[0].status} on {today}." if is_dead else None
    fingerprint = next((link.fingerprint for link in probed if link.fingerprint is not None), None)
    return Learnt(files, dead, fingerprint) if files or dead or fingerprint else None
